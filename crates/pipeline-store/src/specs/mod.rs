//! `last/`, `snapshots/` and `sources/last-*.json`: the memory of each spec between its runs.
//!
//! Each file is a sealed document, named after the digest of the spec's absolute path:
//!
//! - `last/<digest>.json` is a [`Last`]: the last results of the spec's stages. Its modification time is the time of
//!   its last use.
//! - `store-v1/sources/last-<digest>.json` is a map from stages to [`LastSources`]: their last sources, with paths.
//! - `store-v1/snapshots/<digest>.json` is a [`Snapshot`]: the inputs of a run that left the spec up to date.

mod last;
mod snapshot;
mod sources;
mod sweeps;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pipeline_core::StageId;

use crate::StoreError;
use crate::durable::{Durability, list_folder, remove_file};
use crate::error::At;
use crate::layout::{LAST_FOLDER, SOURCES_FOLDER, absolute, below, file_of_path};
use crate::sealed::read_sealed;
use crate::workspace::Workspace;

pub(crate) use last::device_of;
pub use last::{Last, LastStage};
pub use snapshot::{Circumstances, Place, Snapshot};
pub use sources::{LastSource, LastSources};
pub use sweeps::path_of_sweeps;
pub(crate) use sweeps::swept_spec;

/// The interval at which no-op runs mark a spec's last results as used.
const TOUCH_AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The memory of each spec's last runs, by the spec's path.
#[derive(Debug)]
pub struct Specs {
    lasts: PathBuf,
    snapshots: PathBuf,
    sources: PathBuf,
    workspace: Arc<Workspace>,
}

/// A file in `last/`.
#[derive(Debug)]
pub(crate) struct LastEntry {
    pub(crate) path: PathBuf,
    /// The time of its last write or use.
    pub(crate) used: SystemTime,
    /// `None` when it cannot be read.
    pub(crate) last: Option<Last>,
}

impl Specs {
    pub(crate) fn new(store: &Path, artifacts: &Path, workspace: &Arc<Workspace>) -> Self {
        Self {
            lasts: below(artifacts, LAST_FOLDER),
            snapshots: below(store, "snapshots"),
            sources: below(store, SOURCES_FOLDER),
            workspace: Arc::clone(workspace),
        }
    }

    /// Returns the last results of the spec's stages; `None` if it never ran here, or the file cannot be read.
    pub fn last(&self, spec: &Path) -> Option<Last> {
        read_sealed(&self.last_file(spec).ok()?)
    }

    /// Remembers the results of the spec's stages.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_last(&self, spec: &Path, last: &Last) -> Result<(), StoreError> {
        self.workspace.write_sealed(&self.last_file(spec)?, last, Durability::Lazy)
    }

    /// Marks the last results of a spec as used, once a day.
    pub fn use_last(&self, spec: &Path) {
        let Ok(path) = self.last_file(spec) else { return };
        let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > TOUCH_AGAIN_AFTER)) {
            // Best effort: in the store of another user only its owner's use counts.
            let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        }
    }

    /// Returns the last sources of the spec's stages; empty if it never ran here, or they cannot be read.
    pub fn sources(&self, spec: &Path) -> BTreeMap<StageId, LastSources> {
        self.sources_file(spec).ok().and_then(|path| read_sealed(&path)).unwrap_or_default()
    }

    /// Remembers the sources of the spec's stages.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_sources(&self, spec: &Path, sources: &BTreeMap<StageId, LastSources>) -> Result<(), StoreError> {
        self.workspace.write_sealed(&self.sources_file(spec)?, sources, Durability::Lazy)
    }

    /// Returns the snapshot of the spec's last run that left it up to date; `None` if it cannot be read.
    pub fn snapshot(&self, spec: &Path) -> Option<Snapshot> {
        read_sealed(&self.snapshot_file(spec).ok()?)
    }

    /// Remembers the snapshot of a run of the spec.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_snapshot(&self, spec: &Path, snapshot: &Snapshot) -> Result<(), StoreError> {
        let path = self.snapshot_file(spec)?;
        // JSON holds UTF-8 only. Without a snapshot every run makes a new plan.
        if snapshot.paths().any(|path| path.to_str().is_none()) {
            return Ok(());
        }
        self.workspace.write_sealed(&path, snapshot, Durability::Lazy)
    }

    /// The last results of every spec's stages.
    pub(crate) fn all(&self) -> Result<Vec<LastEntry>, StoreError> {
        let mut all = Vec::new();
        for entry in list_folder(&self.lasts)? {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            let last = read_sealed::<Last>(&path);
            if last.is_none() && path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            all.push(LastEntry { used: metadata.modified().at("read", &path)?, path, last });
        }
        Ok(all)
    }

    /// Forgets the last results of a spec, by its file in `last/`.
    pub(crate) fn forget(&self, last: &Path) -> Result<(), StoreError> {
        let name = last.file_name().unwrap_or_default();
        remove_file(&self.snapshots.join(name))?;
        remove_file(last)
    }

    /// The file with the last results of a spec's stages.
    pub(crate) fn last_file(&self, spec: &Path) -> Result<PathBuf, StoreError> {
        Ok(file_of_path(&self.lasts, "", &absolute(spec)?))
    }

    fn sources_file(&self, spec: &Path) -> Result<PathBuf, StoreError> {
        Ok(file_of_path(&self.sources, "last-", &absolute(spec)?))
    }

    fn snapshot_file(&self, spec: &Path) -> Result<PathBuf, StoreError> {
        Ok(file_of_path(&self.snapshots, "", &absolute(spec)?))
    }
}
