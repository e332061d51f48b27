//! Queries in tables of any kind: CSV, TSV, JSON Lines, Parquet, and the samples of tars.
//!
//! A table gives cells by column; this module turns the cells of a row into queries, one for each caption.

mod cells;
mod columns;
mod csv;
mod json;
mod parquet;
mod queries;
mod samples;

use std::path::{Path, PathBuf};

pub(crate) use cells::{Cell, array_of, cell_of};
pub(crate) use columns::no_column;
pub use columns::{QueryColumns, TableForm};
pub use queries::{QueryTable, TableQueries};

use crate::{DataError, ImageIdPart, ImagesFile, RowFilter};
use columns::Resolved;

/// The fault of a table whose images would have ids of two kinds.
const IDS_AND_PLACES: &str = "has a column of ids by `columns: { item_ids: … }`, and places by `image_id: place`";

/// The cells of a row that matter.
#[derive(Debug, Default)]
struct Record {
    text: Cell,
    id: Cell,
    images: Cell,
    /// The value by which rows are selected.
    filter: Cell,
}

/// A row of a table, or the reason why it is none, with its number in the file, counted from 1.
type Numbered = (u64, Result<Record, String>);

/// Takes the rows of a table; an error ends the reading.
type Take<'a> = dyn FnMut(Numbered) -> Result<(), DataError> + 'a;

/// A table that was opened: its columns are known.
enum Table {
    Csv(csv::CsvTable),
    Json(PathBuf),
    Parquet(parquet::ParquetTable),
    Samples(samples::Samples),
}

impl Table {
    /// Opens a table and finds its columns.
    fn open(
        form: TableForm,
        file: &ImagesFile,
        wanted: &QueryColumns,
        filter: Option<&RowFilter>,
        part: Option<ImageIdPart>,
    ) -> Result<(Self, Resolved), DataError> {
        let path = &file.path;
        Ok(match form {
            TableForm::Csv | TableForm::Tsv => {
                let table = csv::CsvTable::open(path, form == TableForm::Tsv)?;
                let resolved = Resolved::find(path, &table.names()?, wanted, filter)?;
                (Self::Csv(table), resolved)
            }
            TableForm::JsonLines => {
                let resolved = Resolved::find(path, &json::names(path)?, wanted, filter)?;
                (Self::Json(path.clone()), resolved)
            }
            TableForm::Parquet => {
                let table = parquet::ParquetTable::open(file, part == Some(ImageIdPart::Place))?;
                let resolved = table.resolve(wanted, filter)?;
                (Self::Parquet(table), resolved)
            }
            TableForm::Tar => {
                let samples = samples::Samples::new(file, part.unwrap_or(ImageIdPart::Key));
                let resolved = samples.resolve(wanted, filter)?;
                (Self::Samples(samples), resolved)
            }
        })
    }

    fn read(&self, columns: &Resolved, take: &mut Take<'_>) -> Result<(), DataError> {
        match self {
            Self::Csv(table) => table.read(columns, take),
            Self::Json(path) => json::read(path, columns, take),
            Self::Parquet(table) => table.read(columns, take),
            Self::Samples(samples) => samples.read(columns, take),
        }
    }
}

/// The columns of a table that is read without names for them.
///
/// # Errors
/// As [`check_table`].
pub fn table_columns(form: TableForm, path: &Path) -> Result<QueryColumns, DataError> {
    let file = ImagesFile { path: path.to_owned(), name: None };
    let (_, resolved) = Table::open(form, &file, &QueryColumns::default(), None, None)?;
    Ok(QueryColumns { text: Some(resolved.text), id: resolved.id, image_ids: resolved.images })
}

/// Checks that a table can be opened and has the columns, as far as its beginning shows.
///
/// # Errors
/// When it cannot be read or lacks a column.
pub fn check_table(
    form: TableForm,
    path: &Path,
    columns: &QueryColumns,
    filter: Option<&RowFilter>,
    image_id: Option<ImageIdPart>,
) -> Result<(), DataError> {
    let file = ImagesFile { path: path.to_owned(), name: None };
    Table::open(form, &file, columns, filter, image_id).map(|_| ())
}
