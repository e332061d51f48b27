//! Vectors from and for other tools: NumPy, Chinese-CLIP's lines, Parquet with any kind of list.
//!
//! The store's own vectors are [shards](crate::VectorShard), which this module does not write.

mod jsonl;
mod npy;
mod npy_header;
mod npy_numbers;
mod table_columns;
mod tables;

use std::io::{self, Read as _};
use std::path::Path;

pub use jsonl::read_jsonl_vectors;
pub use npy::{read_npy_texts, read_npy_vectors, write_npy};
pub use tables::{read_table_texts, read_table_vectors, write_list_vectors};

use serde_json::value::RawValue;

use crate::DataError;
use crate::content::open_text;
use crate::json_line::{IdValue, short};
use crate::lines::Lines;

/// Reads ids: from a `.npy` of texts or integers (by its first bytes), a list in a `.json`, or the lines of a text
/// file. Empty lines at its end are ignored.
///
/// # Errors
/// When the file cannot be read, is not UTF-8 or holds something else.
pub fn read_ids(path: &Path) -> Result<Vec<String>, DataError> {
    let mut file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    if npy::is_npy(&mut file).map_err(|source| DataError::Read { path: path.to_owned(), source })? {
        return read_npy_texts(path);
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        return read_json_ids(path);
    }
    let mut lines = Lines::new(open_text(path)?);
    let mut ids: Vec<String> = Vec::new();
    loop {
        let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let Some(line) = line else { break };
        let text = line.bytes.and_then(|bytes| str::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| wrong_row(path, line.number, "is not UTF-8 or longer than 256 MiB"))?;
        ids.push(text.to_owned());
    }
    while ids.last().is_some_and(String::is_empty) {
        ids.pop();
    }
    Ok(ids)
}

/// The ids of one JSON list.
fn read_json_ids(path: &Path) -> Result<Vec<String>, DataError> {
    let mut file = open_text(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let values: Vec<&RawValue> =
        serde_json::from_str(&text).map_err(|error| malformed(path, format!("is no JSON list of ids: {error}")))?;
    let id = |(idx, value): (usize, &&RawValue)| match IdValue::of(value) {
        IdValue::Id(id) => Ok(id),
        _ => Err(wrong_row(path, idx as u64 + 1, format!("is `{}`, which is no id", short(value)))),
    };
    values.iter().enumerate().map(id).collect()
}

/// Writes ids, one per line.
///
/// # Errors
/// When the file cannot be written, or an id contains a line break: then [`read_ids`] would see two.
pub fn write_ids(path: &Path, ids: &[Option<String>]) -> Result<(), DataError> {
    let mut text = String::new();
    for (row_idx, id) in ids.iter().enumerate() {
        let id = id.as_deref().unwrap_or_default();
        if id.contains(['\n', '\r']) {
            return Err(wrong_row(path, row_idx as u64 + 1, "would hold an id with a line end in it"));
        }
        text.push_str(id);
        text.push('\n');
    }
    std::fs::write(path, text).map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// The error for rows that were not written: a row that could not be read has its own.
fn unwritten(path: &Path, error: io::Error) -> DataError {
    match error.downcast::<DataError>() {
        Ok(unreadable) => unreadable,
        Err(source) => DataError::Write { path: path.to_owned(), source },
    }
}

/// The error for a file that violates its format.
pub(crate) fn malformed(path: &Path, problem: impl Into<String>) -> DataError {
    DataError::Malformed { path: path.to_owned(), problem: problem.into() }
}

/// The error for one row, counted from 1.
fn wrong_row(path: &Path, row: u64, problem: impl Into<String>) -> DataError {
    DataError::Row { path: path.to_owned(), row, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_and_those_of_two_lines_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.txt");
        let ids = ["1", " a b", "", "图"].map(|id| Some(id.to_owned()));
        write_ids(&path, &ids).unwrap();
        assert_eq!(read_ids(&path).unwrap(), ["1", " a b", "", "图"]);
        std::fs::write(&path, "\u{feff}1\r\n2\r\n\r\n").unwrap();
        assert_eq!(
            read_ids(&path).unwrap(),
            ["1", "2"],
            "a byte order mark, other line ends, an empty line at the end"
        );
        let json = folder.path().join("ids.json");
        std::fs::write(&json, "[1, \"a\",\n 2.0]").unwrap();
        assert_eq!(read_ids(&json).unwrap(), ["1", "a", "2.0"]);
        std::fs::write(&json, "[1, null]").unwrap();
        assert!(read_ids(&json).unwrap_err().to_string().ends_with("is `null`, which is no id"));
        std::fs::write(&path, b"PK\x03\x04").unwrap();
        assert!(read_ids(&path).unwrap_err().to_string().contains("is a zip archive"));
        let error = write_ids(&path, &[Some("a\nb".to_owned())]).unwrap_err().to_string();
        assert!(error.starts_with("row 1 of `"), "{error}");
    }
}
