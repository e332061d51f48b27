//! The files of a tree's folder: links to objects, each verified when it is made.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use pipeline_core::{FileEntry, Tree};
use rayon::prelude::*;

use super::objects::mark_used;
use super::{Cas, OpenTreeError};
use crate::StoreError;
use crate::check::{FileState, Look, Seen, is_program};
use crate::durable::{list_folder, move_into_place, remove_file};
use crate::error::At;
use crate::folders::{clear, folders_of, make_inner, make_link};

/// The permissions of a program in a tree's folder: executable by all, writable by no one.
const PROGRAM: u32 = 0o555;

/// The way in which a folder refers to objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Hard links, or copies where the file system has no hard links.
    Hard,
    /// Symbolic links, from outside a store that cannot be written.
    Symbolic,
}

impl Cas {
    /// Lays files of a tree out in its folder, each verified.
    ///
    /// Other processes may fill the same folder at the same time: every link appears whole, and all of them make the
    /// same content. Returns the identity of each file just before it was verified, in the order of the files.
    pub(super) fn fill(
        &self,
        files: &[(&String, &FileEntry)],
        folder: &Path,
        links: Links,
    ) -> Result<Vec<Seen>, OpenTreeError> {
        let looks: Result<Vec<Look>, StoreError> = files
            .par_iter()
            .map(|(name, entry)| match links {
                Links::Hard => self.link_verified(entry, &folder.join(name)),
                Links::Symbolic => self.point_verified(entry, &folder.join(name)),
            })
            .collect();
        let looks = looks?;
        let names_in = |wanted| {
            let files = files.iter().zip(&looks).filter(|(_, look)| look.state == wanted);
            files.map(|((name, _), _)| (*name).clone()).collect::<Vec<_>>()
        };
        match (names_in(FileState::Corrupt), names_in(FileState::Missing)) {
            (files, _) if !files.is_empty() => Err(OpenTreeError::Corrupt { files }),
            (_, files) if !files.is_empty() => Err(OpenTreeError::Missing { files }),
            _ => Ok(looks.into_iter().filter_map(|look| look.seen).collect()),
        }
    }

    /// Links an object to `link` and verifies the content at `link`.
    fn link_verified(&self, entry: &FileEntry, link: &Path) -> Result<Look, StoreError> {
        let object = self.object(&entry.digest);
        let Some(metadata) = metadata_if_there(&object)? else {
            return Ok(Look::MISSING);
        };
        // Marked before the look, since the mark changes the identity of the file.
        mark_used(&object, &metadata, self.workspace.in_use_since(), self.workspace.now());
        if fs::symlink_metadata(link).is_ok_and(|there| !there.is_file()) {
            clear(link)?;
        }
        self.lay_out(entry, &object, link)?;
        let mut look = Look::at(link, entry)?;
        if look.state == FileState::Corrupt
            && metadata_if_there(link)?.is_none_or(|linked| linked.ino() != metadata.ino())
        {
            // An old copy of the object, or something else in its place.
            remove_file(link)?;
            self.lay_out(entry, &object, link)?;
            look = Look::at(link, entry)?;
        }
        if look.state == FileState::Corrupt {
            self.quarantine.take(&object)?;
            remove_file(link)?;
        }
        Ok(look)
    }

    /// Creates a file of a tree: a link to the object or, since all links share permissions, a copy of a program.
    fn lay_out(&self, entry: &FileEntry, object: &Path, link: &Path) -> Result<(), StoreError> {
        if entry.executable {
            return if is_there_as_program(link) { Ok(()) } else { self.copy(object, link, Some(PROGRAM)) };
        }
        match fs::hard_link(object, link) {
            Ok(()) => Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(()),
                // Collected at this moment; the check that follows reports it.
                io::ErrorKind::NotFound => Ok(()),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Err(error).at("create", link),
                // This file system has no hard links, or too many lead to this file.
                _ => self.copy(object, link, None),
            },
        }
    }

    /// Copies an object to `link`, with these permissions. Skips an object that was collected at this moment; the check
    /// that follows reports it.
    fn copy(&self, object: &Path, link: &Path, mode: Option<u32>) -> Result<(), StoreError> {
        let scratch = self.workspace.new_path()?;
        match pipeline_files::unless_stale(|| fs::copy(object, &scratch)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            copied => copied.at("write", &scratch)?,
        };
        if let Some(mode) = mode {
            fs::set_permissions(&scratch, fs::Permissions::from_mode(mode)).at("protect", &scratch)?;
        }
        move_into_place(&scratch, link)
    }

    /// Verifies an object in its place and makes a symbolic link to it, or an executable copy.
    fn point_verified(&self, entry: &FileEntry, link: &Path) -> Result<Look, StoreError> {
        let object = self.object(&entry.digest);
        if !entry.executable {
            point(&object, link)?;
            return Look::at(&object, entry);
        }
        if fs::symlink_metadata(link).is_ok() {
            clear(link)?;
        }
        match pipeline_files::unless_stale(|| fs::copy(&object, link)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Look::MISSING);
            }
            copied => copied.at("write", link)?,
        };
        fs::set_permissions(link, fs::Permissions::from_mode(PROGRAM)).at("protect", link)?;
        Look::at(link, entry)
    }
}

/// Makes the folders and links of a tree in its folder.
pub(crate) fn lay_out_folders(tree: &Tree, folder: &Path) -> Result<(), StoreError> {
    folders_of(tree).iter().try_for_each(|inner| make_inner(&folder.join(inner)))?;
    tree.links.iter().try_for_each(|(name, target)| make_link(&folder.join(name), target))
}

/// Removes everything from a tree's folder that is not part of the tree.
pub(super) fn remove_strangers(tree: &Tree, folder: &Path) -> Result<(), StoreError> {
    remove_strangers_below(tree, &folders_of(tree), folder, "")
}

/// Makes a symbolic link to an object. It is there already where the file was found missing before.
fn point(object: &Path, link: &Path) -> Result<(), StoreError> {
    match std::os::unix::fs::symlink(object, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.at("create", link),
    }
}

fn is_there_as_program(link: &Path) -> bool {
    fs::symlink_metadata(link).is_ok_and(|metadata| metadata.is_file() && is_program(&metadata))
}

/// `prefix` is the name of the current subfolder.
fn remove_strangers_below(
    tree: &Tree,
    folders: &BTreeSet<&str>,
    folder: &Path,
    prefix: &str,
) -> Result<(), StoreError> {
    for entry in list_folder(folder)? {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if tree.files.contains_key(&name) || tree.links.contains_key(&name) {
            continue;
        }
        let is_ours = folders.contains(name.as_str());
        if is_ours { remove_strangers_below(tree, folders, &path, &format!("{name}/"))? } else { clear(&path)? }
    }
    Ok(())
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
    use crate::Store;

    #[test]
    fn a_store_that_cannot_be_written_is_read_through_links_from_outside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        let (scratch, cas) = (store.workspace().scratch().unwrap(), store.cas());
        fs::create_dir(scratch.folder().join("inner")).unwrap();
        fs::write(scratch.folder().join("inner/a"), "alpha").unwrap();
        let tree = cas.put_folder(scratch.folder()).unwrap();

        let outside = cas.open_outside(&tree).unwrap();
        assert!(!outside.folder().join("inner/a").exists());
        assert_eq!(fs::read(outside.artifact().file("inner/a").unwrap()).unwrap(), b"alpha");

        let object = cas.object(&tree.files["inner/a"].digest);
        fs::remove_file(&object).unwrap();
        fs::write(&object, "ALPHA").unwrap();
        let outside = cas.open_outside(&tree).unwrap();
        for _ in 0..2 {
            let error = outside.verify_all().unwrap_err();
            assert!(matches!(error, OpenTreeError::Corrupt { .. } | OpenTreeError::Missing { .. }), "{error}");
        }
    }
}
