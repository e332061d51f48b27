//! What is wrong with a file, before it is known which file it is.

use std::io;
use std::path::Path;

use super::ModelError;

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It cannot be read.
    Read(io::Error),
    /// It is not what it should be; completes the sentence that begins with its name.
    Malformed(String),
}

impl Trouble {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self::Malformed(problem.into())
    }

    /// The error that names the file.
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
            // What inflates a stream says so of one that is damaged.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::new("is damaged: it cannot be inflated"),
            _ => Self::Read(error),
        }
    }
}
