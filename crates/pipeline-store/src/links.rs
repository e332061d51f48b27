//! The files of a tree's folder: links to objects, each verified when the tree is opened.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pipeline_core::{FileEntry, Tree};
use rayon::prelude::*;

use crate::durable::{list_folder, parent, remove_file};
use crate::error::At;
use crate::hash::hash_file;
use crate::objects::{copy_object, mark_used};
use crate::{OpenTreeError, Store, StoreError};

/// How a folder leads to the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// By hard links, or by copies where the file system has none.
    Hard,
    /// By symbolic links, from outside a store that cannot be written.
    Symbolic,
}

/// What a look at a file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    Intact,
    Missing,
    Corrupt,
}

/// Fills a tree's folder with verified files and nothing else.
///
/// Others may fill the same folder at the same time: every link appears whole, and both want the same.
pub(crate) fn fill(store: &Store, tree: &Tree, folder: &Path, links: Links) -> Result<(), OpenTreeError> {
    let folders: BTreeSet<PathBuf> = tree.files.keys().map(|name| parent(&folder.join(name)).to_owned()).collect();
    for inner in &folders {
        fs::create_dir_all(inner).at("create", inner)?;
    }
    let states: Result<Vec<FileState>, StoreError> = tree
        .files
        .par_iter()
        .map(|(name, entry)| match links {
            Links::Hard => link_verified(store, entry, &folder.join(name)),
            Links::Symbolic => point_verified(store, entry, &folder.join(name)),
        })
        .collect();
    let states = states?;
    let names_in = |wanted| {
        let files = tree.files.keys().zip(&states).filter(|(_, state)| **state == wanted);
        files.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    match (names_in(FileState::Corrupt), names_in(FileState::Missing)) {
        (files, _) if !files.is_empty() => Err(OpenTreeError::Corrupt { files }),
        (_, files) if !files.is_empty() => Err(OpenTreeError::Missing { files }),
        _ if links == Links::Hard => Ok(remove_strangers(tree, folder, "")?),
        _ => Ok(()),
    }
}

/// Looks at a file and compares its length and digest. A file that the disk cannot read back counts as damaged.
///
/// # Errors
/// When the look itself fails, so that nothing is known about the file.
pub(crate) fn check_file(path: &Path, entry: &FileEntry) -> Result<FileState, StoreError> {
    let digest = pipeline_files::open(path).and_then(|file| {
        let metadata = file.metadata()?;
        let right_length = metadata.len() == entry.bytes;
        if right_length { hash_file(&file, entry.bytes).map(Some) } else { Ok(None) }
    });
    match digest {
        Ok(Some(digest)) if digest == entry.digest => Ok(FileState::Intact),
        Ok(_) => Ok(FileState::Corrupt),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FileState::Missing),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_bad_disk(&error) => Ok(FileState::Corrupt),
        // A folder, FIFO, socket or device.
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput) => {
            Ok(FileState::Corrupt)
        }
        Err(error) => Err(error).at("read", path),
    }
}

/// EIO: the disk cannot read the block back.
fn is_bad_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(5)
}

/// Links an object to `link` and verifies what is there then.
fn link_verified(store: &Store, entry: &FileEntry, link: &Path) -> Result<FileState, StoreError> {
    let object = store.layout().object(&entry.digest);
    let Some(metadata) = metadata_if_there(&object)? else { return Ok(FileState::Missing) };
    if fs::symlink_metadata(link).is_ok_and(|there| !there.is_file()) {
        clear(link)?;
    }
    link_object(store, &object, link)?;
    let mut state = check_file(link, entry)?;
    if state == FileState::Corrupt && metadata_if_there(link)?.is_none_or(|linked| linked.ino() != metadata.ino()) {
        // Not the object but an old copy of it, or something that was put in its place.
        remove_file(link)?;
        link_object(store, &object, link)?;
        state = check_file(link, entry)?;
    }
    match state {
        FileState::Intact => {
            mark_used(&object, &metadata, store.in_use_since());
        }
        FileState::Missing => {}
        FileState::Corrupt => {
            store.quarantine(&object)?;
            remove_file(link)?;
        }
    }
    Ok(state)
}

fn link_object(store: &Store, object: &Path, link: &Path) -> Result<(), StoreError> {
    match fs::hard_link(object, link) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            // Collected this very moment; the check that follows says so.
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Err(error).at("create", link),
            // No hard links on this file system, or too many to this file.
            _ => copy_object(object, &store.session()?.new_path(), link),
        },
    }
}

/// Verifies an object in its place and makes a symbolic link to it.
fn point_verified(store: &Store, entry: &FileEntry, link: &Path) -> Result<FileState, StoreError> {
    let object = store.layout().object(&entry.digest);
    std::os::unix::fs::symlink(&object, link).at("create", link)?;
    check_file(&object, entry)
}

/// Removes what somebody else has left in a tree's folder, `prefix` being the name of the part looked at.
fn remove_strangers(tree: &Tree, folder: &Path, prefix: &str) -> Result<(), StoreError> {
    for entry in list_folder(folder)? {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if tree.files.contains_key(&name) {
            continue;
        }
        let inner = format!("{name}/");
        let leads_to_files = tree.files.range(inner.clone()..).next().is_some_and(|(file, _)| file.starts_with(&inner));
        if leads_to_files { remove_strangers(tree, &path, &inner)? } else { clear(&path)? }
    }
    Ok(())
}

/// Removes whatever is at a path.
fn clear(path: &Path) -> Result<(), StoreError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if is_folder { fs::remove_dir_all(path).at("remove", path) } else { remove_file(path) }
}

fn metadata_if_there(path: &Path) -> Result<Option<fs::Metadata>, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_cannot_be_written_is_read_through_links_from_outside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        let scratch = store.scratch().unwrap();
        fs::create_dir(scratch.folder().join("inner")).unwrap();
        fs::write(scratch.folder().join("inner/a"), "alpha").unwrap();
        let tree = store.put_folder(scratch.folder()).unwrap();

        let outside = tempfile::tempdir().unwrap();
        fill(&store, &tree, outside.path(), Links::Symbolic).unwrap();
        assert_eq!(fs::read(outside.path().join("inner/a")).unwrap(), b"alpha");

        let object = store.layout().object(&tree.files["inner/a"].digest);
        fs::remove_file(&object).unwrap();
        fs::write(&object, "ALPHA").unwrap();
        let outside = tempfile::tempdir().unwrap();
        let error = fill(&store, &tree, outside.path(), Links::Symbolic).unwrap_err();
        assert!(matches!(error, OpenTreeError::Corrupt { .. }), "{error}");
    }
}
