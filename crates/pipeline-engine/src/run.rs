//! A run: carries a plan out, reports events, and remembers the present result of each stage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use pipeline_core::{Event, EventRecord, Metrics, StageId};
use pipeline_store::{Last, RemoteLink, Store, StoreError};

use crate::cards::Cards;
use crate::decision::Decision;
use crate::error::EngineError;
use crate::holdings::Keepers;
use crate::journal::Journal;
use crate::options::{RunOptions, RunRole, SpecInfo};
use crate::plan::{check_published, check_stages, decide_all};
use crate::provenance::{Origin, now_ms};
use crate::readers::Readers;
use crate::resolver::Resolver;
use crate::results::RunSummary;
use crate::runner::{End, Runner};
use crate::sources::in_one_line;
use crate::state::State;
use crate::worker::Workshop;
use crate::{Cancel, Graph};

/// Brings all stages of `graph` up to date.
///
/// Every event goes to `listen`, on this thread and in the order of occurrence. A stage's failure is not an error here:
/// the summary has it.
///
/// # Errors
/// Before any work: when a source of a stage that must run is missing or the stage could never do its work (with
/// `keep_going` the stage fails instead), a file of another program lies where one publishes, a forced stage is
/// unknown, or the store cannot be used. At the end: when the run's history or the stages' results could not be
/// written.
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
    // A worker reports what its machine lacks as the failure of a stage, where the watching run sees it.
    let is_joined = matches!(options.role, RunRole::Join { .. });
    let mut in_the_way = Vec::new();
    if !options.keep_going && !is_joined {
        check_stages(&mut resolver, &decided)?;
        if !options.overwrite {
            in_the_way = check_published(&mut resolver, &decided)?;
        }
    }
    // Before the run begins: one that fails to end counts as dead.
    store.remote().map_or(Ok(()), RemoteLink::resume_uploads)?;
    let mut journal = Journal::start(store, &spec.name, &spec.yaml, &spec.attachments, options, listen)?;
    journal.emit(journal.run_started(&spec.name, graph.stage_nodes(), options));
    options.adopted.iter().cloned().for_each(|adopted| journal.emit(adopted.into()));
    for (stage, message) in in_the_way {
        journal.emit(Event::StageWarning { stage, message });
    }
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
        cards: Cards::new(&options.cards, options.lost.clone()),
        readers: Readers::default(),
        share: options.share,
        overwrite: options.overwrite,
    };
    let (sender, receiver) = mpsc::channel();
    let keepers = Keepers { spec: &spec.path, forced: &options.plan.forced, others: None, left: BTreeSet::new() };
    let mut state = State::new(resolver, decided, journal, keepers, options);
    state.report_remote();
    thread::scope(|scope| {
        let runner = Runner { state, shop: &shop, options, scope, sender, receiver, cancelled: None };
        let (state, end) = runner.bring_up_to_date();
        let summary = finish(state, &shop, spec, began);
        // Before the threads are joined, which may take long.
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
    state.finish_uploads(shop.cancel);
    let seconds = began.elapsed().as_secs_f64();
    // Even when writing failed: a run without this event counts as one that died.
    let summary = state.summary(outcome, seconds, metrics.clone());
    state.journal.emit(Event::RunFinished { outcome, seconds, metrics, remote: summary.remote });
    written.and(state.journal.finish())?;
    Ok(summary)
}

fn write_results(
    state: &mut State<'_, '_>,
    store: &Store,
    spec: &SpecInfo,
    metrics: &BTreeMap<StageId, Metrics>,
) -> Result<(), StoreError> {
    if state.journal.is_joined() {
        return store.sources().flush();
    }
    state.journal.write_metrics(metrics)?;
    let (run, mut stages) = (state.journal.run().clone(), state.last_stages()?);
    if !spec.left_out.is_empty() {
        let last = store.specs().last(&spec.path).map(|last| last.stages).unwrap_or_default();
        stages.extend(last.into_iter().filter(|(stage, _)| spec.left_out.contains(stage)));
    }
    store.specs().put_last(&spec.path, &Last::of_run(run, &spec.path, now_ms(), stages))?;
    // Begins with those of other overrides, as the plan did: from now on this file hides them.
    let sources = state.last_sources(store.specs().nearest_sources(&spec.path), &spec.left_out);
    if sources != store.specs().sources(&spec.path) {
        store.specs().put_sources(&spec.path, &sources)?;
    }
    state.put_snapshot(store, spec)?;
    store.sources().flush()
}
