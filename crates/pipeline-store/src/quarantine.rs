//! `quarantine/`: damaged files, and copies of files that were replaced outside the store.
//!
//! Each file has its original name with a random suffix: `<name>-XXXXXX`. The program never reads from here; a person
//! may look, and a collection empties it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::StoreError;
use crate::durable::{list_folder, make_folder, parent};
use crate::error::At;
use crate::folders::{bytes_below, clear};
use crate::layout::below;

/// A file or folder in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Its name there: the name that it had, with a suffix.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
}

/// The quarantine of one store.
#[derive(Debug)]
pub(crate) struct Quarantine {
    folder: PathBuf,
}

impl Quarantine {
    pub(crate) fn new(store: &Path) -> Self {
        Self { folder: below(store, "quarantine") }
    }

    /// Moves a damaged file or folder of the store here.
    pub(crate) fn take(&self, path: &Path) -> Result<(), StoreError> {
        let folder = self.made()?;
        let kind = parent(path).file_name().unwrap_or_default().to_string_lossy();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!("{kind}{file}-");
        let mut names = tempfile::Builder::new();
        let names = names.prefix(&prefix);
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            let place = names.tempdir_in(folder).at("create", folder)?;
            moved_away(fs::rename(path, &place), path)?;
            let _ = place.keep();
            return Ok(());
        }
        let place = names.tempfile_in(folder).at("create", folder)?.into_temp_path();
        if moved_away(fs::rename(path, &place), path)? {
            place.keep().map_err(|error| error.error).at("keep", folder)?;
        }
        Ok(())
    }

    /// Keeps a copy of a file outside the store that is about to be replaced. Returns its path.
    pub(crate) fn keep_copy(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let folder = self.made()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let place = tempfile::Builder::new().prefix(&format!("{name}-")).tempfile_in(folder).at("create", folder)?;
        fs::copy(path, place.path()).at("write", place.path())?;
        place.into_temp_path().keep().map_err(|error| error.error).at("keep", folder)
    }

    /// The bytes in the quarantine.
    pub(crate) fn bytes(&self) -> Result<u64, StoreError> {
        bytes_below(&self.folder)
    }

    /// The files and folders in the quarantine, by name.
    pub(crate) fn all(&self) -> Result<Vec<Quarantined>, StoreError> {
        let entries = list_folder(&self.folder)?;
        let quarantined = |entry: &fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = match entry.metadata() {
                // Another process empties the quarantine, too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                metadata => metadata.at("read", &entry.path())?,
            };
            let bytes = if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
            Ok(Some(Quarantined { name, bytes }))
        };
        entries.iter().filter_map(|entry| quarantined(entry).transpose()).collect()
    }

    /// Removes everything in the quarantine.
    pub(crate) fn empty(&self) -> Result<(), StoreError> {
        list_folder(&self.folder)?.iter().try_for_each(|entry| clear(&entry.path()))
    }

    fn made(&self) -> Result<&Path, StoreError> {
        make_folder(&self.folder)?;
        Ok(&self.folder)
    }
}

/// True if it was moved, false if another process was faster.
fn moved_away(moved: io::Result<()>, path: &Path) -> Result<bool, StoreError> {
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        moved => moved.at("move to the quarantine", path).map(|()| true),
    }
}
