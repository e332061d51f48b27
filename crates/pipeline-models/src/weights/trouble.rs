//! The fault of a file, without its path yet.

use std::io;
use std::path::Path;

use super::ModelError;

/// The fault of a file.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It cannot be read.
    Read(io::Error),
    /// Its content is wrong; completes a sentence that begins with its name.
    Malformed(String),
}

impl Trouble {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self::Malformed(problem.into())
    }

    /// Adds the file's path.
    pub(super) fn at(self, path: &Path) -> ModelError {
        let path = path.to_owned();
        match self {
            Self::Read(source) => ModelError::Read { path, source },
            Self::Malformed(problem) => ModelError::Malformed { path, problem },
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::new("is cut off"),
            // Inflating a damaged stream gives these errors.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::new("is damaged: it cannot be inflated"),
            _ => Self::Read(error),
        }
    }
}
