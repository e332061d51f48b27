//! A run: carries a plan out, reports events, and remembers what each stage has now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use pipeline_core::{Digest, Event, EventRecord, Metrics, Outcome, RunId, StageId};
use pipeline_store::{Circumstances, Last, Store, StoreError};

use crate::journal::Journal;
use crate::lanes::Lanes;
use crate::plan::{Decision, EngineError, PlanOptions, check_sources, decide_all};
use crate::provenance::{Origin, now_ms};
use crate::readers::Readers;
use crate::resolver::Resolver;
use crate::retain::Keepers;
use crate::runner::{End, Runner};
use crate::sources::in_one_line;
use crate::state::State;
use crate::worker::Workshop;
use crate::{Abandon, Adopted, Cancel, Graph};

/// The spec of a run.
#[derive(Debug, Clone, Default)]
pub struct SpecInfo {
    /// The path of its file: what its stages had last is remembered by it.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its resolved text, kept with the run.
    pub yaml: String,
    /// Further files to keep with the run, by name.
    pub attachments: Vec<(&'static str, Vec<u8>)>,
    /// The files that it was read from, and their digests.
    pub files: Vec<(PathBuf, Digest)>,
    /// What beside files has made its stages what they are; without it, no snapshot is kept.
    pub circumstances: Option<Circumstances>,
}

/// What the user asks of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Forced stages and device.
    pub plan: PlanOptions,
    /// The stages adopted for this run: its first events.
    pub adopted: Vec<Adopted>,
    /// Stages at once, by lane; 0 counts as 1.
    pub n_jobs: Lanes<usize>,
    /// Threads of all running stages together; 0 counts as 1.
    pub n_threads: usize,
    /// True to go on with everything that is not below a failure.
    pub keep_going: bool,
    /// True to publish over files that this program has not written.
    pub overwrite: bool,
    /// The version of the program: provenance.
    pub version: String,
    /// The instruction set that kernels use, such as `avx512`: provenance.
    pub instruction_set: String,
    /// What to do when stages do not stop; none to wait for them.
    pub abandon: Option<Abandon>,
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The run's folder, with its spec, events and metrics.
    pub folder: PathBuf,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time.
    pub seconds: f64,
    /// Stages that were computed.
    pub n_ran: usize,
    /// Stages whose result was remembered.
    pub n_reused: usize,
    /// Stages that failed, in the order in which they did.
    pub failed: Vec<StageId>,
    /// Stages that were not looked at or were interrupted.
    pub skipped: Vec<StageId>,
    /// True when a stage panicked or broke a rule of the engine.
    pub has_bug: bool,
    /// The metrics of all stages that are up to date and have some.
    pub metrics: BTreeMap<StageId, Metrics>,
}

/// Brings all stages of `graph` up to date.
///
/// Every event goes to `listen`, on this thread and in the order in which it happened.
/// A failure of a stage is no error here: the summary has it.
///
/// # Errors
/// Before any work: when a source of a stage that must run is missing (but with `keep_going`, where the stage fails), a forced stage is unknown, or the store cannot be used.
/// At the end: when the run's history or what the stages have now could not be written.
pub fn run(
    graph: &Graph,
    store: &Store,
    spec: &SpecInfo,
    options: &RunOptions,
    cancel: &Cancel,
    listen: &mut dyn FnMut(&EventRecord),
) -> Result<RunSummary, EngineError> {
    let began = Instant::now();
    let mut resolver = Resolver::new(graph, store, &spec.path, &options.plan)?;
    let decided = decide_all(&mut resolver)?;
    if !options.keep_going {
        check_sources(&mut resolver, &decided)?;
    }
    let mut journal = Journal::start(store, &spec.name, &spec.yaml, &spec.attachments, listen)?;
    journal.emit(journal.run_started(&spec.name, graph.stage_nodes(), options));
    options.adopted.iter().cloned().for_each(|adopted| journal.emit(adopted.into()));
    for (idx, node) in graph.nodes().iter().enumerate() {
        if let (Some(error), Decision::Reuse { .. }) = (&resolver.sources(idx).missing, &decided[idx].decision) {
            let message = format!("{}; its remembered result is used", in_one_line(error));
            journal.emit(Event::StageWarning { stage: node.id.clone(), message });
        }
    }
    let shop = Workshop {
        graph,
        store,
        cancel,
        origin: Origin::of(options),
        readers: Readers::default(),
        overwrite: options.overwrite,
    };
    let (sender, receiver) = mpsc::channel();
    let keepers = Keepers { spec: &spec.path, forced: &options.plan.forced, others: None };
    let state = State::new(resolver, decided, journal, keepers, options.plan.device);
    thread::scope(|scope| {
        let runner = Runner { state, shop: &shop, options, scope, sender, receiver, cancelled: None };
        let (state, end) = runner.bring_up_to_date();
        let summary = finish(state, &shop, spec, began);
        // Before the threads are joined: this may take as long as it likes.
        if let (End::Abandoned, Some(abandon)) = (end, &options.abandon) {
            (abandon.exit)();
        }
        summary
    })
}

fn finish(
    mut state: State<'_, '_>,
    shop: &Workshop<'_>,
    spec: &SpecInfo,
    began: Instant,
) -> Result<RunSummary, EngineError> {
    let outcome = state.outcome(shop.cancel);
    let metrics = state.metrics();
    let written = write_results(&mut state, shop.store, spec, &metrics);
    let seconds = began.elapsed().as_secs_f64();
    // Also when something could not be written: a run without this event counts as one that died.
    state.journal.emit(Event::RunFinished { outcome, seconds, metrics: metrics.clone() });
    let summary = state.summary(outcome, seconds, metrics);
    written.and(state.journal.finish())?;
    Ok(summary)
}

fn write_results(
    state: &mut State<'_, '_>,
    store: &Store,
    spec: &SpecInfo,
    metrics: &BTreeMap<StageId, Metrics>,
) -> Result<(), StoreError> {
    state.journal.write_metrics(metrics)?;
    let (run, stages) = (state.journal.run().clone(), state.last_stages()?);
    store.specs().put_last(&spec.path, &Last::of_run(run, &spec.path, now_ms(), stages))?;
    let last = store.specs().sources(&spec.path);
    let sources = state.last_sources(last.clone());
    if sources != last {
        store.specs().put_sources(&spec.path, &sources)?;
    }
    state.put_snapshot(store, spec)?;
    store.sources().flush()
}
