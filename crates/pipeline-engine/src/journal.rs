//! The history of a run: every event goes to the listener and, unless it is transient, to the run's folder.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline_core::{Device, Event, EventRecord, Metrics, RunId, StageId, StageNode};
use pipeline_store::{RunFolder, Store, StoreError, WorkerFile, host_name};

use crate::options::{RunOptions, RunRole};
use crate::provenance::now_ms;

/// The interval at which a worker records its progress in a stage.
const PROGRESS_EVERY_MS: u64 = 1000;

pub(crate) struct Journal<'a> {
    place: Place,
    listen: &'a mut dyn FnMut(&EventRecord),
    /// The first event that could not be recorded; the run continues without recording.
    broken: Option<StoreError>,
}

/// The place of the events.
enum Place {
    Own(Box<RunFolder>),
    Joined(Joined),
}

/// The file of a worker in the folder of the run that it has joined.
struct Joined {
    run: RunId,
    folder: std::path::PathBuf,
    worker: String,
    instruction_set: String,
    device: Device,
    file: WorkerFile,
    /// The time of the last recorded progress, by stage.
    recorded_ms: BTreeMap<StageId, u64>,
}

impl<'a> Journal<'a> {
    /// Starts the folder of a run, with its spec's name and resolved text, and further files by name; or joins another.
    pub fn start(
        store: &Store,
        spec_name: &str,
        yaml: &str,
        attachments: &[(&str, Vec<u8>)],
        options: &RunOptions,
        listen: &'a mut dyn FnMut(&EventRecord),
    ) -> Result<Self, StoreError> {
        if let RunRole::Join { run, worker } = &options.role {
            let joined = Joined {
                run: run.clone(),
                folder: store.runs().workers_folder(run)?,
                worker: worker.clone(),
                instruction_set: options.origin.instruction_set.clone(),
                device: options.plan.device,
                file: store.runs().join(run, worker)?,
                recorded_ms: BTreeMap::new(),
            };
            return Ok(Self { place: Place::Joined(joined), listen, broken: None });
        }
        let mut folder = store.runs().start(now_ms(), spec_name, &options.origin)?;
        if !options.labels.is_empty() {
            store.runs().label(folder.id(), &options.labels)?;
        }
        folder.write_spec(yaml)?;
        attachments.iter().try_for_each(|(name, content)| folder.write_attachment(name, content))?;
        Ok(Self { place: Place::Own(Box::new(folder)), listen, broken: None })
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
        match &self.place {
            Place::Own(folder) => folder.id(),
            Place::Joined(joined) => &joined.run,
        }
    }

    /// True if the events belong to another run.
    pub fn is_joined(&self) -> bool {
        matches!(self.place, Place::Joined(_))
    }

    pub fn emit(&mut self, event: Event) {
        let record = EventRecord { at_ms: now_ms(), event };
        if !matches!(record.event, Event::ShardComputed { .. }) {
            (self.listen)(&record);
        }
        if self.broken.is_some() {
            return;
        }
        let recorded = match &mut self.place {
            Place::Own(_) if record.event.is_passing() => Ok(()),
            Place::Own(folder) => folder.append_event(&record),
            Place::Joined(joined) => joined.record(record),
        };
        self.broken = recorded.err();
    }

    pub fn folder(&self) -> &Path {
        match &self.place {
            Place::Own(folder) => folder.folder(),
            Place::Joined(joined) => &joined.folder,
        }
    }

    /// Writes the metrics of a run with a folder of its own.
    pub fn write_metrics(&mut self, metrics: &BTreeMap<StageId, Metrics>) -> Result<(), StoreError> {
        match &mut self.place {
            Place::Own(folder) => folder.write_metrics(metrics),
            Place::Joined(_) => Ok(()),
        }
    }

    /// Returns the error if an event could not be recorded.
    pub fn finish(self) -> Result<(), StoreError> {
        self.broken.map_or(Ok(()), Err)
    }
}

impl Joined {
    /// Records what the watching run has to know.
    fn record(&mut self, mut record: EventRecord) -> Result<(), StoreError> {
        match &record.event {
            Event::RunStarted { .. } => {
                record.event = Event::WorkerStarted {
                    worker: self.worker.clone(),
                    host: host_name().to_owned(),
                    instruction_set: self.instruction_set.clone(),
                    device: self.device,
                };
            }
            Event::RunFinished { outcome, seconds, .. } => {
                let (worker, outcome, seconds) = (self.worker.clone(), *outcome, *seconds);
                record.event = Event::WorkerEnded { worker, outcome, seconds };
            }
            Event::StageReused { .. } | Event::StageSkipped { .. } | Event::StageWaiting { .. } => return Ok(()),
            Event::StageProgress { stage, .. } | Event::StageRedraw { stage, .. } => {
                let recorded_ms = self.recorded_ms.entry(stage.clone()).or_default();
                if record.at_ms < *recorded_ms + PROGRESS_EVERY_MS {
                    return Ok(());
                }
                *recorded_ms = record.at_ms;
            }
            _ => {}
        }
        self.file.append(&record)
    }
}
