//! Folders with all their content: measured, opened for their owner, removed, and built from a tree.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pipeline_core::Tree;

use crate::StoreError;
use crate::durable::{list_folder, remove_file};
use crate::error::At;

/// The permissions that the owner of a folder needs to move files out of it.
const OWNER_MAY: u32 = 0o700;

/// The names of all folders of a tree, each after its parent.
pub(crate) fn folders_of(tree: &Tree) -> BTreeSet<&str> {
    let names = tree.files.keys().chain(tree.links.keys());
    let above = names.chain(&tree.folders).flat_map(|name| name.match_indices('/').map(|(end, _)| &name[..end]));
    above.chain(tree.folders.iter().map(String::as_str)).collect()
}

/// Makes a folder inside a tree's folder, replacing anything else at its place.
pub(crate) fn make_inner(inner: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(inner) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => clear(inner)?,
        Err(_) => {}
    }
    match fs::create_dir(inner) {
        // Another process fills the same folder.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.at("create", inner),
    }
}

/// Makes a link of the tree, replacing anything else at its place.
pub(crate) fn make_link(link: &Path, target: &str) -> Result<(), StoreError> {
    if is_link_to(link, target) {
        return Ok(());
    }
    if fs::symlink_metadata(link).is_ok() {
        clear(link)?;
    }
    match std::os::unix::fs::symlink(target, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.at("create", link),
    }
}

/// True if a symbolic link with this target lies at `link`.
pub(crate) fn is_link_to(link: &Path, target: &str) -> bool {
    fs::read_link(link).is_ok_and(|found| found == Path::new(target))
}

/// Lets the owner write into a read-only folder, such as those of Go's module cache.
pub(crate) fn open_for_owner(folder: &Path) -> Result<(), StoreError> {
    let mut permissions = fs::symlink_metadata(folder).at("read", folder)?.permissions();
    if permissions.mode() & OWNER_MAY == OWNER_MAY {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() | OWNER_MAY);
    fs::set_permissions(folder, permissions).at("protect", folder)
}

/// The paths of all files below a folder; ignores everything else.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for entry in list_folder(folder)? {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())?),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(files)
}

/// The bytes of all files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in list_folder(folder)? {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += bytes_below(&entry.path())?,
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => {}
        }
    }
    Ok(bytes)
}

/// Removes whatever is at a path.
pub(crate) fn clear(path: &Path) -> Result<(), StoreError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if is_folder { remove_folder(path).at("remove", path) } else { remove_file(path) }
}

/// Removes a folder with all its content, even in folders that their owner may not write.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    if fs::remove_dir_all(folder).is_ok() {
        return Ok(());
    }
    let _ = open_all_for_owner(folder);
    fs::remove_dir_all(folder)
}

fn open_all_for_owner(folder: &Path) -> Result<(), StoreError> {
    open_for_owner(folder)?;
    for entry in list_folder(folder)? {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_all_for_owner(&entry.path())?;
        }
    }
    Ok(())
}
