//! Trials: what `--set` makes other than the spec says is not published unless somebody asks for it.

use std::collections::{BTreeMap, HashMap};

use pipeline_core::{Stage, StageId};
use pipeline_spec::{PipelineSpec, StageSpec};
use pipeline_stages::Settings;

use crate::args::SpecArgs;
use crate::failure::Failure;
use crate::locate;
use crate::terminal::Terminal;

/// The stages of `spec` that publish and would give another result without `--set`.
///
/// Data that is named with `--set` since the spec names some that is not there makes no trial. A spec that is wrong
/// without `--set` has no result of its own: then all that publish count.
///
/// # Errors
/// When there is no such spec.
pub fn unpublished(
    args: &SpecArgs,
    spec: &PipelineSpec,
    stages: &[Box<dyn Stage>],
    settings: &Settings,
) -> Result<Vec<StageId>, Failure> {
    if args.overrides.is_empty() {
        return Ok(Vec::new());
    }
    let plain = pipeline_spec::load(&locate::spec(&args.spec)?, &[]);
    let plain = plain.and_then(|plain| pipeline_stages::build(&plain, settings).map(|stages| (plain, stages)));
    let changed = match &plain {
        Ok((plain, plain_stages)) => changed(&Defined { spec, stages }, &Defined { spec: plain, stages: plain_stages }),
        Err(_) => vec![true; stages.len()],
    };
    let publishers = spec.stages.iter().zip(changed).filter(|(stage, changed)| *changed && !stage.publish.is_empty());
    Ok(publishers.map(|(stage, _)| stage.id.clone()).collect())
}

/// Says on stderr what is not published.
pub fn tell(unpublished: &[StageId], terminal: &Terminal) {
    if !unpublished.is_empty() {
        let names: Vec<_> = unpublished.iter().map(|stage| format!("`{stage}`")).collect();
        terminal.remark(&format!(
            "note: `--set` changes {}, so their files are not published; `--publish` publishes them",
            names.join(", ")
        ));
    }
}

/// A spec and its stages, in its order.
struct Defined<'a> {
    spec: &'a PipelineSpec,
    stages: &'a [Box<dyn Stage>],
}

/// For each stage of the trial whether it gives, or reads, another result than in the plain spec.
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
