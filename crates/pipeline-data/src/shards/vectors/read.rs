//! Reads vectors from the file directly to their destination, bypassing the parquet crate, which would copy them twice.
//!
//! Only for files in the layout of this program's writer; others take the slow path.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parquet::basic::{Compression, Type};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use rayon::prelude::*;

use super::pages;
use crate::DataError;
use crate::shards::bytes;

/// The vectors of an open file.
pub(super) struct Vectors {
    file: File,
    n_rows: usize,
    dim: usize,
    pages: Vec<Page>,
}

/// The position of a page's numbers.
struct Page {
    offset: u64,
    n_rows: usize,
}

impl Vectors {
    /// Finds the vectors of `dim` numbers in a file; `None` when it is not laid out as [`super::write_vectors`] does
    /// it.
    pub(super) fn find(path: &Path, dim: usize) -> Result<Option<Self>, DataError> {
        let file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        let mut reader = ParquetMetaDataReader::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = match reader.try_parse(&file).and_then(|()| reader.finish()) {
            Ok(metadata) => metadata,
            Err(error) => return Err(DataError::Parquet { path: path.to_owned(), source: error.into() }),
        };
        let pages = match metadata.row_groups() {
            [row_group] if is_plain(row_group, dim) => find_pages(&file, &metadata, dim * 4),
            _ => None,
        };
        Ok(pages.map(|pages| Self { file, n_rows: pages.iter().map(|page| page.n_rows).sum(), dim, pages }))
    }

    /// The number of vectors.
    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The offset of each page's numbers, and the number of its rows.
    pub(super) fn pages(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.pages.iter().map(|page| (page.offset, page.n_rows))
    }

    /// Reads all vectors on all threads.
    ///
    /// # Shapes
    /// `values`: `[n_rows, dim]`
    pub(super) fn read_into(&self, path: &Path, values: &mut [f32]) -> Result<(), DataError> {
        let (mut parts, mut rest) = (Vec::with_capacity(self.pages.len()), values);
        for page in &self.pages {
            let (part, after) = rest.split_at_mut(page.n_rows * self.dim);
            parts.push((page.offset, part));
            rest = after;
        }
        parts
            .into_par_iter()
            .try_for_each(|(offset, part)| bytes::fill(part, |bytes| self.file.read_exact_at(bytes, offset)))
            .map_err(|source| DataError::Read { path: path.to_owned(), source })
    }
}

/// True if the second column holds consecutive values of `dim` numbers, and no nulls.
fn is_plain(row_group: &RowGroupMetaData, dim: usize) -> bool {
    let [_, vectors] = row_group.columns() else { return false };
    let column = vectors.column_descr();
    column.name() == "vector"
        && column.physical_type() == Type::FIXED_LEN_BYTE_ARRAY
        && usize::try_from(column.type_length()).is_ok_and(|width| width == dim * 4 && width > 0)
        && column.max_def_level() == 0
        && column.max_rep_level() == 0
        && vectors.compression() == Compression::UNCOMPRESSED
}

/// The pages; each header must be exactly the one that the writer makes.
fn find_pages(file: &File, metadata: &ParquetMetaData, width: usize) -> Option<Vec<Page>> {
    let n_rows = usize::try_from(metadata.row_group(0).num_rows()).ok()?;
    let index = metadata.page_index_for_row_group(0);
    let places = index.page_locations(1)?;
    let mut pages = Vec::with_capacity(places.len());
    for (page_idx, place) in places.iter().enumerate() {
        let end_row = places.get(page_idx + 1).map_or(Some(n_rows), |next| next.first_row_index.try_into().ok())?;
        let page_rows = end_row.checked_sub(usize::try_from(place.first_row_index).ok()?)?;
        let n_bytes = page_rows.checked_mul(width)?;
        let expected = pages::header(page_rows, n_bytes);
        let mut header = vec![0; usize::try_from(place.compressed_page_size).ok()?.checked_sub(n_bytes)?];
        if header.len() != expected.len() {
            return None;
        }
        let offset = u64::try_from(place.offset).ok()?;
        file.read_exact_at(&mut header, offset).ok()?;
        if header != expected {
            return None;
        }
        pages.push(Page { offset: offset + header.len() as u64, n_rows: page_rows });
    }
    let starts_at_once = places.first().is_none_or(|place| place.first_row_index == 0);
    starts_at_once.then_some(pages)
}
