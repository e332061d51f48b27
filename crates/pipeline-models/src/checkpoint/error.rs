//! Errors of reading or writing a checkpoint.

use std::path::{Path, PathBuf};

use crate::weights::ModelError;

/// The reason why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read, is not a checkpoint, or does not hold the tensors of two heads.
    #[error("the projection cannot be read")]
    Read(#[from] ModelError),
    /// The file cannot be written.
    #[error("`{}` cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A row of what is to be written cannot be read.
    #[error(transparent)]
    Row(#[from] std::io::Error),
}

/// Writes a whole file.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    std::fs::write(path, bytes).map_err(|source| CheckpointError::Write { path: path.to_owned(), source })
}
