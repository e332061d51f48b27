//! What differs between a run and another one.

use std::collections::BTreeMap;

use pipeline_report::facts::{Comparison, OtherEvaluation, StageDifference};
use pipeline_stages::{Format, finished};

use super::because;
use super::evaluation::measured;
use super::past_run::{PastRun, PastStage};
use super::subject::Subject;

/// Compares stage by stage.
pub fn compare(subject: &Subject, run: &PastRun, other: &PastRun, notes: &mut Vec<String>) -> Comparison {
    let mut stages: Vec<_> = run
        .stages
        .iter()
        .map(|stage| match other.stage(&stage.facts.name) {
            Some(theirs) => difference(stage, theirs),
            None => StageDifference::Added(stage.facts.name.clone()),
        })
        .collect();
    let is_gone = |stage: &&PastStage| run.stage(&stage.facts.name).is_none();
    stages.extend(other.stages.iter().filter(is_gone).map(|stage| StageDifference::Removed(stage.facts.name.clone())));
    let evaluations = run.stages_that_make(Format::Evaluation).filter_map(|stage| {
        let theirs = other.stage(&stage.facts.name).filter(|theirs| theirs.artifact.is_some())?;
        Some((stage.facts.name.clone(), evaluation(subject, run, stage, other, theirs, notes)))
    });
    let evaluations: BTreeMap<_, _> = evaluations.collect();
    Comparison { run: other.facts.clone(), stages, evaluations }
}

fn difference(ours: &PastStage, theirs: &PastStage) -> StageDifference {
    let name = ours.facts.name.clone();
    if ours.artifact.is_some() && ours.artifact == theirs.artifact {
        return StageDifference::Same(name);
    }
    let changes = match (&ours.record, &theirs.record) {
        (Some(ours), Some(theirs)) => Some(ours.manifest.changes_since(&theirs.manifest)),
        _ => None,
    };
    StageDifference::Changed(name, changes)
}

/// The evaluation of the other run, or why the two cannot be compared.
fn evaluation(
    subject: &Subject,
    run: &PastRun,
    stage: &PastStage,
    other: &PastRun,
    theirs: &PastStage,
    notes: &mut Vec<String>,
) -> Result<OtherEvaluation, String> {
    let unknown = || "the store does not remember what was measured".to_owned();
    let (ours_measured, theirs_measured) =
        (measured(run, stage).ok_or_else(unknown)?, measured(other, theirs).ok_or_else(unknown)?);
    if let Some(what) = ours_measured.differs_in(&theirs_measured) {
        return Err(format!("it was measured over other data ({what})"));
    }
    let queries = other
        .open(&subject.store, theirs)
        .and_then(|artifact| finished::read_rankings(artifact.artifact()).map_err(|error| because(&error)));
    let queries = queries.unwrap_or_else(|why| {
        notes.push(format!("Run {} is not compared query by query: {why}.", other.facts.id));
        Vec::new()
    });
    Ok(OtherEvaluation { metrics: theirs.metrics().clone(), queries })
}
