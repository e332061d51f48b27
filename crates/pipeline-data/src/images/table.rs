//! Indexes the images of a Parquet file, as Hugging Face's `datasets` and pandas write them.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;

use super::collect::{Found, Take};
use super::shards::{ImageColumns, RowFilter};
use super::{Form, ImageRow, Images, ImagesFile, MAX_FILE_BYTES, Selection, too_long};
use crate::DataError;
use crate::base64::without_data_url;
use crate::image_names::must_be_a_line;
use crate::json_line::shortened;
use crate::parquet_file::{Leaf, ParquetFile};
use crate::records::{Cell, array_of, cell_of, no_column};
use crate::vectors::malformed;

/// The columns of images that are looked for, in this order.
pub(crate) const IMAGE_COLUMNS: [&str; 4] = ["image", "img", "picture", "image_bytes"];

/// The columns of ids of images that are looked for, in this order.
pub(crate) const IMAGE_ID_COLUMNS: [&str; 4] = ["image_id", "item_id", "img_id", "id"];

/// The tables of a data set, each of which is opened when it is first read.
#[derive(Debug, Clone)]
pub(super) struct ImageTables {
    columns: ImageColumns,
    filter: Option<RowFilter>,
    open: Arc<[OnceLock<ImageTable>]>,
}

impl ImageTables {
    pub(super) fn new(n_files: usize, columns: &ImageColumns, filter: Option<&RowFilter>) -> Self {
        let open = (0..n_files).map(|_| OnceLock::new()).collect();
        Self { columns: columns.clone(), filter: filter.cloned(), open }
    }

    /// The table with this place among all.
    ///
    /// # Errors
    /// When it cannot be read, or lacks a column.
    pub(super) fn open(&self, file: u32, named: &ImagesFile) -> Result<&ImageTable, DataError> {
        let place = &self.open[file as usize];
        if let Some(table) = place.get() {
            return Ok(table);
        }
        let table = ImageTable::open(named, &self.columns, self.filter.as_ref())?;
        Ok(place.get_or_init(|| table))
    }
}

/// A file with its columns.
#[derive(Debug)]
pub(super) struct ImageTable {
    file: ParquetFile,
    images_file: ImagesFile,
    image: Leaf,
    ids: IdLeaves,
    filter: Option<(Leaf, Vec<String>)>,
}

/// The leaves that give the ids of the images of a table. Tables of queries have them, too, so that both agree.
#[derive(Debug)]
pub(crate) struct IdLeaves {
    id: Option<Leaf>,
    /// The path beside the bytes of an image.
    path: Option<Leaf>,
    /// The name of the file among several, and of the only one where ids are places.
    file: Option<String>,
}

impl IdLeaves {
    /// Finds the leaves: the column that the caller names, or one of the usual names, or the path beside the image.
    /// Ids that are places need none.
    pub(crate) fn find(
        file: &ParquetFile,
        named: &ImagesFile,
        image: Option<&str>,
        columns: &ImageColumns,
    ) -> Result<Self, DataError> {
        if columns.has_place_ids {
            return Ok(Self { id: None, path: None, file: Some(named.own_name()) });
        }
        let id = match &columns.id {
            Some(name) => Some(file.leaf(name).ok_or_else(|| no_column(&named.path, name, &file.names()))?),
            None => IMAGE_ID_COLUMNS.iter().find_map(|name| file.leaf(name)),
        };
        let path = image.and_then(|image| file.leaf(&format!("{image}.path")));
        Ok(Self { id, path, file: named.name.clone() })
    }

    /// Whether a column has the ids, and not the paths of images or their places.
    fn is_column(&self) -> bool {
        self.id.is_some()
    }

    pub(crate) fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.id.iter().chain(if self.id.is_some() { None } else { self.path.as_ref() })
    }

    /// The id of a row of a batch: `row` is its number in the file, counted from 0.
    pub(crate) fn of_row(&self, batch: &RecordBatch, row_idx: usize, row: u64) -> Result<String, String> {
        let id = match (&self.id, &self.path) {
            (Some(leaf), _) => match cell_of(batch, leaf, row_idx) {
                Cell::One(id) => id,
                Cell::Absent => return Err(format!("no id: `{}` is null", leaf.names.join("."))),
                Cell::Many(_) => return Err(format!("`{}` holds several ids", leaf.names.join("."))),
                Cell::Wrong(what) => return Err(format!("`{}` is {what}, which is no id", leaf.names.join("."))),
            },
            (None, Some(leaf)) => match cell_of(batch, leaf, row_idx) {
                Cell::One(path) if !path.is_empty() => path,
                _ => self.numbered(row),
            },
            (None, None) => self.numbered(row),
        };
        must_be_a_line(&id).map(|()| id)
    }

    /// The id of an image without one: its row, counted from 0, in its file.
    fn numbered(&self, row: u64) -> String {
        self.file.as_ref().map_or_else(|| row.to_string(), |file| format!("{file}#{row}"))
    }
}

/// The column of images: the one that the caller names, or one of the usual names.
pub(crate) fn image_column(file: &ParquetFile, named: Option<&str>) -> Option<String> {
    let is_there = |name: &str| file.leaf(name).is_some() || file.leaf(&format!("{name}.bytes")).is_some();
    let usual = || IMAGE_COLUMNS.iter().find(|name| is_there(name)).map(|name| (*name).to_owned());
    named.map(str::to_owned).or_else(usual)
}

/// The leaf with the images of a column: its bytes, or the column itself.
pub(crate) fn image_leaf(file: &ParquetFile, column: &str) -> Option<Leaf> {
    file.leaf(&format!("{column}.bytes")).or_else(|| file.leaf(column))
}

impl ImageTable {
    /// Reads the footer of a file and finds the columns.
    fn open(named: &ImagesFile, columns: &ImageColumns, filter: Option<&RowFilter>) -> Result<Self, DataError> {
        let file = ParquetFile::open(&named.path)?;
        let missing = |name: &str| no_column(&named.path, name, &file.names());
        let column = image_column(&file, columns.image.as_deref()).ok_or_else(|| missing(IMAGE_COLUMNS[0]))?;
        let image = image_leaf(&file, &column).ok_or_else(|| missing(&column))?;
        if image.is_list || !image.has_bytes {
            let problem = format!(
                "has a column `{column}` that holds neither bytes of images, nor structs with `bytes`, nor base64"
            );
            return Err(malformed(&named.path, problem));
        }
        let ids = IdLeaves::find(&file, named, Some(&column), columns)?;
        let filter = filter.map(|filter| {
            let leaf = file.leaf(&filter.column).ok_or_else(|| missing(&filter.column))?;
            Ok((leaf, filter.values.clone()))
        });
        Ok(Self { images_file: named.clone(), image, ids, filter: filter.transpose()?, file })
    }

    /// Passes on the images of the file with this index.
    pub(super) fn scan(&self, file: u32, selection: &Selection<'_>, take: &mut Take<'_>) -> Result<(), DataError> {
        let filter = self.filter.iter().map(|(leaf, _)| leaf);
        let leaves: Vec<&Leaf> = std::iter::once(&self.image).chain(self.ids.leaves()).chain(filter).collect();
        let mut row = 0;
        self.file.scan(&leaves, &mut |batch| {
            selection.go_on(&self.images_file.path)?;
            let images = array_of(batch, &self.image);
            for row_idx in 0..batch.num_rows() {
                row += 1;
                if !self.is_taken(batch, row_idx) {
                    continue;
                }
                let found = match self.row(file, batch, images.as_ref(), row_idx, row) {
                    Ok(row) => Found::Row(row),
                    Err(reason) => Found::Skipped { number: row, reason },
                };
                if take(found).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn is_taken(&self, batch: &RecordBatch, row_idx: usize) -> bool {
        self.filter.as_ref().is_none_or(|(leaf, values)| match cell_of(batch, leaf, row_idx) {
            Cell::One(value) => values.contains(&value),
            _ => false,
        })
    }

    fn row(
        &self,
        file: u32,
        batch: &RecordBatch,
        images: Option<&ArrayRef>,
        row_idx: usize,
        number: u64,
    ) -> Result<ImageRow, String> {
        let id = self.ids.of_row(batch, row_idx, number - 1)?;
        let bytes = images.and_then(|images| bytes_at(images, row_idx)).ok_or_else(|| self.no_image(batch, row_idx))?;
        let len = bytes.len() as u64;
        if len > MAX_FILE_BYTES {
            return Err(too_long());
        }
        let digest = *blake3::hash(bytes).as_bytes();
        Ok(ImageRow { id, file, number, offset: number - 1, len, digest, is_base64: self.image.is_text })
    }

    fn no_image(&self, batch: &RecordBatch, row_idx: usize) -> String {
        let path = self.ids.path.as_ref().map(|leaf| cell_of(batch, leaf, row_idx));
        match path {
            Some(Cell::One(path)) => {
                format!("no image: only its path `{}`, and no file is opened by it", shortened(&path))
            }
            _ => "no image: it is null".to_owned(),
        }
    }
}

/// The bytes of a row of binaries or texts; `None` where it is null.
fn bytes_at(array: &ArrayRef, row_idx: usize) -> Option<&[u8]> {
    if array.is_null(row_idx) {
        return None;
    }
    match array.data_type() {
        DataType::Binary => Some(array.as_binary::<i32>().value(row_idx)),
        DataType::Utf8 => Some(without_data_url(array.as_string::<i32>().value(row_idx).as_bytes())),
        DataType::FixedSizeBinary(_) => Some(array.as_fixed_size_binary().value(row_idx)),
        _ => None,
    }
}

impl Images {
    /// Whether the ids of a table stand in a column of their own, in its first file.
    ///
    /// # Errors
    /// When the file cannot be read or lacks a column.
    pub fn have_column_of_ids(&self) -> Result<bool, DataError> {
        let (Form::Tables(tables), Some(file)) = (&self.form, self.files.first()) else { return Ok(false) };
        Ok(tables.open(0, file)?.ids.is_column())
    }

    /// The bytes of rows of one Parquet file, in their order.
    pub(super) fn rows_of_tables(&self, rows: &[ImageRow]) -> Result<Vec<Vec<u8>>, DataError> {
        let Form::Tables(tables) = &self.form else { return Ok(Vec::new()) };
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let ImageTable { file, image: leaf, .. } = tables.open(first.file, &self.files[first.file as usize])?;
        let numbers: Vec<u64> = rows.iter().map(|row| row.offset).collect();
        let mut files = Vec::with_capacity(rows.len());
        file.pick(leaf, &numbers, &mut |batch| {
            let images = array_of(batch, leaf);
            for row_idx in 0..batch.num_rows() {
                let bytes = images.as_ref().and_then(|images| bytes_at(images, row_idx)).unwrap_or_default();
                if let Some(row) = rows.get(files.len()) {
                    self.must_be_as_indexed(row, bytes)?;
                }
                files.push(bytes.to_vec());
            }
            Ok(())
        })?;
        match files.len() == rows.len() {
            true => Ok(files),
            false => Err(malformed(&self.files[first.file as usize].path, "changed while it was being read")),
        }
    }
}
