//! The reasons why a pickle cannot be read.

use std::io;

/// The most steps and values of a pickle: ten times those of any known checkpoint, and at worst half a gigabyte in
/// memory.
pub(super) const MAX_STEPS: u64 = 8 << 20;

/// The reason why a pickle cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PickleError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// The bytes end before the pickle does.
    #[error("its pickle ends too early")]
    CutOff,
    /// It is not a pickle.
    #[error("its pickle is damaged: {0}")]
    Damaged(&'static str),
    /// A byte is not an opcode.
    #[error("its pickle is damaged: {0:#04x} is no opcode")]
    Opcode(u8),
    /// It would take too long or too much memory.
    #[error("its pickle takes more than {MAX_STEPS} steps, as no checkpoint does")]
    TooLong,
}

impl From<io::Error> for PickleError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            // Inflating a damaged stream gives these errors.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Damaged("it cannot be inflated"),
            _ => Self::Read(error),
        }
    }
}
