//! An input artifact as a running stage sees it: read-only files, each of which is verified before it is opened.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{StageError, Tree};

/// An input artifact: its tree is known, and its files are verified one by one when they are first asked for.
///
/// A stage reads a file only through these methods, so that it reads no file whose digest was not checked, and none
/// that it does not need.
#[derive(Debug, Clone)]
pub struct InputArtifact {
    /// The files and their digests.
    pub tree: Arc<Tree>,
    /// The rows of each shard, in the order of the shards; `None` where its record does not say them.
    pub shard_rows: Option<Vec<u64>>,
    files: Arc<dyn InputFiles>,
}

/// The files of an input artifact, in a folder where they are laid out once they are verified.
pub trait InputFiles: Debug + Send + Sync {
    /// The folder.
    fn folder(&self) -> &Path;

    /// Verifies files of the tree, and lays them out in the folder.
    ///
    /// # Errors
    /// When one is missing or damaged, or the store fails.
    fn verify(&self, names: &[&str]) -> Result<(), StageError>;

    /// Verifies all files, and lays out exactly the tree.
    ///
    /// # Errors
    /// As for [`InputFiles::verify`].
    fn verify_all(&self) -> Result<(), StageError>;
}

impl InputArtifact {
    /// An artifact whose files are verified when they are first opened.
    pub fn new(tree: Arc<Tree>, files: Arc<dyn InputFiles>) -> Self {
        Self { tree, shard_rows: None, files }
    }

    /// An artifact whose files lie in a folder and need no check.
    pub fn in_folder(folder: PathBuf, tree: Tree) -> Self {
        Self::new(Arc::new(tree), Arc::new(Intact(folder)))
    }

    /// The same artifact with the rows of each of its shards.
    pub fn with_shard_rows(self, shard_rows: Option<Vec<u64>>) -> Self {
        Self { shard_rows, ..self }
    }

    /// The path of a file of the tree, or of a folder with everything below it, through links if necessary.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be verified.
    pub fn file(&self, name: &str) -> Result<PathBuf, StageError> {
        let Some(name) = self.tree.resolve(name) else {
            return Err(StageError::new(format!("the artifact has no file `{name}`")));
        };
        match self.tree.files.contains_key(&name) {
            true => self.files.verify(&[&name])?,
            false => self.files.verify_all()?,
        }
        Ok(self.files.folder().join(name))
    }

    /// The paths of several files of the tree, verified side by side.
    ///
    /// # Errors
    /// When one of them cannot be verified.
    pub fn files(&self, names: &[&str]) -> Result<Vec<PathBuf>, StageError> {
        self.files.verify(names)?;
        Ok(names.iter().map(|name| self.files.folder().join(name)).collect())
    }

    /// The folder with exactly the files of the tree.
    ///
    /// # Errors
    /// When one of them cannot be verified.
    pub fn folder(&self) -> Result<&Path, StageError> {
        self.files.verify_all()?;
        Ok(self.files.folder())
    }
}

/// Files that need no check.
#[derive(Debug)]
struct Intact(PathBuf);

impl InputFiles for Intact {
    fn folder(&self) -> &Path {
        &self.0
    }

    fn verify(&self, _: &[&str]) -> Result<(), StageError> {
        Ok(())
    }

    fn verify_all(&self) -> Result<(), StageError> {
        Ok(())
    }
}
