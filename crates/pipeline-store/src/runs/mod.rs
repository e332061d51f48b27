//! `runs/` and `run-order`: the history of runs, one folder per run.
//!
//! `runs/<run id>/` holds:
//!
//! - `run.json`: the [`RunBegin`] as plain JSON.
//! - `events.jsonl`: the events, one JSON object per line. The process that writes a run holds a lock on it; an
//!   unfinished run without a lock has died.
//! - `spec.yaml`, `metrics.json` and attachments such as `sweep.json`.
//! - `seal.json`: a sealed [`RunSeal`](seal::RunSeal), written with the last event. It has the digests of all files
//!   above, so that later changes are detected.
//! - `report.html` and its like, written on demand and not sealed, and so the files of executors, such as `slurm.json`.
//! - `workers/<worker>.jsonl`: the events of processes that work for the run.
//! - `labels.json`: the sealed [`RunLabels`], once the run has a name, a note or a tag.
//! - `pinned`: a sealed [`Pin`](pins::Pin), as long as the run is pinned.
//!
//! `store-v1/run-order` is the sealed number of the last run.

mod begin;
mod folder;
mod follow;
mod history;
mod labels;
mod order;
mod origin;
mod pins;
mod remove;
mod seal;
mod workers;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::calendar::DateTime;
use pipeline_core::{Digest, RunId};

use crate::StoreError;
use crate::durable::{Durability, list_folder, read_if_there};
use crate::error::At;
use crate::host_name;
use crate::layout::{RUNS_FOLDER, below};
use crate::workspace::Workspace;

pub(crate) use begin::RunBegin;
pub use folder::RunFolder;
pub use follow::EventFollower;
pub(crate) use history::is_running;
pub use history::{RunInfo, RunState};
pub use labels::RunLabels;
pub use origin::{GitCommit, RunOrigin};
pub(crate) use pins::{PIN_FILE, keys_of, pinned_keys};
pub use remove::Needed;
pub(crate) use seal::SEAL_FILE;
pub use workers::{WorkerFile, WorkerFiles};

/// The history of runs of a store.
#[derive(Debug)]
pub struct Runs {
    folder: PathBuf,
    order: PathBuf,
    workspace: Arc<Workspace>,
}

impl Runs {
    pub(crate) fn new(store: &Path, artifacts: &Path, workspace: &Arc<Workspace>) -> Self {
        let (folder, order) = (below(artifacts, RUNS_FOLDER), below(store, "run-order"));
        Self { folder, order, workspace: Arc::clone(workspace) }
    }

    /// Makes the folder of a new run that began at `at_ms` (milliseconds since 1970-01-01 UTC).
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn start(&self, at_ms: u64, spec_name: &str, origin: &RunOrigin) -> Result<RunFolder, StoreError> {
        let (number, id, folder) = self.new_folder(at_ms)?;
        RunFolder::begin(id, folder, RunBegin::new(spec_name, at_ms, number, origin.clone()), &self.workspace)
    }

    /// Writes a file into the folder of a run that is not sealed with it, such as a page, replacing one with the same
    /// name. Returns its path.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_beside(&self, run: &RunId, name: &str, text: &str) -> Result<PathBuf, StoreError> {
        let path = self.folder_of(run).join(name);
        self.workspace.write(&path, text.as_bytes(), Durability::Lazy)?;
        Ok(path)
    }

    /// The contents of the files of this name beside runs, newest run last. None of them is sealed.
    ///
    /// # Errors
    /// When the folder of runs cannot be read.
    pub fn all_beside(&self, name: &str) -> Result<Vec<(RunId, Vec<u8>)>, StoreError> {
        let mut found: Vec<_> = (self.folders()?.into_iter())
            .filter_map(|(run, folder)| Some((run, read_if_there(&folder.join(name)).ok()??)))
            .collect();
        found.sort();
        Ok(found)
    }

    /// All folders of runs, by the names of the runs.
    pub(crate) fn folders(&self) -> Result<Vec<(RunId, PathBuf)>, StoreError> {
        let entries = list_folder(&self.folder)?;
        let run = |entry: &fs::DirEntry| (RunId(entry.file_name().to_string_lossy().into_owned()), entry.path());
        Ok(entries.iter().map(run).collect())
    }

    /// True if this program gives such names to runs: a folder of any other name is somebody else's.
    pub(crate) fn is_name(name: &str) -> bool {
        let is = |part: &str, n_digits: usize, is_digit: fn(&u8) -> bool| {
            part.len() == n_digits && part.as_bytes().iter().all(is_digit)
        };
        let (Some((time, suffix)), true) = (name.split_once('-'), name.is_ascii()) else { return false };
        let Some((day, time)) = time.strip_suffix('Z').and_then(|time| time.split_once('T')) else { return false };
        is(day, 8, u8::is_ascii_digit) && is(time, 6, u8::is_ascii_digit) && is(suffix, 4, u8::is_ascii_hexdigit)
    }

    fn folder_of(&self, run: &RunId) -> PathBuf {
        self.folder.join(&run.0)
    }

    fn new_folder(&self, at_ms: u64) -> Result<(u64, RunId, PathBuf), StoreError> {
        fs::create_dir_all(&self.folder).at("create", &self.folder)?;
        let order = self.take_turn()?;
        let mut n_taken = 0;
        loop {
            let id = RunId(format!("{}-{}", DateTime::of(at_ms).compact(), suffix(n_taken)));
            let folder = self.folder_of(&id);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n_taken += 1,
                created => {
                    created.at("create", &folder)?;
                    let number = order.take().at("write", &self.order)?;
                    return Ok((number, id, folder));
                }
            }
        }
    }
}

/// Four hexadecimal digits that most likely differ between processes and attempts.
fn suffix(n_taken: u32) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = format!("{} {} {} {n_taken}", host_name(), std::process::id(), now.as_nanos());
    Digest::of(seed.as_bytes()).hex()[..4].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_else_gave_is_no_name_of_a_run() {
        let name = format!("{}-{}", DateTime::of(1_764_418_849_000).compact(), suffix(0));
        assert!(Runs::is_name(&name), "{name}");
        for other in ["exp1", "train", "20261129T124842Z", "20261129T124842Z-8c0", "20261129-124842", "", "日T月Z-8c0f"]
        {
            assert!(!Runs::is_name(other), "{other}");
        }
    }
}
