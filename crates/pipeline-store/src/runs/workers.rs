//! `runs/<run>/workers/`: the events of processes that work for a run, one file for each, read while they are written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use pipeline_core::{EventRecord, RunId};

use super::Runs;
use super::follow::EventFollower;
use crate::StoreError;
use crate::durable::list_folder;
use crate::error::At;

/// The folder of the workers in the folder of a run.
const WORKERS_FOLDER: &str = "workers";

/// The ending of the files with events.
const EVENTS_ENDING: &str = ".jsonl";

/// The events of one worker, which appends to them.
#[derive(Debug)]
pub struct WorkerFile {
    file: File,
    path: PathBuf,
}

/// The events of all workers of a run, from the first one on.
#[derive(Debug)]
pub struct WorkerFiles {
    folder: PathBuf,
    /// The readers of the files, by their names.
    followers: BTreeMap<String, EventFollower>,
}

impl WorkerFile {
    /// Appends an event as one line of JSON, at once.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn append(&mut self, record: &EventRecord) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(record).map_err(io::Error::other).at("write", &self.path)?;
        line.push(b'\n');
        // One call, so that two copies of a worker do not mix their lines.
        self.file.write_all(&line).at("write", &self.path)
    }
}

impl WorkerFiles {
    /// The events that were appended since the last call, by worker; in order for each of them. A line that is cut, and
    /// a file that cannot be read now, are left for the next call.
    pub fn news(&mut self) -> Vec<(String, EventRecord)> {
        let mut news = Vec::new();
        for entry in list_folder(&self.folder).unwrap_or_default() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(worker) = name.strip_suffix(EVENTS_ENDING).map(str::to_owned) else { continue };
            let follower = self.followers.entry(name).or_insert_with(|| EventFollower::new(entry.path()));
            while let Ok(true) = follower.look(&mut |record| news.push((worker.clone(), record))) {}
        }
        news
    }
}

impl Runs {
    /// Opens the file of a worker of a run; another copy of the worker may have begun it.
    ///
    /// # Errors
    /// When there is no such run, or the store cannot be written.
    pub fn join(&self, run: &RunId, worker: &str) -> Result<WorkerFile, StoreError> {
        let path = self.workers_folder(run)?.join(format!("{worker}{EVENTS_ENDING}"));
        let file = File::options().append(true).create(true).open(&path).at("create", &path)?;
        Ok(WorkerFile { file, path })
    }

    /// The folder of the workers of a run.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be made.
    pub fn workers_folder(&self, run: &RunId) -> Result<PathBuf, StoreError> {
        let folder = self.folder_of(run);
        fs::metadata(&folder).at("open", &folder)?;
        let folder = folder.join(WORKERS_FOLDER);
        fs::create_dir_all(&folder).at("create", &folder)?;
        Ok(folder)
    }

    /// The events of the workers of a run, whether there are any yet or not.
    pub fn workers(&self, run: &RunId) -> WorkerFiles {
        WorkerFiles { folder: self.folder_of(run).join(WORKERS_FOLDER), followers: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use pipeline_core::{Event, Outcome};

    use crate::{RunOrigin, Store};

    use super::*;

    #[test]
    fn the_events_of_workers_are_read_once_each_and_only_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let run = store.runs().start(5, "demo", &RunOrigin::default()).unwrap().id().clone();
        let mut files = store.runs().workers(&run);
        assert!(files.news().is_empty());
        let ended = |worker: &str| EventRecord {
            at_ms: 7,
            event: Event::WorkerEnded { worker: worker.to_owned(), outcome: Outcome::Done, seconds: 1.0 },
        };
        for _copy in 0..2 {
            store.runs().join(&run, "cpu-0").unwrap().append(&ended("cpu-0")).unwrap();
        }
        let path = store.runs().workers_folder(&run).unwrap().join("cpu-1.jsonl");
        let line = serde_json::to_string(&ended("cpu-1")).unwrap();
        fs::write(&path, format!("damage\n{}", &line[..20])).unwrap();
        assert_eq!(files.news(), [("cpu-0".to_owned(), ended("cpu-0")), ("cpu-0".to_owned(), ended("cpu-0"))]);
        fs::write(&path, format!("damage\n{line}\n")).unwrap();
        assert_eq!(files.news(), [("cpu-1".to_owned(), ended("cpu-1"))]);
        assert!(files.news().is_empty());
        let absent = RunId("no-run".into());
        assert!(store.runs().join(&absent, "0").is_err() && store.runs().workers_folder(&absent).is_err());
        assert!(!folder.path().join("runs/no-run").exists());
    }
}
