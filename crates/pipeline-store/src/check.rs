//! Compares a file with its expected entry: its length and digest, and whether it was touched since.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pipeline_core::{Digest, FileEntry};

use crate::StoreError;
use crate::error::At;
use crate::hash::hash_file;

/// The result of comparing a file with its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    /// It has the length and digest of its entry.
    Intact,
    /// There is no file.
    Missing,
    /// It has another length or digest, cannot be read back by the disk, or is no regular file.
    Corrupt,
}

/// The identity of a file: writing into it or replacing it changes the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) inode: u64,
    bytes: u64,
    modified_ns: i128,
}

/// A file's state and identity from one look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) state: FileState,
    /// `None` if there was no file.
    pub(crate) seen: Option<Seen>,
}

impl Look {
    /// There is no file.
    pub(crate) const MISSING: Self = Self { state: FileState::Missing, seen: None };

    /// Compares the length and digest of the file at a path with its entry.
    ///
    /// # Errors
    /// When the look itself fails, so that the state is unknown.
    pub(crate) fn at(path: &Path, entry: &FileEntry) -> Result<Self, StoreError> {
        let mut seen = None;
        let digest = pipeline_files::unless_stale(|| {
            let file = pipeline_files::open(path)?;
            let metadata = file.metadata()?;
            seen = Some(Seen::of(&metadata));
            let right_length = metadata.len() == entry.bytes;
            if right_length { hash_file(&file, entry.bytes).map(Some) } else { Ok(None) }
        });
        let state = match digest {
            Ok(Some(digest)) if digest == entry.digest => FileState::Intact,
            Ok(_) => FileState::Corrupt,
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileState::Missing,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => FileState::Corrupt,
            Err(error) if is_bad_disk(&error) || is_no_file(&error) => FileState::Corrupt,
            Err(error) => return Err(error).at("read", path),
        };
        Ok(Self { state, seen })
    }
}

impl Seen {
    /// The identity in a file's metadata. The change time would be too strict: every new link to the file changes it.
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { inode: metadata.ino(), bytes: metadata.len(), modified_ns }
    }
}

/// Compares the length and digest of a file with its entry. A file that the disk cannot read back counts as damaged.
///
/// # Errors
/// When the look itself fails, so that the state is unknown.
pub(crate) fn check_file(path: &Path, entry: &FileEntry) -> Result<FileState, StoreError> {
    Look::at(path, entry).map(|look| look.state)
}

/// The digest of an open file of a known length.
pub(crate) fn digest_of(file: &File, bytes: u64, path: &Path) -> Result<Digest, StoreError> {
    match hash_file(file, bytes) {
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::StaleNetworkFileHandle) => {
            Err(StoreError::ChangesWhileRead { path: path.to_owned() })
        }
        digest => digest.at("read", path),
    }
}

/// True if its owner may run the file.
pub(crate) fn is_program(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o100 != 0
}

/// EIO: the disk cannot read the block back.
pub(crate) fn is_bad_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(5)
}

/// True if a path leads to a folder, FIFO, socket or device.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput)
}
