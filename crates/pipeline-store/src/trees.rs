//! Artifacts as folders: verified before they are read, kept while they are read, dropped on demand.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, InputArtifact, Tree};

use crate::durable::{make_folder, remove_file};
use crate::error::At;
use crate::links::{Links, fill};
use crate::listing::remove_folder;
use crate::objects::check_tree;
use crate::ownership::{Claim, SharedFile, claim, share};
use crate::{Store, StoreError};

/// Why an artifact cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenTreeError {
    /// Some of its files are not in the store (any more).
    #[error("{} of the artifact's files are not in the store: {}", files.len(), shown(files))]
    Missing {
        /// Their names.
        files: Vec<String>,
    },
    /// Some of its files were damaged and are quarantined now, so that the next attempt finds them missing.
    #[error("{} of the artifact's files are damaged: {}", files.len(), shown(files))]
    Corrupt {
        /// Their names.
        files: Vec<String>,
    },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn shown(files: &[String]) -> String {
    let mut text = files.iter().take(3).map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ");
    if files.len() > 3 {
        text.push_str(", …");
    }
    text
}

/// A verified artifact in a read-only folder. Nothing removes the folder while this lives.
#[derive(Debug)]
pub struct OpenTree {
    artifact: InputArtifact,
    _held: Held,
}

/// What keeps the folder of an open tree.
#[derive(Debug)]
enum Held {
    /// A lease on a folder in `trees/`.
    Lease { _lease: SharedFile },
    /// A folder of links outside a store that cannot be written.
    Outside { _folder: tempfile::TempDir },
}

impl OpenTree {
    fn new(folder: PathBuf, tree: &Tree, held: Held) -> Self {
        Self { artifact: InputArtifact { folder, tree: tree.clone() }, _held: held }
    }

    /// The folder and the tree, as a running stage sees them.
    pub fn artifact(&self) -> &InputArtifact {
        &self.artifact
    }

    /// The folder that holds the files.
    pub fn folder(&self) -> &Path {
        &self.artifact.folder
    }

    /// The files.
    pub fn tree(&self) -> &Tree {
        &self.artifact.tree
    }
}

impl Store {
    /// Opens an artifact for reading: the digest of every file is checked now.
    ///
    /// The folder stays when the value is dropped, until a collection or [`Store::drop_tree`] removes it.
    ///
    /// # Errors
    /// When files are missing or damaged (then they are quarantined), or the store fails.
    pub fn open_tree(&self, tree: &Tree) -> Result<OpenTree, OpenTreeError> {
        check_tree(tree)?;
        let digest = tree.digest();
        let lease_path = self.layout().lease(&digest);
        match share(&lease_path).at("lock", &lease_path) {
            Ok(lease) => {
                let folder = self.layout().tree(&digest);
                make_folder(&folder)?;
                fill(self, tree, &folder, Links::Hard)?;
                Ok(OpenTree::new(folder, tree, Held::Lease { _lease: lease }))
            }
            Err(error) if error.is_read_only() => {
                let outside = tempfile::tempdir().at("create", &std::env::temp_dir())?;
                fill(self, tree, outside.path(), Links::Symbolic)?;
                Ok(OpenTree::new(outside.path().to_owned(), tree, Held::Outside { _folder: outside }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Drops an artifact's bytes but for those that `keep` or another artifact's folder holds. Its record stays.
    ///
    /// Nothing is dropped while somebody reads the artifact. Returns the bytes freed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn drop_tree(&self, tree: &Tree, keep: &dyn Fn(&Digest) -> bool) -> Result<u64, StoreError> {
        if !self.remove_tree_folder(&tree.digest())? {
            return Ok(0);
        }
        let mut freed = 0;
        let digests: BTreeSet<Digest> = tree.files.values().map(|entry| entry.digest).collect();
        for digest in digests.into_iter().filter(|digest| !keep(digest)) {
            let object = self.layout().object(&digest);
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

    /// Removes an artifact's folder in `trees/`, if it is there. Returns false if somebody reads it.
    pub(crate) fn remove_tree_folder(&self, digest: &Digest) -> Result<bool, StoreError> {
        let folder = self.layout().tree(digest);
        if !folder.exists() {
            return Ok(true);
        }
        let lease_path = self.layout().lease(digest);
        let Claim::Owned(_lease) = claim(&lease_path).at("lock", &lease_path)? else { return Ok(false) };
        let scratch = self.session()?.new_path();
        match fs::rename(&folder, &scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            moved => moved.at("remove", &folder)?,
        }
        remove_folder(&scratch).at("remove", &scratch)?;
        Ok(true)
    }
}
