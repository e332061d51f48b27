//! The history of a run: every event goes to the listener and, unless it is transient, to the run's folder.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline_core::{Event, EventRecord, Metrics, RunId, StageId, StageNode};
use pipeline_store::{RunFolder, Store, StoreError};

use crate::options::RunOptions;
use crate::provenance::now_ms;

pub(crate) struct Journal<'a> {
    folder: RunFolder,
    listen: &'a mut dyn FnMut(&EventRecord),
    /// The first event that could not be recorded; the run continues without recording.
    broken: Option<StoreError>,
}

impl<'a> Journal<'a> {
    /// Starts the folder of a run, with its spec's name and resolved text, and further files by name.
    pub fn start(
        store: &Store,
        spec_name: &str,
        yaml: &str,
        attachments: &[(&str, Vec<u8>)],
        options: &RunOptions,
        listen: &'a mut dyn FnMut(&EventRecord),
    ) -> Result<Self, StoreError> {
        let mut folder = store.runs().start(now_ms(), spec_name, &options.origin)?;
        if !options.labels.is_empty() {
            store.runs().label(folder.id(), &options.labels)?;
        }
        folder.write_spec(yaml)?;
        attachments.iter().try_for_each(|(name, content)| folder.write_attachment(name, content))?;
        Ok(Self { folder, listen, broken: None })
    }

    /// The first event of the run.
    pub fn run_started(&self, spec_name: &str, graph: Vec<StageNode>, options: &RunOptions) -> Event {
        Event::RunStarted {
            run: self.run().clone(),
            spec: spec_name.to_owned(),
            stages: graph.iter().map(|node| node.stage.clone()).collect(),
            graph,
            version: options.origin.version.clone(),
            device: options.plan.device,
            n_jobs: options.n_jobs.cpu.max(1),
            n_threads: options.n_threads.max(1),
        }
    }

    pub fn run(&self) -> &RunId {
        self.folder.id()
    }

    pub fn emit(&mut self, event: Event) {
        let record = EventRecord { at_ms: now_ms(), event };
        (self.listen)(&record);
        let is_passing = matches!(
            record.event,
            Event::StageProgress { .. } | Event::StageRedraw { .. } | Event::RemoteUploading { .. }
        );
        if self.broken.is_none() && !is_passing {
            self.broken = self.folder.append_event(&record).err();
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.folder()
    }

    pub fn write_metrics(&mut self, metrics: &BTreeMap<StageId, Metrics>) -> Result<(), StoreError> {
        self.folder.write_metrics(metrics)
    }

    /// Returns the error if an event could not be recorded.
    pub fn finish(self) -> Result<(), StoreError> {
        self.broken.map_or(Ok(()), Err)
    }
}
