//! The error of reading an artifact.

use std::path::Path;

use crate::StoreError;

/// The reason why an artifact cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenTreeError {
    /// Some of its files are not in the store (any more).
    #[error("{} of the artifact's files are not in the store: {}", files.len(), shown(files))]
    Missing {
        /// Their names.
        files: Vec<String>,
    },
    /// Some of its files were damaged. They are quarantined, so that the next attempt finds them missing.
    #[error("{} of the artifact's files are damaged: {}", files.len(), shown(files))]
    Corrupt {
        /// Their names.
        files: Vec<String>,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenTreeError {
    /// The error for one file, by its destination.
    pub(super) fn missing(to: &Path) -> Self {
        Self::Missing { files: vec![to.display().to_string()] }
    }
}

fn shown(files: &[String]) -> String {
    let mut text = files.iter().take(3).map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ");
    if files.len() > 3 {
        text.push_str(", …");
    }
    text
}
