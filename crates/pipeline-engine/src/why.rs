//! Explains a plan: why a stage runs, up to the first change, and what runs because of it.

use pipeline_core::{RunId, RunReason, StageId};

use crate::Graph;
use crate::plan::{Decision, Plan};

/// Why a stage runs, or does not.
#[derive(Debug, Clone)]
pub struct Why {
    /// The stage itself, then one by one the stage because of which the one before runs; the last is the root cause.
    pub chain: Vec<Cause>,
    /// What runs from this stage downwards.
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

/// The stages that run, or may run, because a stage does.
#[derive(Debug, Clone, Default)]
pub struct BlastRadius {
    /// The stage and all below it that would run or depend on one that does, inputs before readers.
    pub stages: Vec<StageId>,
    /// The seconds that they took when they last ran, together.
    pub seconds: f64,
    /// How many of them have never run, so that `seconds` knows nothing of them.
    pub n_untimed: usize,
}

/// Explains what `plan`, made for `graph`, does with `stage`; none when there is no such stage.
pub fn why(graph: &Graph, plan: &Plan, stage: &StageId) -> Option<Why> {
    let idx = graph.position(stage)?;
    Some(Why {
        chain: chain(graph, plan, idx),
        blast_radius: blast_radius(graph, plan, idx),
        compared_with: plan.compared_with.clone(),
    })
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
        // A reader that is no stage is a path to publish.
        Decision::Run { why: RunReason::Demanded { reader }, .. } => {
            reader.parse().ok().and_then(|id| graph.position(&id))
        }
        Decision::MayBeDemanded { reader } => graph.position(reader),
        Decision::Run { .. } | Decision::Reuse { .. } => None,
    }
}

fn blast_radius(graph: &Graph, plan: &Plan, idx: usize) -> BlastRadius {
    let mut is_below = vec![false; graph.n_stages()];
    is_below[idx] = true;
    let mut radius = BlastRadius::default();
    for idx in idx..graph.n_stages() {
        if !is_below[idx] || matches!(plan.stages[idx].decision, Decision::Reuse { .. }) {
            continue;
        }
        radius.stages.push(plan.stages[idx].id.clone());
        match plan.stages[idx].last_seconds {
            Some(seconds) => radius.seconds += seconds,
            None => radius.n_untimed += 1,
        }
        for &consumer in graph.consumers(idx) {
            is_below[consumer] = true;
        }
    }
    radius
}
