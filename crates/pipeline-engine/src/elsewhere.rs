//! Failures on the other workers of a run: no worker waits for a stage that another one could not compute.

use std::collections::BTreeMap;
use std::time::Instant;

use pipeline_core::{Event, StageId};
use pipeline_store::{Store, WorkerFiles};

use crate::message::Failure;
use crate::options::RunRole;
use crate::watch::WATCH_POLL;

/// The failures that other workers have reported so far.
pub(crate) struct Elsewhere {
    files: WorkerFiles,
    failed: BTreeMap<StageId, Failure>,
    looked: Option<Instant>,
}

impl Elsewhere {
    /// For a process with this role; `None` for one that has joined no run.
    pub fn of(role: &RunRole, store: &Store) -> Option<Self> {
        let RunRole::Join { run, .. } = role else { return None };
        Some(Self { files: store.runs().workers(run), failed: BTreeMap::new(), looked: None })
    }

    /// The failure of a stage on another worker, looked for at most once in the interval of watching.
    pub fn failure(&mut self, stage: &StageId) -> Option<Failure> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= WATCH_POLL) {
            self.looked = Some(Instant::now());
            for (worker, record) in self.files.news() {
                if let Event::StageFailed { stage, errors, help, .. } = record.event {
                    self.failed.insert(stage, Failure::on_worker(&worker, errors, help));
                }
            }
        }
        self.failed.remove(stage)
    }
}
