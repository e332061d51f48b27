//! The state of a run and its transitions for each thing that happens to a stage; starts no threads.

use std::collections::BTreeSet;
use std::time::Instant;

use pipeline_core::{Event, Reader, RunReason, StageId, StageWork};
use pipeline_store::{Owner, StoreError};

use crate::decision::{Decided, Decision};
use crate::demand;
use crate::elsewhere::Elsewhere;
use crate::holdings::{Holdings, Keepers};
use crate::host::describe_owner;
use crate::journal::Journal;
use crate::lanes::PerLane;
use crate::message::{Committed, Failure};
use crate::options::RunOptions;
use crate::resolver::Resolver;
use crate::schedule::{Phase, Schedule};
use crate::sources::ReadSource;
use crate::stage_state::StageState;
use crate::watch::Watching;

pub(crate) struct State<'a, 'env> {
    pub resolver: Resolver<'env>,
    pub schedule: Schedule<'env>,
    pub journal: Journal<'a>,
    pub stages: Vec<StageState>,
    /// Built at the first drop.
    pub holdings: Option<Holdings>,
    /// The holders outside this graph.
    pub keepers: Keepers<'env>,
    /// True once no more stages will be visited.
    pub is_over: bool,
    /// Stages whose key another process computes.
    pub waiting: Vec<usize>,
    /// The next try of the locks of `waiting`.
    pub next_poll: Instant,
    /// The failed stages, in the order of their failures.
    pub failed: Vec<usize>,
    /// The settled stages whose files could not be published.
    pub unpublished: BTreeSet<usize>,
    /// True when a stage broke a rule.
    pub has_bug: bool,
    /// The news of the workers, in a run that watches them.
    pub watching: Option<Watching>,
    /// The failures on other workers, in a process that is one itself.
    pub elsewhere: Option<Elsewhere>,
}

impl<'a, 'env> State<'a, 'env> {
    pub fn new(
        resolver: Resolver<'env>,
        decided: Vec<Decided>,
        journal: Journal<'a>,
        keepers: Keepers<'env>,
        options: &RunOptions,
    ) -> Self {
        let store = resolver.store;
        let planned = |(idx, decided)| StageState::planned(decided, resolver.artifact(idx));
        Self {
            schedule: Schedule::new(resolver.graph, options),
            stages: decided.into_iter().enumerate().map(planned).collect(),
            resolver,
            journal,
            holdings: None,
            keepers,
            is_over: false,
            waiting: Vec::new(),
            next_poll: Instant::now(),
            failed: Vec::new(),
            unpublished: BTreeSet::new(),
            has_bug: false,
            watching: Watching::of(&options.role),
            elsewhere: Elsewhere::of(&options.role, store),
        }
    }

    /// Settles the stages that the plan reuses and that have nothing to publish, whatever the number of jobs.
    pub fn settle_reused(&mut self) {
        for idx in 0..self.stages.len() {
            if self.stages[idx].is_quiet {
                self.report_reused(idx);
                self.settle(idx);
            }
        }
    }

    /// The decision about a stage whose inputs are all up to date.
    pub fn decide(&mut self, idx: usize) -> Result<Decision, StoreError> {
        if !self.stages[idx].is_fresh {
            self.resolver.look_again(idx);
            self.stages[idx].decision = self.resolver.decide(idx)?;
            self.stages[idx].is_fresh = true;
        }
        Ok(self.stages[idx].decision.clone())
    }

    /// Opens the inputs of a stage that must run whose bytes are gone; returns whether there were any.
    pub fn demand_inputs(&mut self, idx: usize) -> Result<bool, StoreError> {
        let lost = demand::lost_inputs(&mut self.resolver, idx, |_| true)?;
        lost.iter().for_each(|&input| self.demand(input, idx));
        Ok(!lost.is_empty())
    }

    /// Reports that a remembered result is used.
    pub fn report_reused(&mut self, idx: usize) {
        if let Decision::Reuse { key, artifact, report } = &self.stages[idx].decision {
            let (key, artifact, report) = (*key, *artifact, report.clone());
            self.journal.emit(Event::StageReused { stage: self.id(idx), key, artifact, report });
        }
    }

    /// Puts a stage off until another process has computed its key.
    pub fn wait(&mut self, idx: usize, owner: &Owner) {
        self.stages[idx].leader = owner.numerics;
        if !std::mem::replace(&mut self.stages[idx].is_wait_known, true) {
            let owner = describe_owner(owner);
            self.journal.emit(Event::StageWaiting { stage: self.id(idx), owner });
        }
        self.wait_again(idx);
    }

    /// Puts a stage off until the next try of its key.
    pub fn wait_again(&mut self, idx: usize) {
        self.schedule.set(idx, Phase::Waiting);
        self.waiting.push(idx);
    }

    /// Takes a stage out that waits for another process, if this one has not yet computed shards of it, its lane has
    /// room, and both have the same arithmetic: no artifact is mixed of two classes.
    pub fn next_to_help(&mut self, has_room: PerLane<bool>) -> Option<usize> {
        let can_help = |&idx: &usize| {
            let is_forced = matches!(self.stages[idx].decision, Decision::Run { why: RunReason::Forced, .. });
            let is_sharded = || matches!(self.resolver.graph.nodes()[idx].stage.work(), StageWork::Sharded(_));
            let is_alike = self.stages[idx].leader == Some(self.resolver.class(idx));
            is_alike && self.schedule.fits(idx, has_room) && !self.stages[idx].has_helped && !is_forced && is_sharded()
        };
        let place = self.waiting.iter().position(can_help)?;
        let idx = self.waiting.swap_remove(place);
        self.stages[idx].has_helped = true;
        Some(idx)
    }

    /// Opens the waiting stages again.
    pub fn reopen_waiting(&mut self) {
        for idx in std::mem::take(&mut self.waiting) {
            if self.schedule.phase(idx) == Phase::Waiting {
                self.schedule.set(idx, Phase::Open);
            }
        }
    }

    /// Releases a stage's job; the stage goes on to store files.
    pub fn end_work(&mut self, idx: usize) {
        if self.schedule.phase(idx) == Phase::Working {
            self.schedule.set(idx, Phase::Storing);
        }
    }

    /// Counts a start, at most `max_starts` of them.
    pub fn count_start(&mut self, idx: usize, max_starts: u8) -> Result<(), Failure> {
        if self.stages[idx].n_starts == max_starts {
            return Err(Failure {
                errors: vec![format!(
                    "its sources, or files of its inputs or of its own artifact, changed, vanished or were damaged \
                    {max_starts} times"
                )],
                help: Some(
                    "see whether something writes its sources or changes the store, and whether the disk is sound"
                        .to_owned(),
                ),
                is_bug: false,
            });
        }
        self.stages[idx].n_starts += 1;
        Ok(())
    }

    /// Takes the result of a stage.
    pub fn take_result(&mut self, idx: usize, committed: Committed) {
        let Committed { record, counts, n_threads } = committed;
        let (key, artifact, report) = (record.key, record.tree.digest(), record.report.clone());
        let previous = self.stages[idx].announced.or_else(|| self.resolver.last_stage(idx).map(|last| last.artifact));
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
            unchanged: previous == Some(artifact),
            report: report.clone(),
        });
        self.stages[idx].has_run = true;
        self.resolver.commit(idx, record);
        self.stages[idx].decision = Decision::Reuse { key, artifact, report };
    }

    /// Settles a stage, and opens the stages below that were decided for another artifact.
    pub fn settle(&mut self, idx: usize) {
        if !self.stages[idx].is_fresh {
            // An input changed while it ran: the result is remembered, but it does not fit the present inputs.
            self.schedule.set(idx, Phase::Open);
            return;
        }
        let artifact = self.resolver.artifact(idx);
        let announced = std::mem::replace(&mut self.stages[idx].announced, artifact);
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

    /// The sources of a stage have changed since the decision: it takes the present ones.
    pub fn sources_changed(&mut self, idx: usize, sources: Vec<ReadSource>) {
        self.resolver.set_sources(idx, sources);
        self.stages[idx].is_fresh = false;
        self.schedule.set(idx, Phase::Open);
    }

    /// The stage's own bytes were found lost or damaged when its files were to be published.
    pub fn own_bytes_lost(&mut self, idx: usize, message: String) {
        let message = format!("{message}; it is computed again");
        self.journal.emit(Event::StageWarning { stage: self.id(idx), message });
        self.resolver.bytes_lost(idx);
        self.schedule.set(idx, Phase::Open);
    }

    /// Fails a stage; the stages below it are skipped.
    pub fn fail(&mut self, idx: usize, failure: Failure, seconds: f64) {
        let Failure { errors, help, is_bug } = failure;
        self.has_bug |= is_bug;
        self.journal.emit(Event::StageFailed { stage: self.id(idx), errors, help, seconds });
        self.fall(idx);
    }

    /// Fails a stage whose files could not be published; those below it go on with its result.
    pub fn fail_to_publish(&mut self, idx: usize, failure: Failure, seconds: f64) {
        let Failure { errors, help, is_bug } = failure;
        self.has_bug |= is_bug;
        self.journal.emit(Event::StageFailed { stage: self.id(idx), errors, help, seconds });
        self.unpublished.insert(idx);
        self.settle(idx);
    }

    /// Fails a stage as another worker has reported it.
    pub fn fail_as_elsewhere(&mut self, idx: usize, failure: Failure) {
        let Failure { errors, help, .. } = failure;
        self.journal.show(Event::StageFailed { stage: self.id(idx), errors, help, seconds: 0.0 });
        self.fall(idx);
    }

    fn fall(&mut self, idx: usize) {
        self.failed.push(idx);
        self.schedule.set(idx, Phase::Failed);
        for below in self.schedule.skip_below(idx) {
            self.journal.emit(Event::StageSkipped { stage: self.id(below), because: Some(self.id(idx)) });
        }
    }

    /// A stage stopped because the run was cancelled.
    pub fn interrupted(&mut self, idx: usize) {
        self.schedule.set(idx, Phase::Skipped);
        self.journal.emit(Event::StageSkipped { stage: self.id(idx), because: None });
    }

    /// Interrupts all stages that have threads.
    pub fn interrupt_running(&mut self) {
        let running: Vec<usize> = self.schedule.of(Phase::Working).chain(self.schedule.of(Phase::Storing)).collect();
        for idx in running {
            self.interrupted(idx);
        }
    }

    /// Skips all stages that were not visited.
    pub fn skip_rest(&mut self) {
        let because = self.failed.first().map(|&idx| self.id(idx));
        for idx in 0..self.stages.len() {
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

    /// Opens a stage for recomputation, since its bytes are gone and `reader` needs them.
    pub fn open_to_run(&mut self, idx: usize, reader: Reader) {
        self.stages[idx].decision =
            demand::decision(&self.resolver, idx, reader).expect("an up-to-date stage has a key");
        self.stages[idx].is_fresh = true;
        self.schedule.set(idx, Phase::Open);
    }

    fn revise_consumers(&mut self, idx: usize) {
        for &consumer in self.resolver.graph.consumers(idx) {
            self.stages[consumer].is_fresh = false;
            if self.schedule.phase(consumer) == Phase::Settled {
                self.schedule.set(consumer, Phase::Open);
            }
        }
    }
}
