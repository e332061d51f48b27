//! Objects: the files of artifacts, each stored once under its digest.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use pipeline_core::{Digest, FileEntry, Tree};
use rayon::prelude::*;

use crate::cas::listing::{Listing, check_links};
use crate::durable::{make_folder, move_into_place, parent, remove_file, sync_folder};
use crate::error::At;
use crate::hash::hash_file;
use crate::session::Session;
use crate::sources::memo::Identity;
use crate::{Store, StoreError};

/// The permissions of objects: nobody writes.
const READ_ONLY: u32 = 0o444;

impl Store {
    /// Moves a file of a scratch folder into the store and returns its entry.
    ///
    /// An object that is already there stays. A file with several hard links is copied, since somebody may write
    /// through another of its names.
    ///
    /// # Errors
    /// When it is not a plain file, or the store cannot be written.
    pub fn put_file(&self, path: &Path) -> Result<FileEntry, StoreError> {
        let entry = self.prepare_file(path, None)?;
        self.put_prepared(path, &entry)?;
        Ok(entry)
    }

    /// Makes a file of a scratch folder fit for [`Store::put_prepared`] and returns its entry. Waits for no disk.
    ///
    /// Whoever has hashed the file while writing it tells its digest; a wrong one is found when the file is first read.
    ///
    /// # Errors
    /// When it is not a plain file, or cannot be read.
    pub fn prepare_file(&self, path: &Path, digest: Option<Digest>) -> Result<FileEntry, StoreError> {
        prepare(path, digest, &*self.session()?)
    }

    /// Moves a prepared file into the store.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_prepared(&self, path: &Path, entry: &FileEntry) -> Result<(), StoreError> {
        sync_file(path)?;
        self.place(path, entry)?;
        sync_folder(parent(&self.layout().object(&entry.digest)))
    }

    /// Moves every file below a scratch folder into the store and returns the tree that all below it makes.
    ///
    /// # Errors
    /// When something below is no file, folder or link, a link leads out of the folder, a name is not UTF-8, a file
    /// changes meanwhile, or the store cannot be written. Then some of the files are in the store and named by no
    /// tree: harmless, and collected some day.
    pub fn put_folder(&self, scratch: &Path) -> Result<Tree, StoreError> {
        let session = self.session()?;
        let listing = Listing::of(scratch)?;
        let prepare_synced = |name: &String| {
            let path = scratch.join(name);
            prepare(&path, None, &session).and_then(|entry| sync_file(&path).map(|()| entry))
        };
        let entries: Vec<FileEntry> = listing.files.par_iter().map(prepare_synced).collect::<Result<_, _>>()?;
        let tree = listing.into_tree(entries);
        check_tree(&tree)?;
        for (name, entry) in &tree.files {
            self.place(&scratch.join(name), entry)?;
        }
        let folders: BTreeSet<PathBuf> =
            tree.files.values().map(|entry| parent(&self.layout().object(&entry.digest)).to_owned()).collect();
        folders.par_iter().try_for_each(|folder| sync_folder(folder))?;
        Ok(tree)
    }

    /// True if every file of the tree is there with its length. Reads no content.
    pub fn has_bytes(&self, tree: &Tree) -> bool {
        let session = self.session_if_begun();
        tree.files.values().all(|entry| self.has_object(entry, session.as_deref()))
    }

    fn has_object(&self, entry: &FileEntry, session: Option<&Session>) -> bool {
        let object = self.layout().object(&entry.digest);
        match fs::metadata(&object) {
            Ok(metadata) if metadata.is_file() && metadata.len() == entry.bytes => {
                session.is_none_or(|session| mark_used(&object, &metadata, session.began(), session.now()))
            }
            _ => false,
        }
    }

    /// Gives a prepared file its place, unless the object is there.
    fn place(&self, path: &Path, entry: &FileEntry) -> Result<(), StoreError> {
        let (object, now) = (self.layout().object(&entry.digest), self.session()?.now());
        match fs::metadata(&object) {
            Ok(metadata) if metadata.len() == entry.bytes && mark_used(&object, &metadata, now, now) => {
                return remove_file(path);
            }
            Ok(metadata) if metadata.len() != entry.bytes => self.quarantine(&object)?,
            _ => {}
        }
        move_into_place(path, &object)
    }

    /// Moves a damaged file out of the way, to where a person can look at it.
    pub(crate) fn quarantine(&self, path: &Path) -> Result<(), StoreError> {
        let folder = self.layout().quarantine();
        make_folder(&folder)?;
        let kind = parent(path).file_name().unwrap_or_default().to_string_lossy();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!("{kind}{file}-");
        let mut names = tempfile::Builder::new();
        let names = names.prefix(&prefix);
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            let place = names.tempdir_in(&folder).at("create", &folder)?;
            moved_away(fs::rename(path, &place), path)?;
            let _ = place.keep();
            return Ok(());
        }
        let place = names.tempfile_in(&folder).at("create", &folder)?.into_temp_path();
        if moved_away(fs::rename(path, &place), path)? {
            place.keep().map_err(|error| error.error).at("keep", &folder)?;
        }
        Ok(())
    }
}

/// Whether it was moved; false when another reader was quicker.
fn moved_away(moved: io::Result<()>, path: &Path) -> Result<bool, StoreError> {
    match moved {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        moved => moved.at("move to the quarantine", path).map(|()| true),
    }
}

fn sync_file(path: &Path) -> Result<(), StoreError> {
    pipeline_files::open(path).and_then(|file| file.sync_all()).at("sync", path)
}

/// Makes a file fit to be an object: a plain file that nobody else can write. Returns its entry; reads the file if its digest
/// is not known.
fn prepare(path: &Path, digest: Option<Digest>, session: &Session) -> Result<FileEntry, StoreError> {
    let metadata = fs::symlink_metadata(path).at("read", path)?;
    if !metadata.is_file() {
        return Err(StoreError::NotAFile { path: path.to_owned() });
    }
    if metadata.nlink() > 1 {
        let copy = session.new_path();
        fs::copy(path, &copy).at("write", &copy)?;
        fs::rename(&copy, path).at("write", path)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(READ_ONLY)).at("protect", path)?;
    let file = pipeline_files::open(path).at("read", path)?;
    // The time of last use: whatever the file says of itself may be long ago.
    file.set_modified(session.now()).at("write", path)?;
    let before = file.metadata().at("read", path)?;
    // Where the file system has no permissions, every file looks like a program, before and after.
    let executable = is_program(&metadata) && !is_program(&before);
    let bytes = before.len();
    let digest = match digest {
        Some(digest) => digest,
        None => {
            let digest = digest_of(&file, bytes, path)?;
            let is_same = Identity::of(&file.metadata().at("read", path)?) == Identity::of(&before);
            is_same.then_some(digest).ok_or_else(|| StoreError::ChangesWhileRead { path: path.to_owned() })?
        }
    };
    Ok(FileEntry { digest, bytes, executable })
}

/// True if its owner may run the file.
pub(crate) fn is_program(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o100 != 0
}

/// Copies an object to a path that is not there yet, for file systems without hard links.
pub(crate) fn copy_object(object: &Path, scratch: &Path, to: &Path) -> Result<(), StoreError> {
    fs::copy(object, scratch).at("write", scratch)?;
    move_into_place(scratch, to)
}

/// The digest of an open file of a known length.
pub(crate) fn digest_of(file: &File, bytes: u64, path: &Path) -> Result<Digest, StoreError> {
    match hash_file(file, bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(StoreError::ChangesWhileRead { path: path.to_owned() })
        }
        digest => digest.at("read", path),
    }
}

/// Notes that an object is used, so that a collection that runs now leaves it: the time of its last use is its
/// modification time. Skipped when it was used after `since`. Returns false if the object went away meanwhile.
pub(crate) fn mark_used(object: &Path, metadata: &fs::Metadata, since: SystemTime, now: SystemTime) -> bool {
    if metadata.modified().is_ok_and(|used| used >= since) {
        return true;
    }
    let Ok(file) = pipeline_files::open(object) else { return false };
    // Refused for the object of another user: then only its owner's use counts.
    let _ = file.set_modified(now);
    object.exists()
}

/// Checks that every name stays inside the folder that it is joined to, and that links lead to something in the tree.
pub(crate) fn check_tree(tree: &Tree) -> Result<(), StoreError> {
    let stays_inside =
        |name: &str| !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    // What lies below a link would be written where the link leads.
    let is_behind_link = |name: &str| name.match_indices('/').any(|(end, _)| tree.links.contains_key(&name[..end]));
    let mut names = tree.files.keys().chain(&tree.folders).chain(tree.links.keys());
    match names.find(|name| !stays_inside(name) || (!tree.links.is_empty() && is_behind_link(name))) {
        Some(name) => Err(StoreError::Name { path: name.into() }),
        None => check_links(tree),
    }
}
