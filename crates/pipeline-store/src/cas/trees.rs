//! Artifacts as folders: opened for reading, checked after they were read, dropped on demand.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pipeline_core::{ArtifactDigest, Digest, FileEntry, Tree};

use super::{Cas, OpenTree, OpenTreeError};
use crate::StoreError;
use crate::check::{FileState, Seen, check_file};
use crate::durable::{list_folder, make_folder, remove_file};
use crate::error::At;
use crate::folders::{files_below, remove_folder};
use crate::ownership::{Claim, claim, share};

impl Cas {
    /// Opens an artifact for reading, after checking the digest of every file.
    ///
    /// The folder outlives the value; a collection or [`Cas::drop_tree`] removes it.
    ///
    /// # Errors
    /// When files are missing or damaged (then they are quarantined), or the store fails.
    pub fn open(&self, tree: &Tree) -> Result<OpenTree, OpenTreeError> {
        let open = self.open_unverified(tree)?;
        open.verify_all()?;
        Ok(open)
    }

    /// Opens an artifact for reading; each file is verified when it is first asked for.
    ///
    /// # Errors
    /// When sub-trees are missing or damaged (then they are quarantined), or the store fails.
    pub fn open_unverified(&self, tree: &Tree) -> Result<OpenTree, OpenTreeError> {
        let whole = self.whole(tree)?.into_owned();
        let digest = tree.digest();
        let lease_path = self.lease(&digest);
        match share(&lease_path).at("lock", &lease_path) {
            Ok(lease) => {
                let folder = self.tree(&digest);
                make_folder(&folder)?;
                self.mark_all_used(&whole);
                Ok(OpenTree::inside(self, whole, folder, lease)?)
            }
            Err(error) if error.is_read_only() => self.open_outside(&whole),
            Err(error) => Err(error.into()),
        }
    }

    /// Like [`Cas::open_unverified`], in a temporary folder of links. Writes nothing to the store but files that it
    /// lacks and a remote has.
    ///
    /// # Errors
    /// As for [`Cas::open_unverified`].
    pub fn open_outside(&self, tree: &Tree) -> Result<OpenTree, OpenTreeError> {
        let whole = self.whole(tree)?.into_owned();
        let outside = tempfile::tempdir().at("create", &std::env::temp_dir())?;
        Ok(OpenTree::outside(self, whole, outside)?)
    }

    /// Checks an artifact again after it was read, and returns the names of files that changed since they were
    /// verified. Quarantines objects that were damaged meanwhile.
    ///
    /// Reads only files that were touched.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn altered(&self, open: &OpenTree) -> Result<Vec<String>, StoreError> {
        let mut names = Vec::new();
        for (name, seen) in open.seen() {
            if self.is_altered(&open.tree().files[&name], &open.folder().join(&name), &seen)? {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn is_altered(&self, entry: &FileEntry, path: &Path, before: &Seen) -> Result<bool, StoreError> {
        let now = fs::metadata(path).map(|metadata| Seen::of(&metadata));
        match now {
            Ok(now) if now == *before => return Ok(false),
            Ok(now) if now.inode == before.inode && check_file(path, entry)? == FileState::Intact => return Ok(false),
            _ => {}
        }
        let object = self.object(&entry.digest);
        if check_file(&object, entry)? == FileState::Corrupt {
            self.quarantine.take(&object)?;
        }
        if check_file(path, entry)? == FileState::Corrupt {
            remove_file(path)?;
        }
        Ok(true)
    }

    /// True if an object of the artifact is here. Does not read it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_any(&self, tree: &Tree) -> Result<bool, StoreError> {
        Ok(self.objects_of(tree)?.digests.iter().any(|digest| self.knows(digest)))
    }

    /// Drops an artifact's bytes, except those that `keep` or another artifact's folder holds. Its record stays.
    ///
    /// Drops nothing while a process reads the artifact. Returns the number of bytes freed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn drop_tree(&self, tree: &Tree, keep: &dyn Fn(&Digest) -> bool) -> Result<u64, StoreError> {
        if !self.remove_tree_folder(&tree.digest())? {
            return Ok(0);
        }
        let mut freed = 0;
        for digest in self.objects_of(tree)?.digests.into_iter().filter(|digest| !keep(digest)) {
            let object = self.object(&digest);
            match fs::metadata(&object) {
                Ok(metadata) if metadata.nlink() == 1 => {
                    remove_file(&object)?;
                    freed += metadata.len();
                }
                _ => {}
            }
        }
        Ok(freed)
    }

    /// Removes an artifact's folder in `trees/`, if there is one. Returns false while a process reads it.
    pub(crate) fn remove_tree_folder(&self, digest: &ArtifactDigest) -> Result<bool, StoreError> {
        let folder = self.tree(digest);
        if !folder.exists() {
            return Ok(true);
        }
        let lease_path = self.lease(digest);
        let Claim::Owned(_lease) = claim(&lease_path).at("lock", &lease_path)? else { return Ok(false) };
        let scratch = self.workspace.new_path()?;
        match fs::rename(&folder, &scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            moved => moved.at("remove", &folder)?,
        }
        remove_folder(&scratch).at("remove", &scratch)?;
        Ok(true)
    }

    /// The artifacts that are laid out as folders.
    pub(crate) fn laid_out(&self) -> Result<Vec<ArtifactDigest>, StoreError> {
        let entries = list_folder(&self.trees)?;
        Ok(entries.iter().filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect())
    }

    /// True while a process reads an artifact.
    pub(crate) fn is_read(&self, digest: &ArtifactDigest) -> Result<bool, StoreError> {
        let lease = self.lease(digest);
        Ok(lease.exists() && !matches!(claim(&lease).at("lock", &lease)?, Claim::Owned(_)))
    }

    /// The inodes of the files in an artifact's folder.
    pub(crate) fn inodes(&self, digest: &ArtifactDigest) -> Result<Vec<u64>, StoreError> {
        let files = files_below(&self.tree(digest))?;
        Ok(files.iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.ino()).collect())
    }
}
