//! Explains a plan: why a stage runs, down to the first change, and what runs because of it.

use pipeline_core::{Reader, RunId, RunReason, StageId};

use crate::Graph;
use crate::decision::Decision;
use crate::plan::Plan;

/// The explanation of a stage's decision.
#[derive(Debug, Clone)]
pub struct Why {
    /// The stage itself, then for each stage the one because of which it runs; the last is the root cause.
    pub chain: Vec<Cause>,
    /// The stages that run because of the root cause.
    pub blast_radius: BlastRadius,
    /// The run whose manifests are compared, if the spec has run before.
    pub compared_with: Option<RunId>,
}

/// A stage in a chain of causes.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The stage.
    pub stage: StageId,
    /// The decision about it; for the root cause, with the lines that changed.
    pub decision: Decision,
}

/// The stages that run, or may run, because of a root cause.
#[derive(Debug, Clone, Default)]
pub struct BlastRadius {
    /// The root cause, all below it that would run or depend on one that does, and the stages whose lost bytes these
    /// read; inputs before readers.
    pub stages: Vec<StageId>,
    /// The sum of the seconds of their last runs.
    pub seconds: f64,
    /// The number of stages that have never run, which `seconds` does not cover.
    pub n_untimed: usize,
}

/// Explains the decision of `plan`, made for `graph`, about `stage`; `None` when there is no such stage.
pub fn why(graph: &Graph, plan: &Plan, stage: &StageId) -> Option<Why> {
    let idx = graph.position(stage)?;
    let chain = chain(graph, plan, idx);
    let root = chain.last().and_then(|cause| graph.position(&cause.stage)).unwrap_or(idx);
    Some(Why { blast_radius: blast_radius(graph, plan, root), chain, compared_with: plan.compared_with.clone() })
}

fn chain(graph: &Graph, plan: &Plan, idx: usize) -> Vec<Cause> {
    let mut chain = Vec::new();
    let mut next = Some(idx);
    while let Some(idx) = next {
        let decision = plan.stages[idx].decision.clone();
        next = cause_of(graph, &decision);
        chain.push(Cause { stage: plan.stages[idx].id.clone(), decision });
    }
    chain
}

/// The stage because of which a decision was made. The chain ends: inputs lead up to a stage that runs, and readers
/// lead down to one that is not demanded.
fn cause_of(graph: &Graph, decision: &Decision) -> Option<usize> {
    match decision {
        Decision::Depends { on } => on.first().and_then(|id| graph.position(id)),
        decision => demanded_by(graph, decision),
    }
}

/// The stage that needs, or may need, the lost bytes of another.
fn demanded_by(graph: &Graph, decision: &Decision) -> Option<usize> {
    match decision {
        Decision::Run { why: RunReason::Demanded { reader: Reader::Stage(reader) }, .. }
        | Decision::MayBeDemanded { reader } => graph.position(reader),
        Decision::Run { .. } | Decision::Reuse { .. } | Decision::Depends { .. } => None,
    }
}

/// Everything that runs, or may run, because of the stage at `root`: the stages below it, and those they demand.
fn blast_radius(graph: &Graph, plan: &Plan, root: usize) -> BlastRadius {
    let mut is_hit = vec![false; graph.n_stages()];
    is_hit[root] = true;
    let runs = |idx: usize| !matches!(plan.stages[idx].decision, Decision::Reuse { .. });
    for idx in (root..graph.n_stages()).filter(|&idx| runs(idx)) {
        if is_hit[idx] {
            graph.consumers(idx).iter().for_each(|&consumer| is_hit[consumer] = true);
        }
    }
    // Readers come after their inputs.
    for idx in (0..graph.n_stages()).rev() {
        let reader = demanded_by(graph, &plan.stages[idx].decision);
        is_hit[idx] |= reader.is_some_and(|reader| is_hit[reader]);
    }
    let mut radius = BlastRadius::default();
    for stage in (0..graph.n_stages()).filter(|&idx| is_hit[idx] && runs(idx)).map(|idx| &plan.stages[idx]) {
        radius.stages.push(stage.id.clone());
        match stage.last_seconds {
            Some(seconds) => radius.seconds += seconds,
            None => radius.n_untimed += 1,
        }
    }
    radius
}
