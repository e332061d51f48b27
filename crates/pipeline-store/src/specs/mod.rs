//! `last/`, `snapshots/` and `sources/last-*.json`: what is remembered of each spec between its runs.
//!
//! Each file is a sealed document, named after the digest of the spec's absolute path:
//!
//! - `last/<digest>.json` is a [`Last`]: what the spec's stages had last. The time of its last modification is that of
//!   its last use.
//! - `store-v1/sources/last-<digest>.json` is a map from stages to [`LastSources`]: what they read last, and where.
//! - `store-v1/snapshots/<digest>.json` is a [`Snapshot`]: what a run saw that left the spec up to date.

mod last;
mod snapshot;
mod sources;

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

/// How often a no-op run says that what its spec has is in use.
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
    /// When it was written or used.
    pub(crate) used: SystemTime,
    /// None when it cannot be read.
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

    /// Returns what the spec's stages had last; none if it never ran here, or what is remembered cannot be read.
    pub fn last(&self, spec: &Path) -> Option<Last> {
        read_sealed(&self.last_file(spec).ok()?)
    }

    /// Remembers what the spec's stages have.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_last(&self, spec: &Path, last: &Last) -> Result<(), StoreError> {
        self.workspace.write_sealed(&self.last_file(spec)?, last, Durability::Lazy)
    }

    /// Says that what the spec's stages had last is in use, once a day.
    pub fn use_last(&self, spec: &Path) {
        let Ok(path) = self.last_file(spec) else { return };
        let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > TOUCH_AGAIN_AFTER)) {
            // Best effort: in the store of another user only its owner's use counts.
            let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        }
    }

    /// Returns the sources that the spec's stages had last; nothing if it never ran here, or they cannot be read.
    pub fn sources(&self, spec: &Path) -> BTreeMap<StageId, LastSources> {
        self.sources_file(spec).ok().and_then(|path| read_sealed(&path)).unwrap_or_default()
    }

    /// Remembers the sources that the spec's stages have.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_sources(&self, spec: &Path, sources: &BTreeMap<StageId, LastSources>) -> Result<(), StoreError> {
        self.workspace.write_sealed(&self.sources_file(spec)?, sources, Durability::Lazy)
    }

    /// Returns what the last run of the spec saw that left it up to date; none if it cannot be read.
    pub fn snapshot(&self, spec: &Path) -> Option<Snapshot> {
        read_sealed(&self.snapshot_file(spec).ok()?)
    }

    /// Remembers what a run of the spec saw.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_snapshot(&self, spec: &Path, snapshot: &Snapshot) -> Result<(), StoreError> {
        let path = self.snapshot_file(spec)?;
        // JSON holds UTF-8 only. Without a snapshot the plan is made anew each time.
        if snapshot.paths().any(|path| path.to_str().is_none()) {
            return Ok(());
        }
        self.workspace.write_sealed(&path, snapshot, Durability::Lazy)
    }

    /// The results that the stages of every spec had last.
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

    /// Forgets what a spec had last, by its file in `last/`.
    pub(crate) fn forget(&self, last: &Path) -> Result<(), StoreError> {
        let name = last.file_name().unwrap_or_default();
        remove_file(&self.snapshots.join(name))?;
        remove_file(last)
    }

    /// The file with what a spec's stages had last.
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
