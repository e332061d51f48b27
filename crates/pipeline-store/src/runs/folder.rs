//! The folder of a run that is being written: its events as they happen, its other files, and the seal at its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{Digest, Event, EventRecord, FileEntry, Metrics, RunId, StageId};
use serde::Serialize;

use super::begin::{BEGIN_FILE, RunBegin};
use super::seal::{HashedFile, RunSeal, SEAL_FILE};
use crate::StoreError;
use crate::durable::Durability;
use crate::error::At;
use crate::sealed::seal;
use crate::workspace::Workspace;

pub(super) const EVENTS_FILE: &str = "events.jsonl";
pub(super) const SPEC_FILE: &str = "spec.yaml";
const METRICS_FILE: &str = "metrics.json";

/// The bytes of `events.jsonl` that are buffered before they are written and hashed.
const EVENTS_BUFFER_BYTES: usize = 64 << 10;

/// The folder of a run that is being written: `runs/<run id>/`.
#[derive(Debug)]
pub struct RunFolder {
    id: RunId,
    folder: PathBuf,
    begin: RunBegin,
    events: BufWriter<HashedFile>,
    /// A buffer for the next line, reused for every event.
    line: Vec<u8>,
    /// The other files of the run.
    files: BTreeMap<String, FileEntry>,
    workspace: Arc<Workspace>,
    /// True until something other than a reused result is recorded.
    is_no_op: bool,
}

impl RunFolder {
    /// Begins to write the run with this folder, which exists and is empty.
    pub(super) fn begin(
        id: RunId,
        folder: PathBuf,
        begin: RunBegin,
        workspace: &Arc<Workspace>,
    ) -> Result<Self, StoreError> {
        let events_path = folder.join(EVENTS_FILE);
        let events = File::options().append(true).create_new(true).open(&events_path).at("create", &events_path)?;
        // Waits only for the moment in which another process lists the runs. Without locks the run counts as running.
        let _ = events.lock();
        let json = to_json(&begin);
        let events = BufWriter::with_capacity(EVENTS_BUFFER_BYTES, HashedFile::new(events));
        let (line, files, workspace) = (Vec::new(), BTreeMap::new(), Arc::clone(workspace));
        let mut run = Self { id, folder, begin, events, line, files, workspace, is_no_op: true };
        run.write(BEGIN_FILE, &json)?;
        Ok(run)
    }

    /// The run.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes `spec.yaml`, the resolved spec.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_spec(&mut self, yaml: &str) -> Result<(), StoreError> {
        self.write(SPEC_FILE, yaml.as_bytes())
    }

    /// Writes another file that is kept with the run.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_attachment(&mut self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.write(name, content)
    }

    /// Appends an event to `events.jsonl` as one line of JSON.
    ///
    /// Every event is written at once except [`Event::StageReused`], which waits for another one: a no-op run must not
    /// cost one write per stage. [`Event::RunFinished`] seals the run.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn append_event(&mut self, record: &EventRecord) -> Result<(), StoreError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record).expect(SERIALIZES);
        self.line.push(b'\n');
        let mut written = self.events.write_all(&self.line);
        if !matches!(record.event, Event::StageReused { .. }) {
            written = written.and_then(|()| self.events.flush());
        }
        written.at("write", &self.folder.join(EVENTS_FILE))?;
        self.is_no_op &= is_idle(&record.event);
        if let Event::RunFinished { outcome, seconds, metrics, .. } = &record.event {
            let files = std::mem::take(&mut self.files);
            let events = (EVENTS_FILE.to_owned(), self.events.get_ref().entry());
            let files = files.into_iter().chain([events]).collect();
            let (begin, metrics) = (self.begin.clone(), metrics.clone());
            let (outcome, seconds, is_no_op) = (*outcome, *seconds, Some(self.is_no_op));
            self.write(SEAL_FILE, &seal(&RunSeal { begin, outcome, seconds, metrics, files, is_no_op }))?;
        }
        Ok(())
    }

    /// Writes `metrics.json`: `{stage: {metric: value}}`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_metrics(&mut self, metrics: &BTreeMap<StageId, Metrics>) -> Result<(), StoreError> {
        let mut json = serde_json::to_vec_pretty(metrics).expect("stages and metrics are texts and numbers");
        json.push(b'\n');
        self.write(METRICS_FILE, &json)
    }

    fn write(&mut self, file: &str, content: &[u8]) -> Result<(), StoreError> {
        self.workspace.write(&self.folder.join(file), content, Durability::Lazy)?;
        let entry = FileEntry::new(Digest::of(content), content.len() as u64);
        self.files.insert(file.to_owned(), entry);
        Ok(())
    }
}

/// True for an event of a run in which nothing runs, is adopted or is published.
pub(super) fn is_idle(event: &Event) -> bool {
    matches!(
        event,
        Event::RunStarted { .. } | Event::StageReused { .. } | Event::StageWarning { .. } | Event::RunFinished { .. }
    )
}

/// The reason why serializing to JSON cannot fail here.
const SERIALIZES: &str = "the vocabulary has string keys and serializes without fail";

fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect(SERIALIZES)
}
