//! The record of files that this program has written outside the store, so that it replaces no others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::Digest;
use serde::{Deserialize, Serialize};

use super::at;
use crate::StoreError;
use crate::durable::{Durability, parent};
use crate::layout::file_of_path;
use crate::sealed::read_sealed;
use crate::workspace::Workspace;

/// The files and links that this program has written at and below one path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// The path, for readers.
    path: String,
    /// The digests of the files, by their names below the path; the empty name stands for the path itself.
    pub(super) files: BTreeMap<String, Digest>,
    /// The targets of links.
    pub(super) links: BTreeMap<String, String>,
    /// Where a write to the path arrived, with links followed; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    real: Option<String>,
    /// Where files arrived that a link below the path led elsewhere, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    elsewhere: BTreeMap<String, String>,
}

/// What is remembered of the file that a write to a path would replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory<'a> {
    /// This program has written that very file, with this digest.
    Written(&'a Digest),
    /// It has written another file, and now a link at the path leads here.
    Relinked,
    Nothing,
}

impl Memory<'_> {
    /// The other memory where this one is of nothing.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Memory::Nothing { other } else { self }
    }
}

impl Written {
    /// Nothing yet at a path, where a write arrives at `real`.
    pub(super) fn at(path: &Path, real: &Path) -> Self {
        let (path, real) = (path.to_string_lossy().into_owned(), Some(text(real)));
        Self { path, real, ..Self::default() }
    }

    /// Adds a file, which arrived at `real`.
    pub(super) fn add(&mut self, name: &str, digest: Digest, real: Option<&Path>) {
        self.files.insert(name.to_owned(), digest);
        if let Some(real) = real.map(text).filter(|real| Some(real) != self.usual(name).as_ref()) {
            self.elsewhere.insert(name.to_owned(), real);
        }
    }

    /// What is remembered of the file `name`, if a write to its `path` arrives at `real`.
    pub(super) fn memory(&self, name: &str, path: &Path, real: &Path) -> Memory<'_> {
        match self.files.get(name) {
            None => Memory::Nothing,
            Some(digest) if self.is_in_place(name, path, real) => Memory::Written(digest),
            Some(_) => Memory::Relinked,
        }
    }

    /// Whether the file or link `name` arrived at `real`, as it would now. Links far above do not matter: what lies
    /// below moves with them.
    pub(super) fn is_in_place(&self, name: &str, path: &Path, real: &Path) -> bool {
        // The folders below the path, the path, and its folder.
        let n_near = Path::new(name).components().count() + 2;
        let is_linked = || path.ancestors().take(n_near).any(Path::is_symlink);
        let tail = |path: &Path| path.iter().rev().take(n_near).map(ToOwned::to_owned).collect::<Vec<_>>();
        match self.elsewhere.get(name).cloned().or_else(|| self.usual(name)) {
            Some(recorded) if recorded == text(real) => true,
            Some(recorded) => !is_linked() && tail(Path::new(&recorded)) == tail(path),
            // An earlier version did not record it.
            None => !path.is_symlink() && !parent(path).is_symlink(),
        }
    }

    /// Where the file `name` arrives without links below the path.
    fn usual(&self, name: &str) -> Option<String> {
        self.real.as_ref().map(|real| text(&at(Path::new(real), name)))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The memory of everything that this program has written outside the store.
#[derive(Debug)]
pub(super) struct WrittenFiles {
    folder: PathBuf,
    workspace: Arc<Workspace>,
}

impl WrittenFiles {
    pub(super) fn new(folder: PathBuf, workspace: &Arc<Workspace>) -> Self {
        Self { folder, workspace: Arc::clone(workspace) }
    }

    /// The memory of an absolute path.
    pub(super) fn at(&self, absolute: &Path) -> Option<Written> {
        read_sealed(&self.file(absolute))
    }

    /// Remembers the content of an absolute path. A store that cannot be written remembers nothing, without an error.
    pub(super) fn put(&self, absolute: &Path, written: &Written) -> Result<(), StoreError> {
        let put = self.workspace.write_sealed(&self.file(absolute), written, Durability::Synced);
        put.or_else(|error| if error.is_read_only() { Ok(()) } else { Err(error) })
    }

    fn file(&self, absolute: &Path) -> PathBuf {
        file_of_path(&self.folder, "", absolute)
    }
}
