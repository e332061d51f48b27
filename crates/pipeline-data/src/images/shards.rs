//! Indexes the images of several files, each an archive or a table: tars and Parquet.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::collect::{Found, Take};
use super::table::ImageTables;
use super::{Form, ImageRow, Images, ImagesFile, MAX_FILE_BYTES, Selection, too_long};
use crate::DataError;
use crate::image_names::{ImageIdPart, NameKind, kind_of, must_be_a_line, text_of};
use crate::json_line::shortened;
use crate::parquet_file::ParquetFile;
use crate::records::{Cell, cell_of, no_column};
use crate::tar::{Member, Members};

/// The most values of a column that a message lists.
const MAX_VALUES: usize = 10;

/// The columns of a table of images, where the caller names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageColumns {
    /// The images; in a tar the extension after the first dot of a name.
    pub image: Option<String>,
    /// The ids.
    pub id: Option<String>,
    /// Whether the id of an image is its place: the name of its file and its row, counted from 0.
    pub has_place_ids: bool,
}

/// The rows of a table with one of some values in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFilter {
    /// The column.
    pub column: String,
    /// The values.
    pub values: Vec<String>,
}

/// Values of a [`RowFilter`] that no row has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuesWithoutRows {
    /// A sentence that names them, and values that rows have.
    pub reason: String,
    /// Whether the filter has no other values, so that it takes no row.
    pub are_all: bool,
}

impl RowFilter {
    /// Remembers the value of a row, unless there are many others.
    pub(crate) fn note(&self, value: &str, values: &mut BTreeSet<String>) {
        if !values.contains(value) && (values.len() < MAX_VALUES || self.values.iter().any(|wanted| wanted == value)) {
            values.insert(value.to_owned());
        }
    }

    /// The wanted values that no row has, given the values of rows; `None` if rows have all of them.
    pub(crate) fn values_without_rows(&self, values: &BTreeSet<String>) -> Option<ValuesWithoutRows> {
        let listed = |values: &mut dyn Iterator<Item = &String>| {
            let listed: Vec<String> = values.take(MAX_VALUES).map(|value| format!("`{}`", shortened(value))).collect();
            listed.join(", ")
        };
        let missing = listed(&mut self.values.iter().filter(|value| !values.contains(*value)));
        let there =
            if values.is_empty() { "is empty".to_owned() } else { format!("has {}", listed(&mut values.iter())) };
        (!missing.is_empty()).then(|| ValuesWithoutRows {
            reason: format!("no row has {missing} in the column `{}`, which {there}", self.column),
            are_all: self.values.iter().all(|value| !values.contains(value)),
        })
    }

    /// The same for Parquet files, of which only this column is read.
    ///
    /// # Errors
    /// When one cannot be read, or lacks the column.
    pub fn values_without_rows_in(&self, files: &[ImagesFile]) -> Result<Option<ValuesWithoutRows>, DataError> {
        let mut values = BTreeSet::new();
        for named in files {
            let file = ParquetFile::open(&named.path)?;
            let leaf = file.leaf(&self.column).ok_or_else(|| no_column(&named.path, &self.column, &file.names()))?;
            file.scan(&[&leaf], &mut |batch| {
                for row_idx in 0..batch.num_rows() {
                    if let Cell::One(value) = cell_of(batch, &leaf, row_idx) {
                        self.note(&value, &mut values);
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(self.values_without_rows(&values))
    }
}

impl Images {
    /// Reads tars once and indexes their images, each with an id that is a part of its name.
    ///
    /// # Errors
    /// When a file cannot be read or is no whole tar, and [`DataError::Stopped`] when the work is cancelled.
    pub fn of_tars(
        files: Vec<ImagesFile>,
        extension: Option<&str>,
        id: ImageIdPart,
        selection: &Selection<'_>,
    ) -> Result<Self, DataError> {
        let mut images = Self::new(files.clone(), Form::Ranges);
        images.collect(selection, &|file, take| {
            let mut members = Members::open(&files[file as usize].path)?;
            while let Some(member) = members.next()? {
                selection.go_on(&files[file as usize].path)?;
                if kind_of(&member.name) != NameKind::Image || !has_extension(&member, extension) {
                    continue;
                }
                let found = match id_of_member(&files[file as usize], &member, id) {
                    // Its content is not needed, unless for an index that others use, too.
                    Ok(id) if selection.kept_index().is_none() && !(selection.keep)(&id) => continue,
                    Ok(id) => {
                        let digest = members.digest(&member)?;
                        let Member { number, offset, len, .. } = member;
                        Found::Row(ImageRow { id, file, number, offset, len, digest, is_base64: false })
                    }
                    Err(reason) => Found::Skipped { number: member.number, reason },
                };
                if take(found).is_break() {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(images)
    }

    /// Reads Parquet files once and indexes the images of a column: structs with `bytes`, bytes, or base64.
    ///
    /// # Errors
    /// When a file cannot be read or lacks a column, and [`DataError::Stopped`] when the work is cancelled.
    pub fn of_tables(
        files: Vec<ImagesFile>,
        columns: &ImageColumns,
        filter: Option<&RowFilter>,
        selection: &Selection<'_>,
    ) -> Result<Self, DataError> {
        let tables = ImageTables::new(files.len(), columns, filter);
        let mut images = Self::new(files.clone(), Form::Tables(tables.clone()));
        images.collect(selection, &|file, take: &mut Take<'_>| {
            tables.open(file, &files[file as usize])?.scan(file, selection, take)
        })?;
        Ok(images)
    }
}

/// Whether the extensions of a member, from the first dot of its name on, are those that are wanted.
fn has_extension(member: &Member, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    let name = member.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let dot = name.iter().position(|byte| *byte == b'.');
    dot.is_some_and(|dot| name[dot + 1..].eq_ignore_ascii_case(wanted.as_bytes()))
}

fn id_of_member(tar: &ImagesFile, member: &Member, id: ImageIdPart) -> Result<String, String> {
    let name = text_of(&member.name)?;
    if !member.is_plain {
        return Err("a link or a sparse file, whose content is not stored here".to_owned());
    }
    if member.len > MAX_FILE_BYTES {
        return Err(too_long());
    }
    let id = id.in_tar(tar, name);
    must_be_a_line(&id).map(|()| id)
}
