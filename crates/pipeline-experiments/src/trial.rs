//! Trials: a stage that an override changes publishes nothing unless the caller asks for it.

use std::collections::{BTreeMap, HashMap};

use pipeline_core::{Stage, StageId};
use pipeline_spec::{PipelineSpec, StageSpec};
use pipeline_stages::Settings;

use crate::spec_ref::SpecRef;

/// The stages of `spec` that publish and would give another result without the overrides.
///
/// An override that names data does not make a trial where the spec's own data are missing. A spec with a mistake and
/// no overrides has no result of its own: then all stages that publish count.
pub fn unpublished(
    named: &SpecRef,
    spec: &PipelineSpec,
    stages: &[Box<dyn Stage>],
    settings: &Settings,
) -> Vec<StageId> {
    if named.overrides.is_empty() {
        return Vec::new();
    }
    let plain = pipeline_spec::load(&named.path, &[]);
    let plain = plain.and_then(|plain| pipeline_stages::build(&plain, settings).map(|stages| (plain, stages)));
    let changed = match &plain {
        Ok((plain, plain_stages)) => changed(&Defined { spec, stages }, &Defined { spec: plain, stages: plain_stages }),
        Err(_) => vec![true; stages.len()],
    };
    let publishers = spec.stages.iter().zip(changed).filter(|(stage, changed)| *changed && !stage.publish.is_empty());
    publishers.map(|(stage, _)| stage.id.clone()).collect()
}

/// A spec and its stages, in its order.
struct Defined<'a> {
    spec: &'a PipelineSpec,
    stages: &'a [Box<dyn Stage>],
}

/// For each stage of the trial, whether it gives or reads another result than in the plain spec.
fn changed(trial: &Defined<'_>, plain: &Defined<'_>) -> Vec<bool> {
    let positions = |spec: &PipelineSpec| -> HashMap<StageId, usize> {
        spec.stages.iter().enumerate().map(|(idx, stage)| (stage.id.clone(), idx)).collect()
    };
    let (in_trial, in_plain) = (positions(trial.spec), positions(plain.spec));
    let mut known: Vec<Option<bool>> = vec![None; trial.stages.len()];
    // Without recursion: each stage after those that it reads.
    let mut left: Vec<usize> = (0..trial.stages.len()).collect();
    while let Some(&idx) = left.last() {
        let stage = &trial.spec.stages[idx];
        let inputs: Vec<usize> = stage.inputs.iter().map(|(_, from)| in_trial[&from.value]).collect();
        let unknown: Vec<usize> = inputs.iter().copied().filter(|from| known[*from].is_none()).collect();
        if known[idx].is_none() && !unknown.is_empty() {
            left.extend(unknown);
            continue;
        }
        let reads_changed = inputs.iter().any(|from| known[*from] == Some(true));
        let is_defined_alike = in_plain.get(&stage.id).is_some_and(|&plain_idx| {
            stage_is_alike(&*trial.stages[idx], &*plain.stages[plain_idx])
                && names(stage) == names(&plain.spec.stages[plain_idx])
        });
        known[idx] = Some(reads_changed || !is_defined_alike);
        left.pop();
    }
    known.into_iter().map(|changed| changed == Some(true)).collect()
}

/// The inputs by slot.
fn names(stage: &StageSpec) -> BTreeMap<&str, &StageId> {
    stage.inputs.iter().map(|(slot, from)| (slot.value.as_str(), &from.value)).collect()
}

fn stage_is_alike(trial: &dyn Stage, plain: &dyn Stage) -> bool {
    let paths =
        |stage: &dyn Stage| Some(stage.sources().ok()?.into_iter().map(|source| source.path).collect::<Vec<_>>());
    let reads_alike = match paths(plain) {
        Some(plain) => Some(plain) == paths(trial),
        None => true,
    };
    trial.kind() == plain.kind() && trial.params() == plain.params() && reads_alike
}
