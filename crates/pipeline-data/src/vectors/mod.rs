//! Vectors from other tools and for them: NumPy, Chinese-CLIP's lines, Parquet with any kind of list.
//!
//! What the store itself holds are [shards](crate::VectorShard); nothing here writes one.

mod jsonl;
mod npy;
mod npy_header;
mod tables;

use std::path::Path;

pub use jsonl::read_jsonl_vectors;
pub use npy::{read_npy_texts, read_npy_vectors, write_npy};
pub use tables::{read_table_texts, read_table_vectors, write_list_vectors};

use crate::DataError;
use crate::lines::Lines;

/// Reads ids: those of a `.npy` of texts or integers, told by its first bytes, else one a line of a text file.
///
/// # Errors
/// When the file cannot be read, is not UTF-8 or is a `.npy` of something else.
pub fn read_ids(path: &Path) -> Result<Vec<String>, DataError> {
    let mut file = pipeline_files::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    if npy::is_npy(&mut file).map_err(|source| DataError::Read { path: path.to_owned(), source })? {
        return read_npy_texts(path);
    }
    let mut lines = Lines::new(file);
    let mut ids = Vec::new();
    loop {
        let line = lines.next_line().map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let Some(line) = line else { return Ok(ids) };
        let text = line.bytes.and_then(|bytes| str::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| wrong_row(path, line.number, "is not UTF-8 or longer than 256 MiB"))?;
        ids.push(text.to_owned());
    }
}

/// Writes ids, one a line.
///
/// # Errors
/// When the file cannot be written, or an id has a line end in it: then [`read_ids`] would see two.
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

/// The error of a file that is not as its format says.
fn malformed(path: &Path, problem: impl Into<String>) -> DataError {
    DataError::Malformed { path: path.to_owned(), problem: problem.into() }
}

/// The error of one row, counted from 1.
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
        let ids = ["1", " a b", "图", ""].map(|id| Some(id.to_owned()));
        write_ids(&path, &ids).unwrap();
        assert_eq!(read_ids(&path).unwrap(), ["1", " a b", "图", ""]);
        let error = write_ids(&path, &[Some("a\nb".to_owned())]).unwrap_err().to_string();
        assert!(error.starts_with("row 1 of `"), "{error}");
    }
}
