//! Files of artifacts outside the store: copied there verified, and compared with what is there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use pipeline_core::FileEntry;
use tempfile::TempPath;

use crate::durable::{make_folder, move_into_place, parent, sync_folder};
use crate::error::At;
use crate::links::{FileState, check_file};
use crate::objects::is_program;
use crate::{OpenTreeError, Store, StoreError};

impl Store {
    /// Copies a file of an artifact to a path outside the store, in place of what is there.
    ///
    /// Readers of the path see the old file or the new one, whole and verified.
    ///
    /// # Errors
    /// When the object is missing or damaged (then it is quarantined), or the target cannot be written.
    pub fn copy_out(&self, entry: &FileEntry, to: &Path) -> Result<(), OpenTreeError> {
        let to = std::path::absolute(to).at("find", to)?;
        make_folder(parent(&to))?;
        // A killed process's copy is swept from its scratch folder; beside the target it would stay for ever.
        match self.copy_and_move(entry, new_file_for(&to, parent(&self.session()?.new_path()), entry.executable)?, &to)
        {
            Err(OpenTreeError::Store(StoreError::Io { source, .. })) if is_elsewhere(&source) => {
                self.copy_and_move(entry, new_file_for(&to, parent(&to), entry.executable)?, &to)?;
            }
            moved => moved?,
        }
        Ok(sync_folder(parent(&to))?)
    }

    /// Copies an object to `scratch`, an empty file, and moves the copy to `to` if it is intact.
    fn copy_and_move(&self, entry: &FileEntry, scratch: TempPath, to: &Path) -> Result<(), OpenTreeError> {
        let files = vec![to.display().to_string()];
        let object = self.layout().object(&entry.digest);
        match copy(&object, &scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenTreeError::Missing { files }),
            copied => copied.at("write", &scratch)?,
        }
        // The copy is checked and not the object: it is what will be read.
        if check_file(&scratch, entry)? != FileState::Intact {
            self.quarantine(&object)?;
            return Err(OpenTreeError::Corrupt { files });
        }
        move_into_place(&scratch, to)?;
        // It has its place: nothing is left to remove.
        let _ = scratch.keep();
        Ok(())
    }

    /// True if the file at `path` is exactly this one. Reads it only if it was touched since it was last read.
    pub fn matches(&self, entry: &FileEntry, path: &Path) -> bool {
        let is_like_it = |metadata: &fs::Metadata| {
            metadata.is_file() && metadata.len() == entry.bytes && (is_program(metadata) || !entry.executable)
        };
        fs::metadata(path).is_ok_and(|metadata| is_like_it(&metadata))
            && self.source_digest(path).is_ok_and(|digest| digest == entry.digest)
    }
}

/// True if a file cannot be renamed because its new place is on another file system.
fn is_elsewhere(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::CrossesDevices
}

/// An empty file in `folder` that is to become `to`, with the permissions that any new file or program gets; removed when
/// dropped.
fn new_file_for(to: &Path, folder: &Path, executable: bool) -> Result<TempPath, StoreError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(if executable { 0o777 } else { 0o666 });
    let scratch = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .permissions(permissions)
        .tempfile_in(folder)
        .at("write", &folder.join(&*name))?;
    Ok(scratch.into_temp_path())
}

fn copy(object: &Path, scratch: &Path) -> io::Result<()> {
    let mut to = File::options().write(true).open(scratch)?;
    io::copy(&mut pipeline_files::open(object)?, &mut to)?;
    to.sync_all()
}
