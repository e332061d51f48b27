//! Explains a plan: why a stage runs, up to the first change, and what runs because of it.

use pipeline_core::{Reader, RunId, RunReason, StageId};

use crate::Graph;
use crate::decision::Decision;
use crate::plan::Plan;

/// Why a stage runs, or does not.
#[derive(Debug, Clone)]
pub struct Why {
    /// The stage itself, then one by one the stage because of which the one before runs; the last is the root cause.
    pub chain: Vec<Cause>,
    /// What runs because of the root cause.
    pub blast_radius: BlastRadius,
    /// The run with which manifests are compared, if the spec has run before.
    pub compared_with: Option<RunId>,
}

/// A stage in a chain of causes.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The stage.
    pub stage: StageId,
    /// What would be done with it; for the root cause, with the lines that changed.
    pub decision: Decision,
}

/// The stages that run, or may run, because of a root cause.
#[derive(Debug, Clone, Default)]
pub struct BlastRadius {
    /// The root cause, all below it that would run or depend on one that does, and the stages whose lost bytes these
    /// read; inputs before readers.
    pub stages: Vec<StageId>,
    /// The seconds that they took when they last ran, together.
    pub seconds: f64,
    /// How many of them have never run, so that `seconds` knows nothing of them.
    pub n_untimed: usize,
}

/// Explains what `plan`, made for `graph`, does with `stage`; `None` when there is no such stage.
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

/// The stage because of which a decision was made. Going on from there ends: inputs lead up to a stage that runs,
/// and readers lead down to one that is not demanded.
fn cause_of(graph: &Graph, decision: &Decision) -> Option<usize> {
    match decision {
        Decision::Depends { on } => on.first().and_then(|id| graph.position(id)),
        decision => demanded_by(graph, decision),
    }
}

/// The stage that needs, or may need, the bytes of one whose bytes are gone.
fn demanded_by(graph: &Graph, decision: &Decision) -> Option<usize> {
    match decision {
        Decision::Run { why: RunReason::Demanded { reader: Reader::Stage(reader) }, .. }
        | Decision::MayBeDemanded { reader } => graph.position(reader),
        Decision::Run { .. } | Decision::Reuse { .. } | Decision::Depends { .. } => None,
    }
}

/// All that runs, or may run, because of the stage at `root`: what is below it, and what these stages demand.
fn blast_radius(graph: &Graph, plan: &Plan, root: usize) -> BlastRadius {
    let mut is_hit = vec![false; graph.n_stages()];
    is_hit[root] = true;
    let runs = |idx: usize| !matches!(plan.stages[idx].decision, Decision::Reuse { .. });
    for idx in (root..graph.n_stages()).filter(|&idx| runs(idx)) {
        if is_hit[idx] {
            graph.consumers(idx).iter().for_each(|&consumer| is_hit[consumer] = true);
        }
    }
    // Readers come after what they read.
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
