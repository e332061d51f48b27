//! The plan: the work that a run would do for each stage, found without writing anything.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use pipeline_core::{Manifest, RunId, RunReason, StageId};
use pipeline_store::{Store, StoreError};

use crate::decision::{Decided, Decision, Unpublished};
use crate::error::EngineError;
use crate::options::PlanOptions;
use crate::resolver::Resolver;
use crate::shards::{self, ShardCount};
use crate::sources::in_one_line;
use crate::{Graph, Node, demand};

/// The decisions about all stages.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The stages, inputs before readers.
    pub stages: Vec<PlannedStage>,
    /// The run whose manifests are compared, if the spec has run before.
    pub compared_with: Option<RunId>,
}

/// The plan for one stage.
#[derive(Debug, Clone)]
pub struct PlannedStage {
    /// The stage.
    pub id: StageId,
    /// Its kind.
    pub kind: &'static str,
    /// The decision.
    pub decision: Decision,
    /// The manifest, known unless the stage depends on another.
    pub manifest: Option<Manifest>,
    /// Published files that would be written again though the stage is reused.
    pub unpublished: Vec<PathBuf>,
    /// The seconds of its last computation.
    pub last_seconds: Option<f64>,
    /// The reason why its sources cannot be read, in one line; the remembered ones stand for them.
    pub missing: Option<String>,
    /// The shards of a stage that must run, if they were requested and its rows are known.
    pub shards: Option<ShardCount>,
}

/// Plans a run of `graph`. `spec` is the path of the spec file, which identifies its last run.
///
/// Writes nothing.
///
/// # Errors
/// When a source of a stage that must run is missing, a stage without a result could never do its work, a forced stage
/// is unknown, or the store cannot be read.
pub fn plan(graph: &Graph, store: &Store, spec: &Path, options: &PlanOptions) -> Result<Plan, EngineError> {
    let mut resolver = Resolver::new(graph, store, spec, options)?;
    let decided = decide_all(&mut resolver)?;
    check_stages(&mut resolver, &decided)?;
    Ok(to_plan(&mut resolver, decided, options))
}

/// Like [`plan`], for questions about other stages: a missing source of a stage that must run is not an error.
///
/// # Errors
/// When a forced stage is unknown, or the store cannot be read.
pub fn plan_what_is_there(
    graph: &Graph,
    store: &Store,
    spec: &Path,
    options: &PlanOptions,
) -> Result<Plan, EngineError> {
    let mut resolver = Resolver::new(graph, store, spec, options)?;
    let decided = decide_all(&mut resolver)?;
    Ok(to_plan(&mut resolver, decided, options))
}

/// Refuses to start a run that cannot finish: a stage that must run misses a source, or one that may run could never do
/// its work.
pub(crate) fn check_stages(resolver: &mut Resolver<'_>, decided: &[Decided]) -> Result<(), EngineError> {
    let must_run = |idx: &usize| {
        // Without its sources no result of a stage can be found, whatever its inputs.
        matches!(decided[*idx].decision, Decision::Run { .. }) || !resolver.sources(*idx).are_known()
    };
    let must_run: Vec<usize> = (0..decided.len()).filter(must_run).collect();
    let missing = must_run.into_iter().find_map(|idx| resolver.take_missing(idx));
    missing.map_or(Ok(()), Err)?;
    let may_run = |decided: &Decided| matches!(decided.decision, Decision::Run { .. } | Decision::Depends { .. });
    let nodes = resolver.graph.nodes().iter().zip(decided).filter(|(_, decided)| may_run(decided));
    for node in to_check(nodes.map(|(node, _)| node)) {
        node.stage.check().map_err(|source| EngineError::CannotRun { stage: node.id.clone(), source })?;
    }
    Ok(())
}

/// Refuses to start a run that would find at its end that it may not publish. Returns warnings about files that are in
/// the way unless a stage that must run makes the same ones: a new store does not know those of an earlier one.
pub(crate) fn check_published(
    resolver: &mut Resolver<'_>,
    decided: &[Decided],
) -> Result<Vec<(StageId, String)>, EngineError> {
    let (graph, mut warnings) = (resolver.graph, Vec::new());
    for (idx, (node, decided)) in graph.nodes().iter().zip(decided).enumerate() {
        let is_reused = matches!(decided.decision, Decision::Reuse { .. });
        // The result of a stage whose bytes are gone is known, too.
        let is_known = is_reused || matches!(decided.decision, Decision::Run { why: RunReason::Demanded { .. }, .. });
        let parts = if is_known && !node.publish.is_empty() { resolver.published(idx)? } else { None };
        for (file, path) in &node.publish {
            if is_reused && !decided.unpublished.iter().any(|stale| stale.stale() == Some(path)) {
                continue;
            }
            let part = parts.as_ref().and_then(|parts| parts.get(file));
            let checked = resolver.store.outside().check_publishable(part, path);
            let (stage, file) = (node.id.clone(), file.clone());
            if let Some(there) = checked.map_err(|source| EngineError::CannotPublish { stage, file, source })? {
                let message = format!(
                    "`{}` is no file that this store knows: unless the result is the same, it stays and is not \
                     published; `run --overwrite` replaces it",
                    there.display()
                );
                warnings.push((node.id.clone(), message));
            }
        }
    }
    Ok(warnings)
}

/// The stages whose checks may differ: large vocabularies take seconds to read.
pub fn to_check<'a>(nodes: impl Iterator<Item = &'a Node>) -> impl Iterator<Item = &'a Node> {
    let mut seen = HashSet::new();
    nodes.filter(move |node| node.stage.check_facts().is_none_or(|facts| seen.insert(facts)))
}

fn to_plan(resolver: &mut Resolver<'_>, decided: Vec<Decided>, options: &PlanOptions) -> Plan {
    let graph = resolver.graph;
    let stages = decided.into_iter().enumerate().map(|(idx, decided)| PlannedStage {
        id: graph.nodes()[idx].id.clone(),
        kind: graph.nodes()[idx].stage.kind(),
        manifest: resolver.manifest_of(idx, &decided.decision),
        shards: options.counts_shards.then(|| shards::count(resolver, idx, &decided.decision, options)).flatten(),
        decision: decided.decision,
        unpublished: decided.unpublished.into_iter().filter_map(Unpublished::into_stale).collect(),
        last_seconds: resolver.last_stage(idx).map(|last| last.seconds),
        missing: resolver.sources(idx).missing.as_ref().map(|error| in_one_line(error)),
    });
    Plan { stages: stages.collect(), compared_with: resolver.last.as_ref().map(|last| last.run.clone()) }
}

/// Decides about all stages: first downwards which ones run, then upwards which lost bytes they need.
pub(crate) fn decide_all(resolver: &mut Resolver<'_>) -> Result<Vec<Decided>, StoreError> {
    let n_stages = resolver.graph.n_stages();
    let undecided = |_| Decided { decision: Decision::Depends { on: Vec::new() }, unpublished: Vec::new() };
    let mut all: Vec<Decided> = (0..n_stages).map(undecided).collect();
    for wave in waves(resolver.graph) {
        let mut ready = Vec::new();
        for idx in wave {
            let on = undecided_inputs(resolver.graph, idx, &all);
            if on.is_empty() {
                ready.push(idx);
            } else {
                all[idx].decision = Decision::Depends { on };
            }
        }
        for (idx, decision) in ready.iter().zip(resolver.decide_together(&ready)?) {
            all[*idx].decision = decision;
        }
    }
    for idx in (0..n_stages).rev() {
        demand_to_publish(resolver, idx, &mut all[idx])?;
        // Readers come before their inputs, so each stage's own decision is known by now.
        if !matches!(all[idx].decision, Decision::Reuse { .. }) {
            demand_inputs(resolver, idx, &mut all)?;
        }
    }
    Ok(all)
}

/// The stages in groups, each of which reads from earlier groups only.
fn waves(graph: &Graph) -> Vec<Vec<usize>> {
    let mut depths: Vec<usize> = Vec::with_capacity(graph.n_stages());
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for idx in 0..graph.n_stages() {
        let depth = graph.inputs(idx).iter().map(|&input| depths[input] + 1).max().unwrap_or_default();
        depths.push(depth);
        waves.resize_with(waves.len().max(depth + 1), Vec::new);
        waves[depth].push(idx);
    }
    waves
}

fn undecided_inputs(graph: &Graph, idx: usize, all: &[Decided]) -> Vec<StageId> {
    let mut on: Vec<StageId> = Vec::new();
    for &input in graph.inputs(idx) {
        let id = &graph.nodes()[input].id;
        if !matches!(all[input].decision, Decision::Reuse { .. }) && !on.contains(id) {
            on.push(id.clone());
        }
    }
    on
}

fn demand_to_publish(resolver: &mut Resolver<'_>, idx: usize, decided: &mut Decided) -> Result<(), StoreError> {
    let (Decision::Reuse { .. } | Decision::MayBeDemanded { .. }) = decided.decision else { return Ok(()) };
    decided.unpublished = resolver.unpublished(idx)?;
    if let Some(path) = demand::demanding_path(resolver, idx, &decided.unpublished)? {
        decided.decision = demand::decision(resolver, idx, path).expect("a stage with a result has a key");
    }
    Ok(())
}

/// Opens the inputs whose bytes are gone: a reader that runs demands them, and an undecided one may.
fn demand_inputs(resolver: &mut Resolver<'_>, idx: usize, all: &mut [Decided]) -> Result<(), StoreError> {
    let is_certain = matches!(all[idx].decision, Decision::Run { .. });
    let has_result = |input: usize| match all[input].decision {
        Decision::Reuse { .. } => true,
        Decision::MayBeDemanded { .. } => is_certain,
        Decision::Run { .. } | Decision::Depends { .. } => false,
    };
    for input in demand::lost_inputs(resolver, idx, has_result)? {
        let certain = is_certain.then(|| demand::decision(resolver, input, demand::by_stage(resolver, idx))).flatten();
        let may_be = || Decision::MayBeDemanded { reader: resolver.graph.nodes()[idx].id.clone() };
        all[input].decision = certain.unwrap_or_else(may_be);
    }
    Ok(())
}
