//! Files of artifacts outside the store: copied there verified, and compared with what is there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use pipeline_core::FileEntry;

use crate::durable::{make_folder, move_into_place, parent, sync_folder};
use crate::error::At;
use crate::links::{FileState, check_file};
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
        let files = vec![to.display().to_string()];
        let object = self.layout().object(&entry.digest);
        make_folder(parent(&to))?;
        let scratch = new_file_beside(&to)?;
        match copy(&object, &scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenTreeError::Missing { files }),
            copied => copied.at("write", &to)?,
        }
        // The copy is checked and not the object: it is what will be read.
        if check_file(&scratch, entry)? != FileState::Intact {
            self.quarantine(&object)?;
            return Err(OpenTreeError::Corrupt { files });
        }
        move_into_place(&scratch, &to)?;
        sync_folder(parent(&to))?;
        // It has its place: nothing is left to remove.
        let _ = scratch.keep();
        Ok(())
    }

    /// True if the file at `path` is exactly this one. Reads it only if it was touched since it was last read.
    pub fn matches(&self, entry: &FileEntry, path: &Path) -> bool {
        let same_length = fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == entry.bytes);
        same_length && self.source_digest(path).is_ok_and(|digest| digest == entry.digest)
    }
}

/// An empty file in the folder of `to`, with the permissions that any new file gets; removed when dropped.
fn new_file_beside(to: &Path) -> Result<tempfile::TempPath, StoreError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let scratch = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .permissions(permissions)
        .tempfile_in(parent(to))
        .at("write", to)?;
    Ok(scratch.into_temp_path())
}

fn copy(object: &Path, scratch: &Path) -> io::Result<()> {
    let mut to = File::options().write(true).open(scratch)?;
    io::copy(&mut File::open(object)?, &mut to)?;
    to.sync_all()
}
