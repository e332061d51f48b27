//! The reasons why a remote did not do what it was asked for.

use std::io;

/// A failure of a remote, or of the file of this machine that is transferred.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It does not let this user in: another attempt is of no use.
    #[error("it refuses access: {0}")]
    Refused(String),
    /// It cannot be reached, breaks off, or has a fault of its own: another attempt may succeed.
    #[error("it fails: {0}")]
    Unavailable(String),
    /// It does not do this, whoever asks.
    #[error("it rejects the request: {0}")]
    Rejected(String),
    /// A file is longer than its reader accepts.
    #[error("`{name}` is longer than the {max_bytes} bytes that it must have")]
    TooLong {
        /// The file.
        name: String,
        /// The most bytes.
        max_bytes: u64,
    },
    /// The file of this machine cannot be read or written.
    #[error("a file of this machine cannot be read or written")]
    Local(#[source] io::Error),
    /// It has failed before, and this process does not ask it any more.
    #[error("it is not asked any more: {0}")]
    Off(String),
}

impl RemoteError {
    /// True if another attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
