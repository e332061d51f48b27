//! Objects: stores, finds, copies with verification, and removes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pipeline_core::{Digest, FileEntry, Tree};
use rayon::prelude::*;

use super::listing::{Listing, check_tree};
use super::{Cas, OpenTreeError};
use crate::StoreError;
use crate::check::{FileState, check_file, digest_of, is_bad_disk, is_no_file, is_program};
use crate::durable::{move_into_place, parent, remove_file, sync_folder};
use crate::error::At;
use crate::layout::fanned_out;
use crate::remote::{MAX_FETCHES, for_each_at_once};
use crate::sources::Identity;
use crate::workspace::Session;

/// The permissions of objects: readable by all, writable by no one.
const READ_ONLY: u32 = 0o444;

/// An object on disk.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) digest: Digest,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) used: SystemTime,
    pub(crate) inode: u64,
}

impl Cas {
    /// Moves a file of a scratch folder into the store and returns its entry.
    ///
    /// An object that is already there stays. A file with several hard links is copied, since it may be written through
    /// another name.
    ///
    /// # Errors
    /// When it is not a plain file, or the store cannot be written.
    pub fn put_file(&self, path: &Path) -> Result<FileEntry, StoreError> {
        let entry = self.prepare_file(path, None)?;
        self.put_prepared(path, &entry)?;
        Ok(entry)
    }

    /// Prepares a file of a scratch folder for [`Cas::put_prepared`] and returns its entry. Does not sync.
    ///
    /// `digest` is known if the file was hashed while it was written; the first reader finds a wrong one.
    ///
    /// # Errors
    /// When it is not a plain file, or cannot be read.
    pub fn prepare_file(&self, path: &Path, digest: Option<Digest>) -> Result<FileEntry, StoreError> {
        prepare(path, digest, &*self.workspace.session()?)
    }

    /// Moves a prepared file into the store.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_prepared(&self, path: &Path, entry: &FileEntry) -> Result<(), StoreError> {
        sync_file(path)?;
        self.place(path, entry)?;
        sync_folder(parent(&self.object(&entry.digest)))
    }

    /// Moves every file below a scratch folder into the store and returns the tree of the folder.
    ///
    /// # Errors
    /// When something below is not a file, folder or link, a link leads out of the folder, or a name is not UTF-8. When
    /// a file changes meanwhile, or the store cannot be written. Then some of the files are in the store but in no
    /// tree: harmless, and collected later.
    pub fn put_folder(&self, scratch: &Path) -> Result<Tree, StoreError> {
        let session = self.workspace.session()?;
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
            tree.files.values().map(|entry| parent(&self.object(&entry.digest)).to_owned()).collect();
        folders.par_iter().try_for_each(|folder| sync_folder(folder))?;
        Ok(tree)
    }

    /// True if every file of the tree exists with its length. Reads no content but that of sub-trees.
    pub fn has_bytes(&self, tree: &Tree) -> bool {
        let session = self.workspace.session_if_begun();
        tree.files.values().all(|entry| self.has_object(entry, session.as_deref()))
            && (tree.is_whole() || tree.trees.values().all(|sub_tree| self.has_sub_tree(sub_tree, session.as_deref())))
    }

    /// True if a file exists with its length. Reads no content.
    pub(crate) fn has_file(&self, entry: &FileEntry) -> bool {
        self.has_object(entry, self.workspace.session_if_begun().as_deref())
    }

    /// Marks the objects of a tree as used, so that they stay until they are read.
    pub(super) fn mark_all_used(&self, tree: &Tree) {
        let (since, now) = (self.workspace.in_use_since(), self.workspace.now());
        let digests = tree.files.values().map(|entry| entry.digest);
        for digest in digests.chain(tree.trees.values().map(|sub_tree| sub_tree.tree)) {
            let object = self.object(&digest);
            // The read finds out whether it is there.
            let _ = fs::metadata(&object).map(|metadata| mark_used(&object, &metadata, since, now));
        }
    }

    pub(super) fn has_object(&self, entry: &FileEntry, session: Option<&Session>) -> bool {
        let object = self.object(&entry.digest);
        match fs::metadata(&object) {
            Ok(metadata) if metadata.is_file() && metadata.len() == entry.bytes => {
                session.is_none_or(|session| mark_used(&object, &metadata, session.began(), session.now()))
            }
            _ => false,
        }
    }

    /// Moves a prepared file into place, unless the object exists.
    fn place(&self, path: &Path, entry: &FileEntry) -> Result<(), StoreError> {
        let (object, now) = (self.object(&entry.digest), self.workspace.session()?.now());
        match fs::metadata(&object) {
            Ok(metadata) if metadata.len() == entry.bytes && mark_used(&object, &metadata, now, now) => {
                return remove_file(path);
            }
            Ok(metadata) if metadata.len() != entry.bytes => self.quarantine.take(&object)?,
            _ => {}
        }
        move_into_place(path, &object)
    }

    /// Fetches the files that are absent here from the remote, as far as it has them. Does nothing without a remote.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn fetch<'a>(&self, entries: impl IntoIterator<Item = &'a FileEntry>) -> Result<(), StoreError> {
        let Some(twin) = self.remote.as_ref().map(|remote| remote.twin()) else { return Ok(()) };
        let is_absent = |entry: &&FileEntry| twin.may_have(&entry.digest) && !self.knows(&entry.digest);
        let absent: BTreeMap<Digest, &FileEntry> =
            entries.into_iter().filter(is_absent).map(|entry| (entry.digest, entry)).collect();
        let absent: Vec<&FileEntry> = absent.into_values().collect();
        let fetched = for_each_at_once(&absent, MAX_FETCHES, |entry| {
            let scratch = self.workspace.new_path()?;
            if twin.object(entry, &scratch)? {
                self.put_prepared(&scratch, entry)?;
            }
            Ok(())
        });
        match fetched {
            // Its readers find the files missing.
            Err(error @ StoreError::Io { .. }) if error.is_read_only() => Ok(()),
            fetched => fetched,
        }
    }

    /// True if an object of this digest exists, in whatever state.
    pub(crate) fn knows(&self, digest: &Digest) -> bool {
        self.object(digest).exists()
    }

    /// Copies an object into `copy`, an empty file, and compares the copy with the entry, since readers get the copy.
    /// `to` names the file in the error.
    pub(crate) fn copy_verified(&self, entry: &FileEntry, copy: &Path, to: &Path) -> Result<(), OpenTreeError> {
        self.fetch([entry])?;
        let object = self.object(&entry.digest);
        match copy_synced(&object, copy) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenTreeError::missing(to)),
            copied => copied.at("write", copy)?,
        }
        self.refuse_unless_intact(check_file(copy, entry)?, &object, to)
    }

    /// The content of an object of this store, which counts as used; `None` if it is missing or damaged.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn read(&self, entry: &FileEntry) -> Result<Option<Vec<u8>>, StoreError> {
        let content = self.read_intact(entry)?;
        if content.is_some() {
            self.mark_object_used(&self.object(&entry.digest));
        }
        Ok(content)
    }

    /// The same without its use: a collection looks at what nobody needs, too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn read_intact(&self, entry: &FileEntry) -> Result<Option<Vec<u8>>, StoreError> {
        let object = self.object(&entry.digest);
        match pipeline_files::unless_stale(|| pipeline_files::read(&object)) {
            Ok(content) if Digest::of(&content) == entry.digest => return Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if !is_bad_disk(&error) && !is_no_file(&error) => return Err(error).at("read", &object),
            Ok(_) | Err(_) => {}
        }
        // A store that cannot be written keeps its damaged object, which still counts as missing.
        let _ = self.quarantine.take(&object);
        Ok(None)
    }

    /// The time when an object was last used; `None` if it is missing.
    pub(crate) fn used(&self, digest: &Digest) -> Option<SystemTime> {
        fs::metadata(self.object(digest)).and_then(|metadata| metadata.modified()).ok()
    }

    fn mark_object_used(&self, object: &Path) {
        let (since, now) = (self.workspace.in_use_since(), self.workspace.now());
        // Its reader finds out whether it is there.
        let _ = fs::metadata(object).map(|metadata| mark_used(object, &metadata, since, now));
    }

    /// Opens an object after comparing its content with its entry. `to` names the file in the error.
    pub(crate) fn open_verified(&self, entry: &FileEntry, to: &Path) -> Result<File, OpenTreeError> {
        self.fetch([entry])?;
        let object = self.object(&entry.digest);
        self.refuse_unless_intact(check_file(&object, entry)?, &object, to)?;
        Ok(pipeline_files::open(&object).at("read", &object)?)
    }

    fn refuse_unless_intact(&self, state: FileState, object: &Path, to: &Path) -> Result<(), OpenTreeError> {
        match state {
            FileState::Intact => Ok(()),
            FileState::Missing => Err(OpenTreeError::missing(to)),
            FileState::Corrupt => {
                self.quarantine.take(object)?;
                Err(OpenTreeError::Corrupt { files: vec![to.display().to_string()] })
            }
        }
    }

    /// All objects.
    pub(crate) fn all(&self) -> Result<Vec<Object>, StoreError> {
        let mut objects = Vec::new();
        for (digest, entry) in fanned_out(&self.objects)? {
            let path = entry.path();
            // Another process has collected a missing one.
            match entry.metadata() {
                Ok(metadata) => objects.push(Object {
                    digest,
                    bytes: metadata.len(),
                    used: metadata.modified().at("read", &path)?,
                    inode: metadata.ino(),
                    path,
                }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).at("read", &path),
            }
        }
        Ok(objects)
    }

    /// Removes an object, unless it was used since it was listed. Returns whether it was removed.
    pub(crate) fn remove(&self, object: &Object) -> Result<bool, StoreError> {
        let scratch = self.workspace.new_path()?;
        match fs::rename(&object.path, &scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            moved => moved.at("remove", &object.path)?,
        }
        // A process that marks it from now on finds it missing; an earlier mark is visible here.
        let used = fs::metadata(&scratch).and_then(|metadata| metadata.modified()).at("read", &scratch)?;
        if used != object.used {
            fs::rename(&scratch, &object.path).at("put back", &object.path)?;
            return Ok(false);
        }
        remove_file(&scratch)?;
        Ok(true)
    }
}

fn copy_synced(object: &Path, to: &Path) -> io::Result<()> {
    pipeline_files::unless_stale(|| {
        let mut to = File::options().write(true).truncate(true).open(to)?;
        io::copy(&mut pipeline_files::open(object)?, &mut to)?;
        to.sync_all()
    })
}

fn sync_file(path: &Path) -> Result<(), StoreError> {
    pipeline_files::open(path).and_then(|file| file.sync_all()).at("sync", path)
}

/// Makes a file fit to be an object: a plain file with one name and no writers. Returns its entry; reads the file if
/// its digest is unknown.
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
    // The time of last use: the file's own times may be long ago.
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

/// Marks an object as used, so that a concurrent collection keeps it: the time of its last use is its modification
/// time. Skipped when it was used after `since`. Returns false if the object was removed meanwhile.
pub(super) fn mark_used(object: &Path, metadata: &fs::Metadata, since: SystemTime, now: SystemTime) -> bool {
    if metadata.modified().is_ok_and(|used| used >= since) {
        return true;
    }
    let Ok(file) = pipeline_files::open(object) else { return false };
    // Refused for the object of another user: then only its owner's use counts.
    let _ = file.set_modified(now);
    object.exists()
}
