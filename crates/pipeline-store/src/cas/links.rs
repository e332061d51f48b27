//! The files of a tree's folder: links to objects, each verified when the tree is opened.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use pipeline_core::{FileEntry, Tree};
use rayon::prelude::*;

use crate::cas::listing::remove_folder;
use crate::cas::objects::{copy_object, is_program, mark_used};
use crate::durable::{list_folder, move_into_place, remove_file};
use crate::error::At;
use crate::hash::hash_file;
use crate::{OpenTreeError, Store, StoreError};

/// The permissions of a program in a tree's folder: everybody runs it, nobody writes.
const PROGRAM: u32 = 0o555;

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

/// What a file looked like; whoever writes into it or puts another in its place changes this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) inode: u64,
    bytes: u64,
    modified_ns: i128,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    state: FileState,
    /// None if there was no file.
    seen: Option<Seen>,
}

/// Fills a tree's folder with verified files and nothing else.
///
/// Others may fill the same folder at the same time: every link appears whole, and both want the same.
/// Returns what each file looked like just before it was verified, in the order of the files.
pub(crate) fn fill(store: &Store, tree: &Tree, folder: &Path, links: Links) -> Result<Vec<Seen>, OpenTreeError> {
    let folders = folders_of(tree);
    folders.iter().try_for_each(|inner| make_inner(&folder.join(inner)))?;
    let looks: Result<Vec<Look>, StoreError> = tree
        .files
        .par_iter()
        .map(|(name, entry)| match links {
            Links::Hard => link_verified(store, entry, &folder.join(name)),
            Links::Symbolic => point_verified(store, entry, &folder.join(name)),
        })
        .collect();
    let looks = looks?;
    let names_in = |wanted| {
        let files = tree.files.keys().zip(&looks).filter(|(_, look)| look.state == wanted);
        files.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    match (names_in(FileState::Corrupt), names_in(FileState::Missing)) {
        (files, _) if !files.is_empty() => Err(OpenTreeError::Corrupt { files }),
        (_, files) if !files.is_empty() => Err(OpenTreeError::Missing { files }),
        _ => {
            tree.links.iter().try_for_each(|(name, target)| make_link(&folder.join(name), target))?;
            if links == Links::Hard {
                remove_strangers(tree, &folders, folder, "")?;
            }
            Ok(looks.into_iter().filter_map(|look| look.seen).collect())
        }
    }
}

/// The names of all folders of a tree, each after the one that holds it.
pub(crate) fn folders_of(tree: &Tree) -> BTreeSet<&str> {
    let names = tree.files.keys().chain(tree.links.keys());
    let above = names.chain(&tree.folders).flat_map(|name| name.match_indices('/').map(|(end, _)| &name[..end]));
    above.chain(tree.folders.iter().map(String::as_str)).collect()
}

/// Makes a folder inside a tree's folder, in place of anything else that somebody has put there.
pub(crate) fn make_inner(inner: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(inner) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => clear(inner)?,
        Err(_) => {}
    }
    match fs::create_dir(inner) {
        // Somebody else fills the same folder.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.at("create", inner),
    }
}

/// Makes a link of the tree, in place of anything else.
pub(crate) fn make_link(link: &Path, target: &str) -> Result<(), StoreError> {
    if fs::read_link(link).is_ok_and(|found| found == Path::new(target)) {
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

/// Looks at a file and compares its length and digest. A file that the disk cannot read back counts as damaged.
///
/// # Errors
/// When the look itself fails, so that nothing is known about the file.
pub(crate) fn check_file(path: &Path, entry: &FileEntry) -> Result<FileState, StoreError> {
    look_at(path, entry).map(|look| look.state)
}

fn look_at(path: &Path, entry: &FileEntry) -> Result<Look, StoreError> {
    let mut seen = None;
    let digest = pipeline_files::open(path).and_then(|file| {
        let metadata = file.metadata()?;
        seen = Some(Seen::of(&metadata));
        let right_length = metadata.len() == entry.bytes;
        if right_length { hash_file(&file, entry.bytes).map(Some) } else { Ok(None) }
    });
    let state = match digest {
        Ok(Some(digest)) if digest == entry.digest => FileState::Intact,
        Ok(_) => FileState::Corrupt,
        Err(error) if error.kind() == io::ErrorKind::NotFound => FileState::Missing,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_bad_disk(&error) => FileState::Corrupt,
        // A folder, FIFO, socket or device.
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput) => {
            FileState::Corrupt
        }
        Err(error) => return Err(error).at("read", path),
    };
    Ok(Look { state, seen })
}

impl Seen {
    /// Of a file's metadata. Its change time tells too much: it changes with every link to the file.
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { inode: metadata.ino(), bytes: metadata.len(), modified_ns }
    }
}

/// EIO: the disk cannot read the block back.
pub(crate) fn is_bad_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(5)
}

/// Links an object to `link` and verifies what is there then.
fn link_verified(store: &Store, entry: &FileEntry, link: &Path) -> Result<Look, StoreError> {
    let object = store.layout().object(&entry.digest);
    let Some(metadata) = metadata_if_there(&object)? else {
        return Ok(Look { state: FileState::Missing, seen: None });
    };
    // Before the look, since it changes what the file looks like.
    mark_used(&object, &metadata, store.in_use_since(), store.now());
    if fs::symlink_metadata(link).is_ok_and(|there| !there.is_file()) {
        clear(link)?;
    }
    lay_out(store, entry, &object, link)?;
    let mut look = look_at(link, entry)?;
    if look.state == FileState::Corrupt && metadata_if_there(link)?.is_none_or(|linked| linked.ino() != metadata.ino())
    {
        // Not the object but an old copy of it, or something that was put in its place.
        remove_file(link)?;
        lay_out(store, entry, &object, link)?;
        look = look_at(link, entry)?;
    }
    if look.state == FileState::Corrupt {
        store.quarantine(&object)?;
        remove_file(link)?;
    }
    Ok(look)
}

/// Gives a file of a tree its place: a link to the object or, since all links share permissions, a copy of a program.
fn lay_out(store: &Store, entry: &FileEntry, object: &Path, link: &Path) -> Result<(), StoreError> {
    if entry.executable {
        return if is_there_as_program(link) { Ok(()) } else { copy_program(store, object, link) };
    }
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

fn is_there_as_program(link: &Path) -> bool {
    fs::symlink_metadata(link).is_ok_and(|metadata| metadata.is_file() && is_program(&metadata))
}

fn copy_program(store: &Store, object: &Path, link: &Path) -> Result<(), StoreError> {
    let scratch = store.session()?.new_path();
    match fs::copy(object, &scratch) {
        // Collected this very moment.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        copied => copied.at("write", &scratch)?,
    };
    fs::set_permissions(&scratch, fs::Permissions::from_mode(PROGRAM)).at("protect", &scratch)?;
    move_into_place(&scratch, link)
}

/// Verifies an object in its place and makes a symbolic link to it, or a copy that can be run.
fn point_verified(store: &Store, entry: &FileEntry, link: &Path) -> Result<Look, StoreError> {
    let object = store.layout().object(&entry.digest);
    if !entry.executable {
        std::os::unix::fs::symlink(&object, link).at("create", link)?;
        return look_at(&object, entry);
    }
    match fs::copy(&object, link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Look { state: FileState::Missing, seen: None });
        }
        copied => copied.at("write", link)?,
    };
    fs::set_permissions(link, fs::Permissions::from_mode(PROGRAM)).at("protect", link)?;
    look_at(link, entry)
}

/// Removes what somebody else has left in a tree's folder, `prefix` being the name of the part looked at.
fn remove_strangers(tree: &Tree, folders: &BTreeSet<&str>, folder: &Path, prefix: &str) -> Result<(), StoreError> {
    for entry in list_folder(folder)? {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if tree.files.contains_key(&name) || tree.links.contains_key(&name) {
            continue;
        }
        let is_ours = folders.contains(name.as_str());
        if is_ours { remove_strangers(tree, folders, &path, &format!("{name}/"))? } else { clear(&path)? }
    }
    Ok(())
}

/// Removes whatever is at a path.
pub(crate) fn clear(path: &Path) -> Result<(), StoreError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if is_folder { remove_folder(path).at("remove", path) } else { remove_file(path) }
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
