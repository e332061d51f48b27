//! A file beside its destination: written whole first, then renamed, and removed if that never happens.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::StoreError;
use crate::durable::{move_into_place, parent};
use crate::error::At;
use crate::layout::absolute;

/// An empty file that will replace the one at a path.
#[derive(Debug)]
pub struct Replacement {
    file: TempPath,
    to: PathBuf,
}

impl Replacement {
    /// Makes the file in the folder of its destination, which exists, for a command that fills it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn beside(to: &Path) -> Result<Self, StoreError> {
        Self::of(to, parent(&absolute(to)?), false)
    }

    /// Makes the file in `folder`, with the permissions of any new file or program.
    pub(super) fn of(to: &Path, folder: &Path, executable: bool) -> Result<Self, StoreError> {
        let mode = if executable { 0o777 } else { 0o666 };
        let mut names = tempfile::Builder::new();
        let names = names.prefix(".pipeline-").permissions(std::fs::Permissions::from_mode(mode));
        let file = names.tempfile_in(folder).at("write", to)?.into_temp_path();
        Ok(Self { file, to: to.to_owned() })
    }

    /// The path to write.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Moves it to its destination.
    ///
    /// # Errors
    /// When the file system refuses; then the file is removed, and the destination stays unchanged.
    pub fn take_place(self) -> Result<(), StoreError> {
        move_into_place(&self.file, &self.to)?;
        // The file has moved: there is nothing left to remove.
        let _ = self.file.keep();
        Ok(())
    }
}
