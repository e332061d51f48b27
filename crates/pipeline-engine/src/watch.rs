//! Watching: a run that computes nothing, and takes the results of workers as they appear in the store.
//!
//! The store alone says what is done. The events of the workers say how far they are, and which of them failed.

use std::collections::{BTreeMap, HashSet};
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipeline_core::{Event, Key, RunId, StageId};
use pipeline_store::{Store, WorkerFiles};

use crate::decision::Decision;
use crate::message::Failure;
use crate::options::RunRole;
use crate::state::State;

/// The interval at which results and events of workers are looked for.
pub(crate) const WATCH_POLL: Duration = Duration::from_secs(1);

/// How often a record is found before the event of its worker is no longer expected: it follows within moments, unless
/// the worker was killed in between.
const MAX_FINDS: u8 = 5;

/// The line between a run that watches and the executor of its workers; clones are one line.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    /// Runs whose workers are followed.
    followed: Vec<RunId>,
    notes: Vec<String>,
    given_up: Option<(Vec<String>, Option<String>)>,
    n_records: u64,
}

impl Watch {
    /// Follows the workers of a run, if it does not yet.
    pub fn follow(&self, run: RunId) {
        let mut line = self.line();
        if !line.followed.contains(&run) {
            line.followed.push(run);
        }
    }

    /// Reports a change in the run's events.
    pub fn note(&self, message: String) {
        self.line().notes.push(message);
    }

    /// Fails the run, since no worker will compute what is missing.
    pub fn give_up(&self, errors: Vec<String>, help: Option<String>) {
        self.line().given_up = Some((errors, help));
    }

    /// The number of stages and shards that workers have reported so far.
    pub fn n_records(&self) -> u64 {
        self.line().n_records
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The news of the workers.
pub(crate) struct Watching {
    watch: Watch,
    files: Vec<WorkerFiles>,
    stages: BTreeMap<StageId, Watched>,
    /// The faults of the remote that a worker has reported: all workers meet the same.
    remote_news: HashSet<Discriminant<Event>>,
    /// The records that each worker has left unused because no trusted key has signed them.
    n_untrusted: BTreeMap<String, u64>,
    /// True once no worker will compute what is missing.
    pub has_given_up: bool,
}

/// The events of workers about one stage.
#[derive(Default)]
struct Watched {
    started: Option<Key>,
    /// The last [`Event::StageFinished`] that was not yet taken.
    finished: Option<Event>,
    failure: Option<(Failure, f64)>,
    n_finds: u8,
    shards: Option<Shards>,
    has_news: bool,
}

/// The shards of a stage, since the process that leads it has counted them.
#[derive(Clone, Copy)]
struct Shards {
    n_shards: u64,
    n_done: u64,
    n_rows: u64,
    n_rows_done: u64,
}

impl Watching {
    /// Of a run with this role; `None` for one that computes.
    pub fn of(role: &RunRole) -> Option<Self> {
        let RunRole::Watch(watch) = role else { return None };
        Some(Self {
            watch: watch.clone(),
            files: Vec::new(),
            stages: BTreeMap::new(),
            remote_news: HashSet::new(),
            n_untrusted: BTreeMap::new(),
            has_given_up: false,
        })
    }

    /// The most records that one worker has left unused: the others have mostly met the same ones.
    pub fn n_untrusted(&self) -> u64 {
        self.n_untrusted.values().copied().max().unwrap_or_default()
    }

    fn news(&mut self, store: &Store) -> Vec<(String, Event)> {
        let line = self.watch.line();
        self.files.extend(line.followed[self.files.len()..].iter().map(|run| store.runs().workers(run)));
        drop(line);
        let news = self.files.iter_mut().flat_map(WorkerFiles::news);
        news.map(|(worker, record)| (worker, record.event)).collect()
    }
}

impl State<'_, '_> {
    /// Takes the news of the workers and of their executor.
    pub fn hear_workers(&mut self) {
        let Some(mut watching) = self.watching.take() else { return };
        for note in std::mem::take(&mut watching.watch.line().notes) {
            self.journal.emit(Event::ExecutorNoted { message: note });
        }
        for (worker, event) in watching.news(self.resolver.store) {
            self.hear(&mut watching, &worker, event);
        }
        for (stage, watched) in &mut watching.stages {
            if let (true, Some(shards)) = (std::mem::take(&mut watched.has_news), watched.shards) {
                let Shards { n_shards, n_done, n_rows, n_rows_done } = shards;
                self.journal.emit(Event::ShardsDone { stage: stage.clone(), n_done, n_shards });
                let (stage, n_done, total) = (stage.clone(), n_rows_done, Some(n_rows));
                self.journal.emit(Event::StageProgress { stage, n_done, total });
            }
        }
        let given_up = watching.watch.line().given_up.take();
        self.watching = Some(watching);
        if let Some((errors, help)) = given_up {
            self.give_up(Failure { errors, help, is_bug: false });
        }
    }

    fn give_up(&mut self, failure: Failure) {
        let Some(idx) = self.waiting.pop() else { return };
        self.fail(idx, failure, 0.0);
        if let Some(watching) = &mut self.watching {
            watching.has_given_up = true;
        }
    }

    fn hear(&mut self, watching: &mut Watching, worker: &str, event: Event) {
        let stage = match &event {
            Event::WorkerStarted { .. } | Event::WorkerEnded { .. } => return self.journal.emit(event),
            Event::RemoteUntrusted { n_records, .. } => {
                *watching.n_untrusted.entry(worker.to_owned()).or_default() += n_records;
                return;
            }
            Event::RemoteOff { .. } | Event::RemoteDamaged { .. } | Event::RemoteTooLarge { .. } => {
                if watching.remote_news.insert(discriminant(&event)) {
                    self.journal.emit(at_worker(event, worker));
                }
                return;
            }
            Event::StageStarted { stage, .. }
            | Event::StageSharded { stage, .. }
            | Event::ShardComputed { stage, .. }
            | Event::StageProgress { stage, .. }
            | Event::StageRedraw { stage, .. }
            | Event::StageWarning { stage, .. }
            | Event::StageOutput { stage, .. }
            | Event::StageFinished { stage, .. }
            | Event::StageFailed { stage, .. } => stage.clone(),
            _ => return,
        };
        if self.resolver.graph.position(&stage).is_none() {
            return;
        }
        let watched = watching.stages.entry(stage).or_default();
        match event {
            Event::StageStarted { key, .. } => {
                // Once, even if another worker goes on where the first was killed.
                if watched.started.replace(key) != Some(key) {
                    self.journal.emit(event);
                }
            }
            Event::StageSharded { n_shards, n_missing, n_rows, n_rows_missing, .. } => {
                let is_first = watched.shards.is_none();
                let (n_done, n_rows_done) = (n_shards - n_missing.min(n_shards), n_rows - n_rows_missing.min(n_rows));
                watched.shards = Some(Shards { n_shards, n_done, n_rows, n_rows_done });
                watched.has_news = true;
                if is_first {
                    self.journal.emit(event);
                }
            }
            Event::ShardComputed { n_rows, .. } => {
                watching.watch.line().n_records += 1;
                if let Some(shards) = &mut watched.shards {
                    shards.n_done = (shards.n_done + 1).min(shards.n_shards);
                    shards.n_rows_done = (shards.n_rows_done + n_rows).min(shards.n_rows);
                    watched.has_news = true;
                }
            }
            Event::StageProgress { .. } if watched.shards.is_some() => {}
            Event::StageFinished { .. } => {
                watching.watch.line().n_records += 1;
                watched.finished = Some(event);
            }
            Event::StageFailed { errors, help, seconds, .. } => {
                watched.failure = Some((Failure::on_worker(worker, errors, help), seconds));
            }
            event => self.journal.emit(event),
        }
    }

    /// Takes the failure of a stage on a worker.
    pub fn take_failure(&mut self, idx: usize) -> Option<(Failure, f64)> {
        let stage = &self.resolver.graph.nodes()[idx].id;
        self.watching.as_mut()?.stages.get_mut(stage)?.failure.take()
    }

    /// Takes the event with which a worker has finished the stage under `key`.
    pub fn take_finished(&mut self, idx: usize, key: Key) -> Option<Event> {
        let stage = &self.resolver.graph.nodes()[idx].id;
        let finished = &mut self.watching.as_mut()?.stages.get_mut(stage)?.finished;
        finished.take_if(|event| matches!(event, Event::StageFinished { key: of, .. } if *of == key))
    }

    /// True if a worker has begun to compute `key`, whose record was found, and its event must follow.
    pub fn expects_event(&mut self, idx: usize, key: Key) -> bool {
        let stage = &self.resolver.graph.nodes()[idx].id;
        let Some(watched) = self.watching.as_mut().and_then(|watching| watching.stages.get_mut(stage)) else {
            return false;
        };
        watched.n_finds = watched.n_finds.saturating_add(1);
        watched.started == Some(key) && watched.n_finds <= MAX_FINDS
    }

    /// Reports a result that a worker has computed for this run.
    pub fn report_finished(&mut self, idx: usize, mut event: Event) {
        let previous = self.stages[idx].announced.or_else(|| self.resolver.last_stage(idx).map(|last| last.artifact));
        if let (Event::StageFinished { unchanged, .. }, Decision::Reuse { artifact, .. }) =
            (&mut event, &self.stages[idx].decision)
        {
            *unchanged = previous == Some(*artifact);
        }
        self.stages[idx].has_run = true;
        self.resolver.has_been_forced(idx);
        self.journal.emit(event);
    }
}

/// Only that worker goes on without the remote.
fn at_worker(event: Event, worker: &str) -> Event {
    match event {
        Event::RemoteOff { url, reason } => Event::RemoteOff { url, reason: format!("{reason}, on worker `{worker}`") },
        event => event,
    }
}
