//! The state of a run and how it changes when something happens to a stage; starts no threads.

use std::collections::BTreeSet;
use std::time::Instant;

use pipeline_core::{ArtifactDigest, Device, Event, Pool, Reader, RunReason, StageId, StageWork};
use pipeline_store::StoreError;

use crate::demand;
use crate::journal::Journal;
use crate::message::{Committed, Failure};
use crate::plan::{Decided, Decision};
use crate::resolver::Resolver;
use crate::retain::{Holdings, Keepers};
use crate::schedule::{Phase, Pools, Schedule};
use crate::sources::ReadSource;

pub(crate) struct State<'a, 'env> {
    pub resolver: Resolver<'env>,
    pub schedule: Schedule<'env>,
    pub journal: Journal<'a>,
    pub decisions: Vec<Decision>,
    /// False when a decision was made for inputs that have changed, or could not be made yet.
    fresh: Vec<bool>,
    /// Reused stages with nothing to publish, as the plan found them.
    quiet: Vec<bool>,
    /// The artifacts for which the stages below have been decided.
    announced: Vec<Option<ArtifactDigest>>,
    /// Built at the first drop.
    pub holdings: Option<Holdings>,
    /// Who beside this graph keeps bytes.
    pub keepers: Keepers<'env>,
    /// Stages that are not retained and whose bytes this run has given up.
    pub dropped: BTreeSet<usize>,
    /// Stages that are not retained and whose bytes may still be read, though all readers are settled.
    pub drops_put_off: BTreeSet<usize>,
    /// True once no stage will be looked at any more.
    pub is_over: bool,
    /// Stages at work, each of which takes one of the run's jobs.
    pub n_working: Pools<usize>,
    /// True while one of them keeps all threads busy.
    is_filled: bool,
    /// Stages whose thread only stores files.
    pub n_storing: usize,
    is_working: Vec<bool>,
    /// Stages whose key another process computes.
    pub waiting: Vec<usize>,
    told_waiting: Vec<bool>,
    /// Stages of other processes of which this one has computed shards, or has tried to.
    helped: Vec<bool>,
    /// When the locks of `waiting` are tried again.
    pub next_poll: Instant,
    n_starts: Vec<u8>,
    /// Stages that were computed.
    pub ran: Vec<bool>,
    /// Stages that failed, in the order in which they did.
    pub failed: Vec<usize>,
    /// True when a stage broke a rule.
    pub has_bug: bool,
}

impl<'a, 'env> State<'a, 'env> {
    pub fn new(
        resolver: Resolver<'env>,
        decided: Vec<Decided>,
        journal: Journal<'a>,
        keepers: Keepers<'env>,
        device: Device,
    ) -> Self {
        let n_stages = decided.len();
        let is_quiet =
            |decided: &Decided| matches!(decided.decision, Decision::Reuse { .. }) && decided.unpublished.is_empty();
        let is_fresh = |decided: &Decided| matches!(decided.decision, Decision::Reuse { .. } | Decision::Run { .. });
        Self {
            schedule: Schedule::new(resolver.graph, device),
            fresh: decided.iter().map(is_fresh).collect(),
            quiet: decided.iter().map(is_quiet).collect(),
            announced: (0..n_stages).map(|idx| resolver.artifact(idx)).collect(),
            decisions: decided.into_iter().map(|decided| decided.decision).collect(),
            resolver,
            journal,
            holdings: None,
            keepers,
            dropped: BTreeSet::new(),
            drops_put_off: BTreeSet::new(),
            is_over: false,
            n_working: Pools::default(),
            is_filled: false,
            n_storing: 0,
            is_working: vec![false; n_stages],
            waiting: Vec::new(),
            told_waiting: vec![false; n_stages],
            helped: vec![false; n_stages],
            next_poll: Instant::now(),
            n_starts: vec![0; n_stages],
            ran: vec![false; n_stages],
            failed: Vec::new(),
            has_bug: false,
        }
    }

    /// Settles the stages that the plan reuses and that have nothing to publish, however many may run at once.
    pub fn settle_reused(&mut self) {
        for idx in 0..self.decisions.len() {
            if self.quiet[idx] {
                self.tell_reused(idx);
                self.settle(idx);
            }
        }
    }

    /// The decision about a stage whose inputs are all up to date.
    pub fn decide(&mut self, idx: usize) -> Result<Decision, StoreError> {
        if !self.fresh[idx] {
            self.resolver.look_again(idx);
            self.decisions[idx] = self.resolver.decide(idx)?;
            self.fresh[idx] = true;
        }
        Ok(self.decisions[idx].clone())
    }

    /// Opens the inputs of a stage that must run whose bytes are gone; returns whether there were any.
    pub fn demand_inputs(&mut self, idx: usize) -> Result<bool, StoreError> {
        let lost = demand::lost_inputs(&mut self.resolver, idx, |_| true)?;
        lost.iter().for_each(|&input| self.demand(input, idx));
        Ok(!lost.is_empty())
    }

    /// Tells that a remembered result is used.
    pub fn tell_reused(&mut self, idx: usize) {
        if let Decision::Reuse { key, artifact, report } = &self.decisions[idx] {
            let (key, artifact, report) = (*key, *artifact, report.clone());
            self.journal.emit(Event::StageReused { stage: self.id(idx), key, artifact, report });
        }
    }

    /// Puts a stage off until another process has computed its key.
    pub fn wait(&mut self, idx: usize, owner: String) {
        if !std::mem::replace(&mut self.told_waiting[idx], true) {
            self.journal.emit(Event::StageWaiting { stage: self.id(idx), owner });
        }
        self.wait_again(idx);
    }

    /// Puts a stage off until its key is asked about once more.
    pub fn wait_again(&mut self, idx: usize) {
        self.schedule.set(idx, Phase::Waiting);
        self.waiting.push(idx);
    }

    /// Takes out a stage that waits for another process, and of which this one has not computed shards before, if its
    /// lane has room.
    pub fn next_to_help(&mut self, has_room: Pools<bool>) -> Option<usize> {
        let can_help = |&idx: &usize| {
            let has_room = match self.schedule.pool(idx) {
                Pool::Cpu => has_room.cpu && (self.may_fill() || !self.schedule.fills_threads(idx)),
                Pool::Gpu => has_room.gpu,
            };
            let is_forced = matches!(self.decisions[idx], Decision::Run { why: RunReason::Forced, .. });
            let is_sharded = || matches!(self.resolver.graph.nodes()[idx].stage.work(), StageWork::Sharded(_));
            has_room && !self.helped[idx] && !is_forced && is_sharded()
        };
        let place = self.waiting.iter().position(can_help)?;
        let idx = self.waiting.swap_remove(place);
        self.helped[idx] = true;
        Some(idx)
    }

    /// Opens the waiting stages again.
    pub fn ask_again(&mut self) {
        for idx in std::mem::take(&mut self.waiting) {
            if self.schedule.phase(idx) == Phase::Waiting {
                self.schedule.set(idx, Phase::Open);
            }
        }
    }

    /// The number of threads.
    pub fn n_busy(&self) -> usize {
        self.n_working.cpu + self.n_working.gpu + self.n_storing
    }

    /// True unless a stage works that keeps all threads busy.
    pub fn may_fill(&self) -> bool {
        !self.is_filled
    }

    /// A stage takes one of the run's jobs.
    pub fn start_work(&mut self, idx: usize) {
        self.is_working[idx] = true;
        *self.n_working.of_mut(self.schedule.pool(idx)) += 1;
        self.is_filled |= self.schedule.fills_threads(idx);
    }

    /// A stage gives its job back, if it has not done so before, and goes on to store files.
    pub fn end_work(&mut self, idx: usize) {
        if std::mem::take(&mut self.is_working[idx]) {
            *self.n_working.of_mut(self.schedule.pool(idx)) -= 1;
            self.is_filled &= !self.schedule.fills_threads(idx);
            self.n_storing += 1;
        }
    }

    /// Counts a start, at most `max_starts` of them.
    pub fn count_start(&mut self, idx: usize, max_starts: u8) -> Result<(), Failure> {
        if self.n_starts[idx] == max_starts {
            return Err(Failure {
                errors: vec![format!(
                    "its sources, or files of its inputs or of its own artifact, changed, vanished or were damaged {max_starts} times"
                )],
                help: Some(
                    "see whether something writes its sources or changes the store, and whether the disk is sound"
                        .to_owned(),
                ),
                is_bug: false,
            });
        }
        self.n_starts[idx] += 1;
        Ok(())
    }

    /// Takes what a stage has computed.
    pub fn take_result(&mut self, idx: usize, committed: Committed) {
        let Committed { record, counts, n_threads } = committed;
        let (key, artifact, report) = (record.key, record.tree.digest(), record.report.clone());
        let former = self.announced[idx].or_else(|| self.resolver.former(idx).map(|former| former.artifact));
        self.journal.emit(Event::StageFinished {
            stage: self.id(idx),
            key,
            artifact,
            bytes: record.tree.bytes(),
            n_shards_reused: counts.n_reused,
            n_shards_computed: counts.n_computed,
            n_shards_by_others: counts.n_by_others,
            n_rows_computed: counts.n_rows_computed,
            n_threads,
            seconds: record.seconds,
            unchanged: former == Some(artifact),
            report: report.clone(),
        });
        self.ran[idx] = true;
        self.resolver.commit(idx, record);
        self.decisions[idx] = Decision::Reuse { key, artifact, report };
    }

    /// Says that a stage is up to date, and opens the stages below that were decided for another artifact.
    pub fn settle(&mut self, idx: usize) {
        if !self.fresh[idx] {
            // An input changed while it ran: the result is remembered, but it is not the one that is wanted now.
            self.schedule.set(idx, Phase::Open);
            return;
        }
        let artifact = self.resolver.artifact(idx);
        let announced = std::mem::replace(&mut self.announced[idx], artifact);
        if announced.is_some() && announced != artifact {
            self.revise_consumers(idx);
        }
        self.schedule.set(idx, Phase::Settled);
        self.hold(idx);
        self.drop_if_read_out(idx);
        for &input in self.resolver.graph.inputs(idx) {
            self.drop_if_read_out(input);
        }
    }

    /// Computes a stage again because `path` is to be published and its bytes are gone.
    pub fn demand_own(&mut self, idx: usize, path: String) {
        self.open_to_run(idx, Reader::Path(path));
    }

    /// The bytes of inputs were found lost or damaged when `idx` wanted to read them.
    pub fn inputs_lost(&mut self, idx: usize, inputs: Vec<(usize, String)>) {
        self.schedule.set(idx, Phase::Open);
        for (input, message) in inputs {
            let message = format!("{message}; `{}` is computed again", self.id(input));
            self.journal.emit(Event::StageWarning { stage: self.id(idx), message });
            self.resolver.bytes_lost(input);
            self.demand(input, idx);
        }
    }

    /// The sources of a stage are others than when it was decided about: it takes them as they are now.
    pub fn sources_changed(&mut self, idx: usize, sources: Vec<ReadSource>) {
        self.resolver.set_sources(idx, sources);
        self.fresh[idx] = false;
        self.schedule.set(idx, Phase::Open);
    }

    /// The stage's own bytes were found lost or damaged when its files were to be published.
    pub fn own_bytes_lost(&mut self, idx: usize, message: String) {
        let message = format!("{message}; it is computed again");
        self.journal.emit(Event::StageWarning { stage: self.id(idx), message });
        self.resolver.bytes_lost(idx);
        self.schedule.set(idx, Phase::Open);
    }

    /// A stage failed; what is below it will not be looked at.
    pub fn fail(&mut self, idx: usize, failure: Failure, seconds: f64) {
        let Failure { errors, help, is_bug } = failure;
        self.has_bug |= is_bug;
        self.journal.emit(Event::StageFailed { stage: self.id(idx), errors, help, seconds });
        self.failed.push(idx);
        self.schedule.set(idx, Phase::Failed);
        for below in self.schedule.skip_below(idx) {
            self.journal.emit(Event::StageSkipped { stage: self.id(below), because: Some(self.id(idx)) });
        }
    }

    /// A stage stopped because the run was asked to.
    pub fn interrupted(&mut self, idx: usize) {
        self.schedule.set(idx, Phase::Skipped);
        self.journal.emit(Event::StageSkipped { stage: self.id(idx), because: None });
    }

    /// Says of all stages that have threads that they are interrupted.
    pub fn interrupt_running(&mut self) {
        let running = (0..self.decisions.len()).filter(|&idx| self.schedule.phase(idx) == Phase::Running);
        for idx in running.collect::<Vec<_>>() {
            self.interrupted(idx);
        }
    }

    /// Says of all stages that were not looked at that they will not be.
    pub fn skip_rest(&mut self) {
        let because = self.failed.first().map(|&idx| self.id(idx));
        for idx in 0..self.decisions.len() {
            if matches!(self.schedule.phase(idx), Phase::Open | Phase::Waiting) {
                self.schedule.set(idx, Phase::Skipped);
                self.journal.emit(Event::StageSkipped { stage: self.id(idx), because: because.clone() });
            }
        }
    }

    /// The name of the stage at `idx`.
    pub fn id(&self, idx: usize) -> StageId {
        self.resolver.graph.nodes()[idx].id.clone()
    }

    fn demand(&mut self, input: usize, reader: usize) {
        if self.schedule.phase(input) == Phase::Settled {
            self.open_to_run(input, demand::by_stage(&self.resolver, reader));
        }
    }

    fn open_to_run(&mut self, idx: usize, reader: Reader) {
        self.decisions[idx] = demand::decision(&self.resolver, idx, reader).expect("an up-to-date stage has a key");
        self.fresh[idx] = true;
        self.schedule.set(idx, Phase::Open);
    }

    fn revise_consumers(&mut self, idx: usize) {
        for &consumer in self.resolver.graph.consumers(idx) {
            self.fresh[consumer] = false;
            if self.schedule.phase(consumer) == Phase::Settled {
                self.schedule.set(consumer, Phase::Open);
            }
        }
    }
}
