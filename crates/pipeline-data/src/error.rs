//! Errors of files with rows.

use std::io;
use std::path::PathBuf;

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
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A table of another tool cannot be read.
    #[error("`{}` is not readable Parquet", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The index of a file cannot be kept.
    #[error("the index of `{}` cannot be kept", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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

/// The place of a line, as the beginning of a sentence.
fn line_of(line: Option<u64>) -> String {
    line.map(|line| format!("line {line} of ")).unwrap_or_default()
}
