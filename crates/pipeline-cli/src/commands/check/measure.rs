//! The metrics that are current: of stages that need no run, with the data that they were measured on.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{Digest, StageId};
use pipeline_engine::{Decision, Graph, Plan};

use crate::baseline::Measured;
use crate::exit::Exit;
use crate::failure::Failure;

/// What all stages of a spec have measured.
pub struct Measurements {
    current: BTreeMap<StageId, Measured>,
    stale: BTreeSet<StageId>,
}

/// A stage, what it has measured, and the value of the metric that was looked for.
pub type Found<'a> = (&'a StageId, &'a Measured, f64);

impl Measurements {
    /// Collects what is up to date in `plan`.
    pub fn of(graph: &Graph, plan: &Plan) -> Self {
        let mut measurements = Self { current: BTreeMap::new(), stale: BTreeSet::new() };
        for (idx, stage) in plan.stages.iter().enumerate() {
            match &stage.decision {
                Decision::Reuse { artifact, report, .. } => {
                    let measured = Measured {
                        artifact: *artifact,
                        queries: data_digest(graph, plan, idx, "queries"),
                        pool: data_digest(graph, plan, idx, "images"),
                        metrics: report.metrics.clone(),
                    };
                    measurements.current.insert(stage.id.clone(), measured);
                }
                Decision::Run { .. } | Decision::Depends { .. } | Decision::MayBeDemanded { .. } => {
                    measurements.stale.insert(stage.id.clone());
                }
            }
        }
        measurements
    }

    /// Finds a metric by `NAME` or `STAGE.NAME`; the inner error says why it is not measured. `usual` is the stage that
    /// had a metric of that name when it was accepted.
    ///
    /// # Errors
    /// When several stages have a metric of that name.
    pub fn find(&self, metric: &str, usual: Option<&StageId>) -> Result<Result<Found<'_>, String>, Failure> {
        let (stage, name) = match self.named_stage(metric) {
            Some((stage, name)) => (Some(stage), name),
            None => (usual.cloned(), metric),
        };
        let stage = match stage {
            Some(stage) => stage,
            None => match self.only_stage_with(name)? {
                Some(stage) => stage,
                None => return Ok(Err(self.nobody_has(name))),
            },
        };
        Ok(self.value_of(&stage, name))
    }

    /// Splits `STAGE.NAME`; stage names may hold dots, metrics do not.
    fn named_stage<'m>(&self, metric: &'m str) -> Option<(StageId, &'m str)> {
        let (stage, name) = metric.rsplit_once('.')?;
        let stage: StageId = stage.parse().ok()?;
        (self.current.contains_key(&stage) || self.stale.contains(&stage)).then_some((stage, name))
    }

    fn only_stage_with(&self, name: &str) -> Result<Option<StageId>, Failure> {
        let having = self.current.iter().filter(|(_, measured)| measured.metrics.contains_key(name));
        let stages: Vec<_> = having.map(|(stage, _)| stage).collect();
        match stages.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some((*only).clone())),
            several => {
                let names: Vec<_> = several.iter().map(|stage| format!("`{stage}.{name}`")).collect();
                let message = format!("several stages have a metric `{name}`");
                Err(Failure::new(Exit::Usage, message)
                    .with_help(format!("say which in the spec: {}", names.join(" or "))))
            }
        }
    }

    fn nobody_has(&self, name: &str) -> String {
        let stale: Vec<_> = self.stale.iter().map(|stage| format!("`{stage}`")).collect();
        match stale.as_slice() {
            [] => format!("unmeasured: no stage has a metric `{name}`"),
            [only] => format!("unmeasured: {only} is not up to date"),
            several => format!("unmeasured: {} stages are not up to date", several.len()),
        }
    }

    fn value_of(&self, stage: &StageId, name: &str) -> Result<Found<'_>, String> {
        let Some((stage, measured)) = self.current.get_key_value(stage) else {
            return Err(format!("unmeasured: `{stage}` is not up to date"));
        };
        match measured.metrics.get(name) {
            Some(value) if value.is_finite() => Ok((stage, measured, *value)),
            Some(value) => Err(format!("unmeasured: `{stage}` reports {value}")),
            None => Err(format!("unmeasured: `{stage}` has no metric `{name}`")),
        }
    }
}

/// The digest of the data that an input of an evaluation comes from: of the sources of the stages at the top of it.
///
/// Not of the input itself: other features of the same images are what a check is there to compare.
fn data_digest(graph: &Graph, plan: &Plan, idx: usize, slot: &str) -> Option<Digest> {
    let input = graph.nodes()[idx].inputs.get(slot)?;
    let mut roots = BTreeSet::new();
    let mut above = vec![graph.position(input)?];
    let mut seen = BTreeSet::new();
    while let Some(idx) = above.pop() {
        if !seen.insert(idx) {
            continue;
        }
        match graph.inputs(idx) {
            [] => roots.extend(root_lines(plan, idx)),
            inputs => above.extend(inputs),
        }
    }
    let lines: Vec<String> = roots.into_iter().collect();
    Some(Digest::of(lines.join("\n").as_bytes()))
}

/// The sources of a stage; of one that reads none, what it makes.
fn root_lines(plan: &Plan, idx: usize) -> Vec<String> {
    let stage = &plan.stages[idx];
    let text = stage.manifest.as_ref().map(|manifest| manifest.text()).unwrap_or_default();
    let sources: Vec<String> = text.lines().filter(|line| line.starts_with("source.")).map(str::to_owned).collect();
    match &stage.decision {
        Decision::Reuse { artifact, .. } if sources.is_empty() => vec![format!("artifact = {artifact}")],
        _ => sources,
    }
}
