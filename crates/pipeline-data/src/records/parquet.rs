//! The queries of a Parquet file: captions beside images, or ids of images in a column.

use std::ops::ControlFlow;

use arrow_array::RecordBatch;

use super::columns::Resolved;
use super::{Cell, IDS_AND_PLACES, QueryColumns, Record, Take, cell_of, no_column};
use crate::images::{IdLeaves, image_column, image_leaf};
use crate::parquet_file::{Leaf, ParquetFile};
use crate::vectors::malformed;
use crate::{DataError, ImageColumns, ImagesFile, RowFilter};

/// A file with its schema.
pub(super) struct ParquetTable {
    file: ParquetFile,
    named: ImagesFile,
    /// The columns of the images beside the captions.
    images: ImageColumns,
}

/// The relevant image of a row.
enum ImagesOf {
    /// In a column.
    Column(Leaf),
    /// The image beside the caption, with the id that `decode-images` gives it.
    Beside(IdLeaves),
    /// Unknown.
    Nowhere,
}

impl ParquetTable {
    pub fn open(named: &ImagesFile, has_place_ids: bool) -> Result<Self, DataError> {
        let images = ImageColumns { has_place_ids, ..ImageColumns::default() };
        Ok(Self { file: ParquetFile::open(&named.path)?, named: named.clone(), images })
    }

    /// Finds the columns. Where images lie beside the captions, only a named column overrules their ids.
    pub fn resolve(&self, wanted: &QueryColumns, filter: Option<&RowFilter>) -> Result<Resolved, DataError> {
        let names = self.names();
        let mut resolved = Resolved::find(&self.named.path, &names, wanted, filter)?;
        let is_beside = self.image_beside().is_some();
        let has_place_ids = self.images.has_place_ids;
        if has_place_ids && wanted.image_ids.is_some() {
            return Err(malformed(&self.named.path, IDS_AND_PLACES));
        }
        // A place needs no column of images, whatever its name and form.
        if wanted.image_ids.is_none() && (is_beside || has_place_ids) {
            resolved.images = None;
        }
        Ok(resolved)
    }

    pub fn read(&self, columns: &Resolved, take: &mut Take<'_>) -> Result<(), DataError> {
        let leaf = |name: &String| self.leaf(name);
        let (text, id) = (leaf(&columns.text)?, columns.id.as_ref().map(leaf).transpose()?);
        let filter = columns.filter.as_ref().map(leaf).transpose()?;
        let images = self.images(columns)?;
        let mut leaves: Vec<&Leaf> = [Some(&text), id.as_ref(), filter.as_ref()].into_iter().flatten().collect();
        match &images {
            ImagesOf::Column(leaf) => leaves.push(leaf),
            ImagesOf::Beside(ids) => leaves.extend(ids.leaves()),
            ImagesOf::Nowhere => {}
        }
        let mut row = 0;
        self.file.scan(&leaves, &mut |batch| {
            for row_idx in 0..batch.num_rows() {
                row += 1;
                let cell =
                    |leaf: &Option<Leaf>| leaf.as_ref().map_or(Cell::Absent, |leaf| cell_of(batch, leaf, row_idx));
                let record = image_cell(&images, batch, row_idx, row - 1).map(|images| Record {
                    text: cell_of(batch, &text, row_idx),
                    id: cell(&id),
                    images,
                    filter: cell(&filter),
                });
                take((row, record))?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn images(&self, columns: &Resolved) -> Result<ImagesOf, DataError> {
        if let Some(name) = &columns.images {
            return self.leaf(name).map(ImagesOf::Column);
        }
        let image = self.image_beside();
        if image.is_none() && !self.images.has_place_ids {
            return Ok(ImagesOf::Nowhere);
        }
        IdLeaves::find(&self.file, &self.named, image.as_deref(), &self.images).map(ImagesOf::Beside)
    }

    /// The column of images beside the captions. Texts and numbers only name images.
    fn image_beside(&self) -> Option<String> {
        let is_bytes = |leaf: Leaf| leaf.has_bytes && !leaf.is_text;
        image_column(&self.file, None).filter(|name| image_leaf(&self.file, name).is_some_and(is_bytes))
    }

    /// The columns of texts and numbers: those with one leaf by their name alone, and all fields.
    fn names(&self) -> Vec<String> {
        let leaves = self.file.leaves().into_iter().filter(|leaf| leaf.is_text || !leaf.has_bytes);
        let mut names: Vec<String> = Vec::new();
        for leaf in leaves {
            let root = &leaf.names[0];
            if leaf.names.len() > 1 && self.file.leaf(root).is_some() {
                names.push(root.clone());
            }
            names.push(leaf.names.join("."));
        }
        names
    }

    fn leaf(&self, name: &str) -> Result<Leaf, DataError> {
        self.file.leaf(name).ok_or_else(|| no_column(&self.named.path, name, &self.names()))
    }
}

fn image_cell(images: &ImagesOf, batch: &RecordBatch, row_idx: usize, row: u64) -> Result<Cell, String> {
    match images {
        ImagesOf::Column(leaf) => Ok(cell_of(batch, leaf, row_idx)),
        ImagesOf::Beside(ids) => ids.of_row(batch, row_idx, row).map(Cell::One),
        ImagesOf::Nowhere => Ok(Cell::Absent),
    }
}
