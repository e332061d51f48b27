//! Errors of files with rows.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// The reason why a data file could not be read or written. Merely odd rows are not errors, see
/// [`SkippedLine`](crate::SkippedLine).
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read to its end.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file has changed since it was opened.
    #[error("{}`{}` changed while it was being read", line_of(*line), path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The line, row or member, counted from 1; `None` for the whole file.
        line: Option<u64>,
    },
    /// The caller asked to stop.
    #[error("stopped reading `{}`", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// The file is not Parquet, or Parquet cannot be written.
    #[error("`{}` is not a readable shard", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A table of another tool cannot be read.
    #[error("`{}` is not readable Parquet", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The index of a file cannot be kept.
    #[error("the index of `{}` cannot be kept", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The shard has other columns than its reader expects.
    #[error("`{}` does not have the columns of a shard of {expected}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The expected contents, such as `queries`.
        expected: &'static str,
    },
    /// The file violates its format, or does not contain vectors and ids.
    #[error("`{}` {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The fault, as the rest of a sentence.
        problem: String,
    },
    /// One row of the file cannot be used.
    #[error("row {row} of `{}` {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row or line, counted from 1.
        row: u64,
        /// The fault, as the rest of a sentence.
        problem: String,
    },
}

impl DataError {
    /// The error of a Parquet file: that of the disk where it has one, such as a full disk, else that of the format.
    pub(crate) fn of_parquet(path: &Path, source: Box<dyn Error + Send + Sync>) -> Self {
        let path = path.to_owned();
        match io_error(&*source) {
            Some(source) => Self::Write { path, source },
            None => Self::Parquet { path, source },
        }
    }
}

/// The error of the operating system for a write among the causes, as a copy.
fn io_error(error: &(dyn Error + 'static)) -> Option<io::Error> {
    let causes = std::iter::successors(Some(error), |error| Error::source(*error));
    let of_writes = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
    let mut codes = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    let found = codes.find(|error| of_writes.contains(&error.kind()))?;
    Some(found.raw_os_error().map_or_else(|| found.kind().into(), io::Error::from_raw_os_error))
}

/// The place of a line, as the beginning of a sentence.
fn line_of(line: Option<u64>) -> String {
    line.map(|line| format!("line {line} of ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use parquet::errors::ParquetError;

    use super::*;

    #[test]
    fn a_full_disk_is_no_fault_of_the_shard() {
        let failed = |code: i32| {
            let source = ParquetError::from(io::Error::from_raw_os_error(code));
            DataError::of_parquet(Path::new("a.parquet"), source.into())
        };
        const ENOSPC: i32 = 28;
        const EFBIG: i32 = 27;
        const EIO: i32 = 5;
        for code in [ENOSPC, EFBIG] {
            let error = failed(code);
            assert_eq!(error.to_string(), "cannot write `a.parquet`");
            let DataError::Write { source, .. } = error else { panic!("{error:?}") };
            assert_eq!(source.raw_os_error(), Some(code));
        }
        assert!(matches!(failed(EIO), DataError::Parquet { .. }));
    }
}
