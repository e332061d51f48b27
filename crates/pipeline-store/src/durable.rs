//! Files that appear whole or not at all: written beside, synced, renamed, and the folder synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::StoreError;
use crate::error::At;

/// Whether a file must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Synced, with its folder: what other files rely on.
    Synced,
    /// Left to the operating system: history and memories, whose loss costs time only.
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

/// Renames `from` to `to`, replacing what is there; makes the folder when it is not there.
pub(crate) fn move_into_place(from: &Path, to: &Path) -> Result<(), StoreError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(parent(to))?;
            fs::rename(from, to).at("write", to)
        }
        renamed => renamed.at("write", to),
    }
}

/// Makes a folder and those above it. A new folder's name is synced with the folder above.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).at("create", folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|handle| handle.sync_all());
    match synced {
        // Some network file systems cannot sync a folder; their renames are durable by themselves.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => Ok(()),
        synced => synced.at("sync", folder),
    }
}

/// Removes a file; one that is not there is removed already.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}

/// Reads a file; none when it is not there. What is no plain file is an error and not waited for.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match pipeline_files::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// The entries of a folder, sorted by name; none when it is not there.
pub(crate) fn list_folder(folder: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("list", folder)?,
    };
    let mut entries = entries.collect::<io::Result<Vec<_>>>().at("list", folder)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// The folder that holds `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().expect("the store's paths are absolute and not the root")
}
