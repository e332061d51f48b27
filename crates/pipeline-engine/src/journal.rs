//! The history of a run: every event goes to the listener and, unless it is transient, to the run's folder.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline_core::{Device, Event, EventRecord, Metrics, RunId, StageId, StageNode};
use pipeline_store::{RunFolder, Store, StoreError, WorkerFile, host_name};

use crate::options::{RunOptions, RunRole};
use crate::provenance::now_ms;

/// The least interval at which the progress of a stage is recorded.
const PROGRESS_EVERY_MS: u64 = 1000;

/// The most records of the progress of one stage, so that a long run has no long history.
const MAX_STEPS: u64 = 200;

/// The interval at which progress without a known end is recorded.
const ENDLESS_EVERY_MS: u64 = 10_000;

pub(crate) struct Journal<'a> {
    place: Place,
    listen: &'a mut dyn FnMut(&EventRecord),
    pace: Pace,
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
    cards: Vec<u16>,
    file: WorkerFile,
}

/// The progress that is due to be recorded.
#[derive(Debug, Default)]
struct Pace {
    /// The time and the finished rows of the last record, by stage.
    last: BTreeMap<StageId, (u64, u64)>,
}

impl Pace {
    /// Begins with a stage: those that end sooner than the interval record no progress.
    fn begin(&mut self, stage: &StageId, at_ms: u64) {
        self.last.insert(stage.clone(), (at_ms, 0));
    }

    /// Whether an interval has passed.
    fn is_due(&mut self, stage: &StageId, at_ms: u64) -> bool {
        let (last_ms, _) = self.last.entry(stage.clone()).or_default();
        let is_due = at_ms >= *last_ms + PROGRESS_EVERY_MS;
        if is_due {
            *last_ms = at_ms;
        }
        is_due
    }

    /// Whether an interval has passed and the stage has come far enough.
    fn is_step(&mut self, stage: &StageId, at_ms: u64, n_done: u64, total: Option<u64>) -> bool {
        let (last_ms, last_done) = self.last.entry(stage.clone()).or_default();
        let pause_ms = if total.is_some() { PROGRESS_EVERY_MS } else { ENDLESS_EVERY_MS };
        let n_new = n_done.saturating_sub(*last_done);
        let is_step = at_ms >= *last_ms + pause_ms && n_new >= total.map_or(1, |total| total.div_ceil(MAX_STEPS));
        if is_step {
            (*last_ms, *last_done) = (at_ms, n_done);
        }
        is_step
    }
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
                cards: options.cards.clone(),
                file: store.runs().join(run, worker)?,
            };
            return Ok(Self { place: Place::Joined(joined), listen, pace: Pace::default(), broken: None });
        }
        let mut folder = store.runs().start(now_ms(), spec_name, &options.origin)?;
        if !options.labels.is_empty() {
            store.runs().label(folder.id(), &options.labels)?;
        }
        folder.write_spec(yaml)?;
        attachments.iter().try_for_each(|(name, content)| folder.write_attachment(name, content))?;
        Ok(Self { place: Place::Own(Box::new(folder)), listen, pace: Pace::default(), broken: None })
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
            cards: options.cards.clone(),
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
        if let Event::StageStarted { stage, .. } = &record.event {
            self.pace.begin(stage, record.at_ms);
        }
        let recorded = match &mut self.place {
            Place::Own(folder) => {
                let is_kept = match &record.event {
                    Event::StageProgress { stage, n_done, total } => {
                        self.pace.is_step(stage, record.at_ms, *n_done, *total)
                    }
                    event => !event.is_passing(),
                };
                if is_kept { folder.append_event(&record) } else { Ok(()) }
            }
            Place::Joined(joined) => joined.record(record, &mut self.pace),
        };
        self.broken = recorded.err();
    }

    /// Shows an event that another worker has recorded.
    pub fn show(&mut self, event: Event) {
        (self.listen)(&EventRecord { at_ms: now_ms(), event });
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
    fn record(&mut self, mut record: EventRecord, pace: &mut Pace) -> Result<(), StoreError> {
        match &record.event {
            Event::RunStarted { .. } => {
                record.event = Event::WorkerStarted {
                    worker: self.worker.clone(),
                    host: host_name().to_owned(),
                    instruction_set: self.instruction_set.clone(),
                    device: self.device,
                    cards: self.cards.clone(),
                };
            }
            Event::RunFinished { outcome, seconds, .. } => {
                let (worker, outcome, seconds) = (self.worker.clone(), *outcome, *seconds);
                record.event = Event::WorkerEnded { worker, outcome, seconds };
            }
            Event::StageReused { .. } | Event::StageSkipped { .. } | Event::StageWaiting { .. } => return Ok(()),
            Event::StageProgress { stage, .. } | Event::StageRedraw { stage, .. }
                if !pace.is_due(stage, record.at_ms) =>
            {
                return Ok(());
            }
            _ => {}
        }
        self.file.append(&record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_recorded_in_steps_and_at_intervals() {
        let stage: StageId = "images".parse().unwrap();
        let steps = |records: &[(u64, u64, Option<u64>)]| {
            let mut pace = Pace::default();
            pace.begin(&stage, 100);
            records
                .iter()
                .map(|(at_ms, n_done, total)| pace.is_step(&stage, *at_ms, *n_done, *total))
                .collect::<Vec<_>>()
        };
        let total = Some(1000);
        assert_eq!(steps(&[(900, 500, total), (1100, 500, total), (2000, 900, total)]), [false, true, false]);
        assert_eq!(steps(&[(2000, 5, total), (9000, 9, total), (9000, 10, total)]), [true, false, true]);
        assert_eq!(steps(&[(2000, 5, None), (10_100, 6, None), (10_200, 7, None)]), [false, true, false]);
    }
}
