//! An artifact that is open for reading: its files are verified one by one, when they are first asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline_core::{FileEntry, InputArtifact, InputFiles, StageError, Tree};

use super::links::{Links, lay_out_folders, remove_strangers};
use super::{Cas, OpenTreeError};
use crate::StoreError;
use crate::check::Seen;
use crate::ownership::SharedFile;

/// An artifact in a read-only folder. Nothing removes the folder during the lifetime of this value and its clones.
#[derive(Debug, Clone)]
pub struct OpenTree {
    files: Arc<Files>,
    artifact: InputArtifact,
}

/// The files of an open tree.
#[derive(Debug)]
struct Files {
    cas: Cas,
    tree: Arc<Tree>,
    folder: PathBuf,
    links: Links,
    /// The identities of the files that are verified, from just before that.
    seen: Mutex<BTreeMap<String, Seen>>,
    /// The files that were missing or damaged when they were asked for.
    lost: Mutex<Lost>,
    held: Held,
}

/// The names of files that cannot be read.
#[derive(Debug, Default)]
struct Lost {
    missing: BTreeSet<String>,
    damaged: BTreeSet<String>,
}

/// The reason why the folder of an open tree stays.
#[derive(Debug)]
enum Held {
    /// A lease on a folder in `trees/`.
    Lease { _lease: SharedFile },
    /// A folder of links outside a store that cannot be written.
    Outside { _folder: tempfile::TempDir },
}

impl OpenTree {
    /// A tree in its folder in `trees/`.
    pub(super) fn inside(cas: &Cas, tree: Tree, folder: PathBuf, lease: SharedFile) -> Result<Self, StoreError> {
        Self::new(cas, tree, folder, Links::Hard, Held::Lease { _lease: lease })
    }

    /// A tree of links in a temporary folder.
    pub(super) fn outside(cas: &Cas, tree: Tree, folder: tempfile::TempDir) -> Result<Self, StoreError> {
        Self::new(cas, tree, folder.path().to_owned(), Links::Symbolic, Held::Outside { _folder: folder })
    }

    fn new(cas: &Cas, tree: Tree, folder: PathBuf, links: Links, held: Held) -> Result<Self, StoreError> {
        lay_out_folders(&tree, &folder)?;
        let tree = Arc::new(tree);
        let files = Arc::new(Files {
            cas: cas.clone(),
            tree: Arc::clone(&tree),
            folder,
            links,
            seen: Mutex::default(),
            lost: Mutex::default(),
            held,
        });
        let artifact = InputArtifact::new(tree, Arc::clone(&files) as Arc<dyn InputFiles>);
        Ok(Self { files, artifact })
    }

    /// The artifact, as a running stage sees it.
    pub fn artifact(&self) -> &InputArtifact {
        &self.artifact
    }

    /// The folder that holds the files that are verified.
    pub fn folder(&self) -> &Path {
        &self.files.folder
    }

    /// True if the folder is a temporary one of links, since the store cannot be written.
    pub fn is_outside(&self) -> bool {
        matches!(self.files.held, Held::Outside { .. })
    }

    /// The files.
    pub fn tree(&self) -> &Tree {
        &self.files.tree
    }

    /// Verifies the files that are not verified yet, and removes whatever else lies in the folder.
    ///
    /// # Errors
    /// When files are missing or damaged (then they are quarantined), or the store fails.
    pub fn verify_all(&self) -> Result<(), OpenTreeError> {
        self.files.verify_all()
    }

    /// True if a file that was asked for was missing or damaged.
    pub fn has_lost(&self) -> bool {
        self.files.lost().is_any()
    }

    /// Verifies the rest, too, and names all files that are lost: one computation can bring all of them back. `None` if
    /// another process has done so meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub fn all_lost(&self) -> Result<Option<OpenTreeError>, StoreError> {
        match self.verify_all() {
            Ok(()) => Ok(None),
            Err(OpenTreeError::Store(error)) => Err(error),
            Err(_) => Ok(Some(self.files.lost().error())),
        }
    }

    /// The files that are verified, with their identities from just before that.
    pub(super) fn seen(&self) -> BTreeMap<String, Seen> {
        self.files.seen().clone()
    }
}

impl Files {
    /// Two threads that ask for the same file may both verify it: waiting would hold up a thread that hashes for all.
    fn verify(&self, names: &mut dyn Iterator<Item = &str>) -> Result<(), OpenTreeError> {
        let unseen: Vec<(&String, &FileEntry)> = {
            let seen = self.seen();
            let of_tree =
                |name: &str| self.tree.files.get_key_value(name).expect("only files of the tree are verified");
            names.filter(|name| !seen.contains_key(*name)).map(of_tree).collect()
        };
        if unseen.is_empty() {
            return Ok(());
        }
        self.cas.fetch(unseen.iter().map(|(_, entry)| *entry))?;
        match self.cas.fill(&unseen, &self.folder, self.links) {
            Ok(found) => {
                let mut seen = self.seen();
                unseen.iter().zip(found).for_each(|((name, _), at)| _ = seen.entry((*name).clone()).or_insert(at));
                Ok(())
            }
            Err(error) => {
                self.lost().add(&error);
                Err(error)
            }
        }
    }

    fn verify_all(&self) -> Result<(), OpenTreeError> {
        self.verify(&mut self.tree.files.keys().map(String::as_str))?;
        if self.links == Links::Hard {
            remove_strangers(&self.tree, &self.folder)?;
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, Lost> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lost {
    fn is_any(&self) -> bool {
        !(self.missing.is_empty() && self.damaged.is_empty())
    }

    /// A damaged file is missing from then on, since it is quarantined.
    fn add(&mut self, error: &OpenTreeError) {
        match error {
            OpenTreeError::Corrupt { files } => self.damaged.extend(files.iter().cloned()),
            OpenTreeError::Missing { files } => {
                self.missing.extend(files.iter().filter(|file| !self.damaged.contains(*file)).cloned());
            }
            OpenTreeError::Store(_) => {}
        }
    }

    fn error(&self) -> OpenTreeError {
        let Self { missing, damaged } = self;
        let files = |names: &BTreeSet<String>| names.iter().cloned().collect();
        match damaged.is_empty() {
            true => OpenTreeError::Missing { files: files(missing) },
            false => OpenTreeError::Corrupt { files: files(damaged) },
        }
    }
}

impl InputFiles for Files {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn verify(&self, names: &[&str]) -> Result<(), StageError> {
        Self::verify(self, &mut names.iter().copied()).map_err(unreadable)
    }

    fn verify_all(&self) -> Result<(), StageError> {
        Self::verify_all(self).map_err(unreadable)
    }
}

fn unreadable(error: OpenTreeError) -> StageError {
    let message = "an input cannot be read";
    match error {
        OpenTreeError::Store(error) => error.stage_error(message),
        error => StageError::because(message, error),
    }
}
