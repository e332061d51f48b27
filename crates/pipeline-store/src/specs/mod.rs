//! `last/`, `snapshots/` and `sources/last-*.json`: the memory of each spec between its runs.
//!
//! Each file is a sealed document, named after the digest of the spec's absolute path, and of the overrides where there
//! are any ([`path_of_overrides`]):
//!
//! - `last/<digest>.json` is a [`Last`]: the last results of the spec's stages. Its modification time is the time of
//!   its last use.
//! - `store-v1/sources/last-<digest>.json` is a map from stages to [`LastSources`]: their last sources, with paths.
//! - `store-v1/snapshots/<digest>.json` is a [`Snapshot`]: the inputs of a run that left the spec up to date.
//!
//! What is not known of a spec with these overrides may be known of it with others: [`Specs::nearest`].

mod last;
mod overrides;
mod snapshot;
mod sources;
mod sweeps;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use pipeline_core::{Digest, StageId};

use crate::StoreError;
use crate::durable::{Durability, list_folder, remove_file};
use crate::error::At;
use crate::layout::{LAST_FOLDER, SOURCES_FOLDER, absolute, below, file_of_path};
use crate::sealed::read_sealed;
use crate::workspace::Workspace;

pub(crate) use last::device_of;
pub use last::{Last, LastStage};
pub(crate) use overrides::is_of_overrides;
pub use overrides::path_of_overrides;
use overrides::spec_and_overrides;
pub use snapshot::{Circumstances, Place, Snapshot};
pub use sources::{LastSource, LastSources};
pub use sweeps::path_of_sweeps;
pub(crate) use sweeps::swept_spec;

/// The beginning of the names of files with the last sources of specs.
const LAST_SOURCES: &str = "last-";

/// The digits of a digest in the name of a file.
const DIGEST_DIGITS: usize = 64;

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
    /// The present path of a spec that was moved together with the store, and has not run since.
    pub(crate) moved_to: Option<PathBuf>,
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

    /// Returns the last results of the spec's stages; `None` if it never ran here with these overrides, or the file
    /// cannot be read.
    pub fn last(&self, spec: &Path) -> Option<Last> {
        read_sealed(&self.last_file(spec).ok()?)
    }

    /// Returns the last results of the spec's stages, or where it never ran here with these overrides, of its last run
    /// with any others: for comparisons and forecasts.
    pub fn nearest(&self, spec: &Path) -> Option<Last> {
        self.last(spec).or_else(|| self.newest_last(spec))
    }

    /// Returns the results of the spec's last run, whatever its overrides.
    pub fn newest_last(&self, spec: &Path) -> Option<Last> {
        read_sealed(self.by_use(spec).first()?)
    }

    /// Remembers the results of the spec's stages.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_last(&self, spec: &Path, last: &Last) -> Result<(), StoreError> {
        let beside = self.folder_of_store().and_then(|folder| Some(last.spec.strip_prefix(folder).ok()?.to_owned()));
        let last = Last { beside: beside.filter(|path| path.to_str().is_some()), ..last.clone() };
        self.workspace.write_sealed(&self.last_file(spec)?, &last, Durability::Lazy)
    }

    /// The absolute folder that holds the store.
    fn folder_of_store(&self) -> Option<PathBuf> {
        Some(absolute(&self.lasts).ok()?.parent()?.parent()?.to_owned())
    }

    /// Marks the last results of a spec as used now: its last run is the one with these overrides.
    pub fn use_last(&self, spec: &Path) {
        let Ok(path) = self.last_file(spec) else { return };
        // Best effort: in the store of another user only its owner's use counts.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Returns the last sources of the spec's stages; empty if it never ran here, or they cannot be read.
    pub fn sources(&self, spec: &Path) -> BTreeMap<StageId, LastSources> {
        self.sources_file(spec).ok().and_then(|path| read_sealed(&path)).unwrap_or_default()
    }

    /// Returns the last sources of the spec's stages, or where there are none with these overrides, those of the run
    /// that [`Specs::nearest`] returns.
    pub fn nearest_sources(&self, spec: &Path) -> BTreeMap<StageId, LastSources> {
        let own = self.sources_file(spec).ok().and_then(|path| read_sealed(&path));
        let of_run = |last: PathBuf| read_sealed(&self.sources_beside(&last));
        own.or_else(|| self.by_use(spec).into_iter().find_map(of_run)).unwrap_or_default()
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
            let moved_to = last.as_ref().and_then(|last| self.moved_to(&path, last));
            all.push(LastEntry { used: metadata.modified().at("read", &path)?, path, last, moved_to });
        }
        Ok(all)
    }

    /// The path of a spec that was moved together with the store, unless it has run there since.
    fn moved_to(&self, file: &Path, last: &Last) -> Option<PathBuf> {
        let spec = self.folder_of_store()?.join(last.beside.as_ref()?);
        if spec == last.spec {
            return None;
        }
        let overrides = file.file_name()?.to_str()?.get(DIGEST_DIGITS..)?;
        let digest = Digest::of(spec.as_os_str().as_encoded_bytes());
        (!self.lasts.join(format!("{digest}{overrides}")).exists()).then_some(spec)
    }

    /// Forgets the last results of a spec, by its file in `last/`. The sources of a spec as it is stay: it may come
    /// back without them.
    pub(crate) fn forget(&self, last: &Path) -> Result<(), StoreError> {
        let name = last.file_name().unwrap_or_default();
        remove_file(&self.snapshots.join(name))?;
        if is_of_overrides(last) {
            remove_file(&self.sources_beside(last))?;
        }
        remove_file(last)
    }

    /// The file with the last results of a spec's stages.
    pub(crate) fn last_file(&self, spec: &Path) -> Result<PathBuf, StoreError> {
        file_of(&self.lasts, "", spec)
    }

    fn sources_file(&self, spec: &Path) -> Result<PathBuf, StoreError> {
        file_of(&self.sources, LAST_SOURCES, spec)
    }

    /// The file with the last sources of the runs whose last results are in the file `last`.
    fn sources_beside(&self, last: &Path) -> PathBuf {
        let mut name = OsString::from(LAST_SOURCES);
        name.push(last.file_name().unwrap_or_default());
        self.sources.join(name)
    }

    fn snapshot_file(&self, spec: &Path) -> Result<PathBuf, StoreError> {
        file_of(&self.snapshots, "", spec)
    }

    /// The files with the last results of the spec with any overrides or without, the last used first.
    fn by_use(&self, spec: &Path) -> Vec<PathBuf> {
        let Ok(spec) = absolute(spec) else { return Vec::new() };
        let plain = spec_and_overrides(&spec).map_or(&*spec, |(spec, _)| spec);
        let stem = Digest::of(plain.as_os_str().as_encoded_bytes()).hex();
        let is_of_spec =
            |name: &[u8]| name.strip_prefix(stem.as_bytes()).is_some_and(|rest| matches!(rest, [b'-' | b'.', ..]));
        let entries = list_folder(&self.lasts).unwrap_or_default().into_iter();
        let mut entries: Vec<_> = entries.filter(|entry| is_of_spec(entry.file_name().as_encoded_bytes())).collect();
        entries.sort_by_cached_key(|entry| Reverse(entry.metadata().and_then(|metadata| metadata.modified()).ok()));
        entries.into_iter().map(|entry| entry.path()).collect()
    }
}

/// The file in `folder` about runs of a spec: `<prefix><digest of its path>.json`, with a digest of the overrides
/// behind that of the path where there are any.
fn file_of(folder: &Path, prefix: &str, spec: &Path) -> Result<PathBuf, StoreError> {
    let spec = absolute(spec)?;
    let Some((spec, overrides)) = spec_and_overrides(&spec) else { return Ok(file_of_path(folder, prefix, &spec)) };
    let digest = Digest::of(spec.as_os_str().as_encoded_bytes());
    Ok(folder.join(format!("{prefix}{digest}-{overrides}.json")))
}
