//! The thread that owns a run's state: visits stages, hands work to other threads, and receives the outcomes.

use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use pipeline_core::{Key, RunReason};
use pipeline_store::{LockOutcome, Record};

use crate::decision::{Decision, Unpublished};
use crate::demand;
use crate::host::LOCK_POLL;
use crate::lanes::PerLane;
use crate::message::{Committed, Failure, Message, Outcome};
use crate::options::RunOptions;
use crate::resolver;
use crate::schedule::Phase;
use crate::state::State;
use crate::watch::WATCH_POLL;
use crate::worker::{self, Copy, Order, OrderedInput, Workshop};

/// The most starts of a stage in one run: one whose bytes are lost at every check is given up.
const MAX_STARTS: u8 = 5;

/// The most stages that store files at once, beside those that work: fsync latency overlaps well.
const MAX_STORING: usize = 16;

/// The interval of checks for cancellation in a run without news.
const CANCEL_POLL: Duration = Duration::from_millis(100);

/// The pause before results of another pool are looked for: each is a stage, and may be on another machine.
const POOL_POLL: Duration = Duration::from_millis(200);

/// The stack of a stage's thread, as large as that of a main thread.
const STACK_BYTES: usize = 8 << 20;

pub(crate) struct Runner<'a, 'scope, 'env> {
    pub state: State<'a, 'env>,
    pub shop: &'env Workshop<'env>,
    pub options: &'env RunOptions,
    pub scope: &'scope Scope<'scope, 'env>,
    pub sender: Sender<Message>,
    pub receiver: Receiver<Message>,
    /// The time when the cancellation was first seen.
    pub cancelled: Option<Instant>,
}

/// The way the thread that owns the state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// No other thread is left.
    Joined,
    /// Some stages did not stop in time.
    Abandoned,
}

impl<'a, 'env> Runner<'a, '_, 'env> {
    /// Visits stages until none is ready.
    pub fn bring_up_to_date(mut self) -> (State<'a, 'env>, End) {
        self.state.settle_reused();
        let end = loop {
            self.look_at_ready();
            if self.state.schedule.n_busy() == 0 && self.state.waiting.is_empty() {
                break End::Joined;
            }
            if self.is_overdue() {
                self.state.interrupt_running();
                break End::Abandoned;
            }
            self.receive();
            self.state.report_remote();
        };
        self.state.skip_rest();
        self.state.drop_put_off();
        (self.state, end)
    }

    /// True when the run is cancelled and its stages have not stopped in time.
    fn is_overdue(&mut self) -> bool {
        let Some(abandon) = &self.options.abandon else { return false };
        if !self.shop.cancel.is_cancelled() {
            return false;
        }
        self.cancelled.get_or_insert_with(Instant::now).elapsed() >= abandon.after
    }

    fn is_stopping(&self) -> bool {
        let has_given_up = self.state.watching.as_ref().is_some_and(|watching| watching.has_given_up);
        let is_failing = !self.options.keep_going && !self.state.failed.is_empty();
        self.shop.cancel.is_cancelled() || has_given_up || is_failing
    }

    fn look_at_ready(&mut self) {
        while self.state.schedule.n_storing() < MAX_STORING {
            if self.is_stopping() {
                self.state.waiting.clear();
                return;
            }
            let looked = match self.state.schedule.first_ready(self.room()) {
                Some(idx) => self.look_at(idx).map_err(|failure| (idx, failure)),
                None => match self.state.next_to_help(self.room()) {
                    Some(idx) => self.help(idx).map_err(|failure| (idx, failure)),
                    None => return,
                },
            };
            if let Err((idx, failure)) = looked {
                self.state.fail(idx, failure, 0.0);
            }
        }
    }

    /// The lanes that have room for another stage.
    fn room(&self) -> PerLane<bool> {
        self.state.schedule.n_working().with(self.n_jobs(), |n_working, n_jobs| n_working < n_jobs)
    }

    fn n_jobs(&self) -> PerLane<usize> {
        self.options.n_jobs.map(|n_jobs| n_jobs.max(1))
    }

    /// Advances a stage whose inputs are all up to date by one step.
    fn look_at(&mut self, idx: usize) -> Result<(), Failure> {
        match self.state.decide(idx)? {
            Decision::Reuse { key, .. } => self.reuse(idx, key),
            Decision::Run { key, why } => {
                if self.is_watching() {
                    return self.wait_for_workers(idx, key, &why);
                }
                if self.state.demand_inputs(idx)? {
                    return Ok(());
                }
                self.start(idx, key, why)
            }
            Decision::Depends { .. } | Decision::MayBeDemanded { .. } => {
                unreachable!("BUG: stage at {idx} is looked at before its inputs are known")
            }
        }
    }

    /// Takes the result that is there. In a run that watches, the event of the worker that computed it comes first.
    fn reuse(&mut self, idx: usize, key: Key) -> Result<(), Failure> {
        match self.state.take_finished(idx, key) {
            Some(finished) => self.state.report_finished(idx, finished),
            None if self.state.expects_event(idx, key) => {
                self.state.wait_again(idx);
                return Ok(());
            }
            None => self.state.report_reused(idx),
        }
        self.publish_or_settle(idx)
    }

    /// Takes the key's lock and starts the stage, unless another process computes it, or has just computed it.
    fn start(&mut self, idx: usize, key: Key, why: RunReason) -> Result<(), Failure> {
        if self.options.pool.is_some_and(|pool| pool != self.state.schedule.lane(idx)) {
            if !self.take_from_others(idx, key, &why)? && !self.has_failed_elsewhere(idx) {
                self.state.wait_again(idx);
            }
            return Ok(());
        }
        let stage = &self.shop.graph.nodes()[idx].id;
        let class = self.state.resolver.class(idx);
        let lock = match self.shop.store.workspace().lock(&key, stage.as_str(), class)? {
            LockOutcome::Acquired(lock) => lock,
            LockOutcome::Held(owner) => {
                self.state.wait(idx, &owner);
                return Ok(());
            }
        };
        if self.take_from_others(idx, key, &why)? {
            return Ok(());
        }
        self.state.count_start(idx, MAX_STARTS)?;
        let order = self.order(idx, key, why)?;
        self.spawn(idx, Phase::Working, move |shop, sender| worker::work(shop, &order, lock, sender))
    }

    /// Fails a stage of another pool that a worker of the same run could not compute; returns whether it has.
    fn has_failed_elsewhere(&mut self, idx: usize) -> bool {
        let stage = &self.shop.graph.nodes()[idx].id;
        let failure = self.state.elsewhere.as_mut().and_then(|elsewhere| elsewhere.failure(stage));
        let has_failed = failure.is_some();
        if let Some(failure) = failure {
            self.state.fail_as_elsewhere(idx, failure);
        }
        has_failed
    }

    /// Takes the result of a stage if another process has computed it meanwhile; returns whether it has.
    fn take_from_others(&mut self, idx: usize, key: Key, why: &RunReason) -> Result<bool, Failure> {
        if *why == RunReason::Forced {
            return Ok(false);
        }
        let Some(record) = self.record(idx, key)? else { return Ok(false) };
        let decision = self.state.resolver.accept(idx, record);
        if matches!(why, RunReason::Demanded { .. }) && !self.state.resolver.has_bytes(idx)? {
            return Ok(false);
        }
        self.state.stages[idx].decision = decision;
        self.reuse(idx, key)?;
        Ok(true)
    }

    /// Takes the result or the failure of a stage from the workers, or puts the stage off until there is one.
    fn wait_for_workers(&mut self, idx: usize, key: Key, why: &RunReason) -> Result<(), Failure> {
        if let Some((failure, seconds)) = self.state.take_failure(idx) {
            self.state.fail(idx, failure, seconds);
            return Ok(());
        }
        if *why == RunReason::Forced
            && let Some(record) = self.record(idx, key)?
            && let Some(finished) = self.state.take_finished(idx, key)
        {
            let decision = self.state.resolver.accept(idx, record);
            self.state.stages[idx].decision = decision;
            self.state.report_finished(idx, finished);
            return self.publish_or_settle(idx);
        }
        if self.take_from_others(idx, key, why)? {
            return Ok(());
        }
        self.state.wait_again(idx);
        Ok(())
    }

    /// The record under `key`, if it counts for the stage.
    fn record(&self, idx: usize, key: Key) -> Result<Option<Record>, Failure> {
        Ok(self.shop.store.records().get(&key)?.filter(|record| self.state.resolver.accepts(idx, record)))
    }

    fn is_watching(&self) -> bool {
        self.state.watching.is_some()
    }

    /// Computes shards of a stage that another process leads, when there is nothing else to do.
    fn help(&mut self, idx: usize) -> Result<(), Failure> {
        let Decision::Run { key, why } = self.state.stages[idx].decision.clone() else {
            unreachable!("BUG: stage at {idx} waits for its key and does not run")
        };
        let order = self.order(idx, key, why)?;
        self.spawn(idx, Phase::Working, move |shop, sender| worker::help(shop, &order, sender))
    }

    fn order(&mut self, idx: usize, key: Key, why: RunReason) -> Result<Order, Failure> {
        let n_threads = self.n_threads_for_next();
        let resolver = &mut self.state.resolver;
        let (manifest, _) = resolver.resolved(idx).cloned().expect("a stage starts after its decision");
        let sources = resolver.sources(idx).list().to_vec();
        let mut inputs = Vec::new();
        for (slot, &input) in self.shop.graph.nodes()[idx].inputs.keys().zip(self.shop.graph.inputs(idx)) {
            let record = resolver.record(input)?.expect("an input with bytes has a record");
            let shard_rows = (!record.shard_rows.is_empty()).then(|| record.shard_rows.clone());
            inputs.push(OrderedInput { slot: slot.clone(), idx: input, tree: record.tree.clone(), shard_rows });
        }
        Ok(Order { idx, key, manifest, why, inputs, sources, n_threads })
    }

    /// Divides the threads among the stages that run or could start now.
    fn n_threads_for_next(&self) -> usize {
        let schedule = &self.state.schedule;
        let could_work = schedule.n_working().with(schedule.n_ready(), |n_working, n_ready| n_working + n_ready);
        let n_sharing = could_work.with(self.n_jobs(), usize::min).sum();
        (self.options.n_threads / n_sharing.max(1)).max(1)
    }

    /// Publishes missing or changed files; without any, the stage is settled at once.
    fn publish_or_settle(&mut self, idx: usize) -> Result<(), Failure> {
        let unpublished = self.state.resolver.unpublished(idx)?;
        if let Some(Unpublished::NotInArtifact { file, names }) =
            unpublished.iter().find(|file| matches!(file, Unpublished::NotInArtifact { .. }))
        {
            return Err(not_in_artifact(file, names));
        }
        if !unpublished.iter().any(|file| file.stale().is_some()) {
            self.state.settle(idx);
            return Ok(());
        }
        if let Some(path) = demand::demanding_path(&mut self.state.resolver, idx, &unpublished)? {
            self.state.open_to_run(idx, path);
            return Ok(());
        }
        if self.state.journal.is_joined() {
            // The run that it has joined will publish it.
            self.state.settle(idx);
            return Ok(());
        }
        let copies = self.copies(idx, &unpublished)?;
        self.spawn(idx, Phase::Storing, move |shop, sender| worker::publish(shop, idx, &copies, sender))
    }

    fn copies(&mut self, idx: usize, unpublished: &[Unpublished]) -> Result<Vec<Copy>, Failure> {
        let paths: Vec<_> = unpublished.iter().filter_map(Unpublished::stale).collect();
        let tree = self.state.resolver.whole_tree(idx)?.ok_or_else(lost_meanwhile)?;
        let publish = self.shop.graph.nodes()[idx].publish.iter().filter(|(_, path)| paths.contains(&path));
        let copy = |(file, path): &(String, std::path::PathBuf)| {
            let part = resolver::part(&tree, file).map_err(|names| not_in_artifact(file, &names))?;
            Ok(Copy { file: file.clone(), path: path.clone(), part })
        };
        publish.map(copy).collect()
    }

    /// Starts a thread for a stage, which enters `phase`.
    fn spawn<F>(&mut self, idx: usize, phase: Phase, job: F) -> Result<(), Failure>
    where
        F: FnOnce(&Workshop<'_>, &Sender<Message>) -> Outcome + Send + 'env,
    {
        let (shop, sender) = (self.shop, self.sender.clone());
        // The panic hook recognises stage threads by this name: their panics are caught and become events.
        let builder =
            thread::Builder::new().name(format!("stage {}", shop.graph.nodes()[idx].id)).stack_size(STACK_BYTES);
        let thread = builder.spawn_scoped(self.scope, move || {
            let outcome = job(shop, &sender);
            let _ = sender.send(Message::Done { idx, outcome });
        });
        thread.map_err(|error| Failure::because("cannot start a thread for the stage", &error))?;
        self.state.schedule.set(idx, phase);
        Ok(())
    }

    /// Waits for news, or until the next try of locks that others hold.
    fn receive(&mut self) {
        let timeout = if self.state.waiting.is_empty() {
            CANCEL_POLL
        } else {
            self.state.next_poll.saturating_duration_since(Instant::now()).min(CANCEL_POLL)
        };
        let message = self.receiver.recv_timeout(timeout).ok();
        match message {
            Some(Message::Event(event)) => self.state.journal.emit(*event),
            Some(Message::Worked { idx }) => self.state.end_work(idx),
            Some(Message::Done { idx, outcome }) => self.done(idx, outcome),
            None => {}
        }
        if !self.state.waiting.is_empty() && Instant::now() >= self.state.next_poll {
            self.state.next_poll = Instant::now() + self.poll();
            self.state.hear_workers();
            self.state.reopen_waiting();
        }
    }

    /// The pause before waiting stages are looked at again.
    fn poll(&self) -> Duration {
        match self.options.pool {
            _ if self.is_watching() => WATCH_POLL,
            Some(_) => POOL_POLL,
            None => LOCK_POLL,
        }
    }

    fn done(&mut self, idx: usize, outcome: Outcome) {
        self.state.end_work(idx);
        match outcome {
            Outcome::Committed(committed) => self.committed(idx, *committed),
            Outcome::Published => self.state.settle(idx),
            Outcome::NotPublished(failure, seconds) => self.state.fail_to_publish(idx, failure, seconds),
            Outcome::Helped => self.state.wait_again(idx),
            Outcome::Unreadable(inputs) => self.state.inputs_lost(idx, inputs),
            Outcome::OtherSources(sources) => self.state.sources_changed(idx, sources),
            Outcome::Unpublishable(message) => self.state.own_bytes_lost(idx, message),
            Outcome::Failed(failure, seconds) => self.state.fail(idx, failure, seconds),
            Outcome::Interrupted => self.state.interrupted(idx),
        }
    }

    fn committed(&mut self, idx: usize, committed: Committed) {
        self.state.take_result(idx, committed);
        if let Err(failure) = self.publish_or_settle(idx) {
            self.state.fail(idx, failure, 0.0);
        }
    }
}

fn lost_meanwhile() -> Failure {
    let errors = vec!["cannot publish: files of the artifact were lost at this moment".to_owned()];
    Failure { errors, help: Some("run again".to_owned()), is_bug: false }
}

fn not_in_artifact(file: &str, names: &[String]) -> Failure {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Failure {
        errors: vec![format!("cannot publish `{file}`: the artifact has no such file")],
        help: Some(format!("it has {}", if names.is_empty() { "no files".to_owned() } else { names.join(", ") })),
        is_bug: false,
    }
}
