//! Rows that are computed one after the other and read again: in memory while they are few, then in a scratch file.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use pipeline_kernels::{Matrix, RowReader};

use crate::DataError;
use crate::shards::bytes;

/// Numbers that are held in memory, in bytes.
const MEMORY_BYTES: usize = 64 << 20;

/// Rows of as many numbers each. A scratch file is removed when this is dropped.
///
/// # Shapes
/// `[n_rows, n_cols]`
#[derive(Debug)]
pub struct ScratchRows {
    n_rows: usize,
    n_cols: usize,
    folder: Option<PathBuf>,
    memory_bytes: usize,
    place: RowsPlace,
}

/// Where all rows are.
#[derive(Debug)]
enum RowsPlace {
    Memory(Vec<f32>),
    File(ScratchFile),
}

#[derive(Debug)]
struct ScratchFile {
    path: PathBuf,
    file: File,
}

impl ScratchRows {
    /// No rows of `n_cols` numbers. Once they take more than 64 MiB, they lie in a file in `folder`; without a folder
    /// all of them are held in memory.
    pub fn new(folder: Option<&Path>, n_cols: usize) -> Self {
        Self::with_memory(folder, n_cols, MEMORY_BYTES)
    }

    fn with_memory(folder: Option<&Path>, n_cols: usize, memory_bytes: usize) -> Self {
        let folder = folder.map(Path::to_owned);
        Self { n_rows: 0, n_cols, folder, memory_bytes, place: RowsPlace::Memory(Vec::new()) }
    }

    /// The rows as a matrix.
    ///
    /// # Panics
    /// When they have a folder, and so may lie in a file: a bug of the caller.
    pub fn into_matrix(self) -> Matrix {
        match self.place {
            RowsPlace::Memory(values) if self.folder.is_none() => Matrix::new(self.n_rows, self.n_cols, values),
            _ => panic!("BUG: rows that may lie in a file"),
        }
    }

    /// Adds rows behind the others.
    ///
    /// # Shapes
    /// `values`: `[any, n_cols]`
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When `values` has no whole number of rows: a bug of the caller.
    pub fn append(&mut self, values: &[f32]) -> Result<(), DataError> {
        let n_rows = values.len() / self.n_cols.max(1);
        assert_eq!(values.len(), n_rows * self.n_cols, "BUG: rows of {} numbers", self.n_cols);
        let first_row = self.n_rows;
        self.n_rows += n_rows;
        let n_bytes = 4 * self.n_rows * self.n_cols;
        match (&mut self.place, &self.folder) {
            (RowsPlace::File(file), _) => file.write(first_row * self.n_cols, values)?,
            (RowsPlace::Memory(before), Some(folder)) if n_bytes > self.memory_bytes => {
                let file = ScratchFile::create(folder)?;
                file.write(0, before)?;
                file.write(first_row * self.n_cols, values)?;
                self.place = RowsPlace::File(file);
            }
            (RowsPlace::Memory(before), _) => before.extend_from_slice(values),
        }
        Ok(())
    }
}

impl ScratchFile {
    fn create(folder: &Path) -> Result<Self, DataError> {
        let unwritable = |path: &Path, source| DataError::Write { path: path.to_owned(), source };
        for number in 0.. {
            let path = folder.join(format!(".rows-{number}"));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritable(&path, error)),
            }
        }
        unreachable!("a folder has no file of every number")
    }

    fn write(&self, first_value: usize, values: &[f32]) -> Result<(), DataError> {
        self.file
            .write_all_at(&bytes::of(values), 4 * first_value as u64)
            .map_err(|source| DataError::Write { path: self.path.clone(), source })
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        // Where it cannot be removed, the store removes the folder.
        let _ = fs::remove_file(&self.path);
    }
}

impl RowReader for ScratchRows {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn n_cols(&self) -> usize {
        self.n_cols
    }

    fn read_rows(&self, rows: &[usize], values: &mut [f32]) -> io::Result<()> {
        assert_eq!(values.len(), rows.len() * self.n_cols, "BUG: {} rows of {} numbers", rows.len(), self.n_cols);
        let mut values = values;
        // Consecutive rows at once.
        for run in rows.chunk_by(|row_idx, next| row_idx + 1 == *next) {
            let (part, rest) = values.split_at_mut(run.len() * self.n_cols);
            let first_value = run[0] * self.n_cols;
            match &self.place {
                RowsPlace::Memory(all) => part.copy_from_slice(&all[first_value..][..part.len()]),
                RowsPlace::File(ScratchFile { path, file }) => {
                    bytes::fill(part, |bytes| file.read_exact_at(bytes, 4 * first_value as u64))
                        .map_err(|source| io::Error::other(DataError::Read { path: path.clone(), source }))?;
                }
            }
            values = rest;
        }
        Ok(())
    }

    fn in_memory(&self, rows: Range<usize>) -> Option<&[f32]> {
        match &self.place {
            RowsPlace::Memory(all) => Some(&all[rows.start * self.n_cols..rows.end * self.n_cols]),
            RowsPlace::File(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_same_in_memory_and_in_a_file_that_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f32> = (0..90).map(|idx| idx as f32).collect();
        for (memory_bytes, n_files) in [(1000, 0), (360, 0), (359, 1), (12, 1), (0, 1)] {
            let mut both =
                [folder.path(), folder.path()].map(|path| ScratchRows::with_memory(Some(path), 3, memory_bytes));
            for rows in &mut both {
                [&values[..6], &[], &values[6..15], &values[15..]].iter().for_each(|part| rows.append(part).unwrap());
                assert_eq!((rows.n_rows(), rows.n_cols()), (30, 3));
                assert_eq!(rows.in_memory(2..4), (n_files == 0).then_some(&values[6..12]));
            }
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 2 * n_files, "{memory_bytes} bytes in memory");
            let mut read = [0.0; 9];
            both[1].read_rows(&[29, 16, 17], &mut read).unwrap();
            assert_eq!(read, [87.0, 88.0, 89.0, 48.0, 49.0, 50.0, 51.0, 52.0, 53.0]);
            drop(both);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        }
        let mut rows = ScratchRows::with_memory(None, 3, 0);
        rows.append(&values).unwrap();
        assert!(rows.in_memory(0..30).is_some());
        assert_eq!(rows.into_matrix(), Matrix::new(30, 3, values));
    }
}
