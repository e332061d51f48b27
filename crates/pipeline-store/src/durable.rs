//! Writes files that appear whole or not at all: written beside, synced, renamed, and the folder synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::StoreError;
use crate::error::At;

/// Whether a file must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Synced, with its folder, because other files rely on it.
    Synced,
    /// Left to the operating system: history and memos, whose loss only costs time.
    Lazy,
}

/// Writes `content` to `scratch` and moves it to `to`.
pub(crate) fn write_whole(scratch: &Path, to: &Path, content: &[u8], durability: Durability) -> Result<(), StoreError> {
    let mut file = File::options().write(true).create_new(true).open(scratch).at("create", scratch)?;
    file.write_all(content).at("write", scratch)?;
    if durability == Durability::Synced {
        file.sync_all().at("sync", scratch)?;
    }
    move_into_place(scratch, to)?;
    if durability == Durability::Synced {
        sync_folder(parent(to))?;
    }
    Ok(())
}

/// Renames `from` to `to`, replacing an existing file; makes the folder if it is missing.
pub(crate) fn move_into_place(from: &Path, to: &Path) -> Result<(), StoreError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(parent(to))?;
            fs::rename(from, to).at("write", to)
        }
        renamed => renamed.at("write", to),
    }
}

/// Makes a folder and its missing parents. Syncs the parent, so that a new folder's name survives.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).at("create", folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Syncs the names in a folder, so that they survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|handle| handle.sync_all());
    match synced {
        // Some network file systems cannot sync a folder; their renames are durable by themselves.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => Ok(()),
        synced => synced.at("sync", folder),
    }
}

/// Removes a file; a missing one is not an error.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}

/// Reads a file; `None` when it is missing. Anything but a plain file is an error, and never blocks.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match pipeline_files::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// The entries of a folder, sorted by name; empty when it is missing.
pub(crate) fn list_folder(folder: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let listed = pipeline_files::again_if_stale(|| fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>());
    let mut entries = match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("list", folder)?,
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// The folder that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().expect("the store's paths are absolute and not the root")
}
