//! The record of files that this program has written outside the store, so that it replaces no others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::Digest;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::durable::Durability;
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
}

impl Written {
    /// These files and links at a path.
    pub(super) fn at(path: &Path, files: BTreeMap<String, Digest>, links: BTreeMap<String, String>) -> Self {
        Self { path: path.to_string_lossy().into_owned(), files, links }
    }
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
