//! The differences between a run and another one.

use std::collections::BTreeMap;

use pipeline_eval::statistics::Interval;
use pipeline_experiments::compare::{self, Side};
use pipeline_report::facts::{Comparison, Difference, OtherEvaluation, StageDifference};
use pipeline_stages::Format;

use super::described::{DescribedRun, DescribedStage};
use super::evaluation::measured;
use super::subject::Subject;
use crate::door;
use crate::failure::Failure;

/// Compares stage by stage.
///
/// # Errors
/// When the store cannot be read.
pub fn compare(
    subject: &Subject,
    run: &DescribedRun<'_>,
    other: &DescribedRun<'_>,
    notes: &mut Vec<String>,
) -> Result<Comparison, Failure> {
    let mut stages: Vec<_> = run
        .stages
        .iter()
        .map(|stage| match other.stage(&stage.facts.name) {
            Some(theirs) => difference(stage, theirs),
            None => StageDifference::Added(stage.facts.name.clone()),
        })
        .collect();
    let is_gone = |stage: &&DescribedStage<'_>| run.stage(&stage.facts.name).is_none();
    stages.extend(other.stages.iter().filter(is_gone).map(|stage| StageDifference::Removed(stage.facts.name.clone())));
    let mut comparison = Comparison { run: other.facts.clone(), stages, evaluations: BTreeMap::new() };
    for stage in run.stages_that_make(Format::Evaluation) {
        let Some(theirs) = other.stage(&stage.facts.name).filter(|theirs| theirs.artifact().is_some()) else {
            continue;
        };
        let evaluation = evaluation(subject, (run, stage), (other, theirs), notes)?;
        comparison.evaluations.insert(stage.facts.name.clone(), evaluation);
    }
    Ok(comparison)
}

fn difference(ours: &DescribedStage<'_>, theirs: &DescribedStage<'_>) -> StageDifference {
    let name = ours.facts.name.clone();
    if ours.artifact().is_some() && ours.artifact() == theirs.artifact() {
        return StageDifference::Same(name);
    }
    let changes = match (ours.record, theirs.record) {
        (Some(ours), Some(theirs)) => Some(ours.manifest.changes_since(&theirs.manifest)),
        _ => None,
    };
    StageDifference::Changed(name, changes)
}

/// The evaluation of the other run, or the reason why the two cannot be compared. Uses the comparison of `diff`, so
/// that both agree.
fn evaluation(
    subject: &Subject,
    (run, stage): (&DescribedRun<'_>, &DescribedStage<'_>),
    (other, theirs): (&DescribedRun<'_>, &DescribedStage<'_>),
    notes: &mut Vec<String>,
) -> Result<Result<OtherEvaluation, String>, Failure> {
    let (Some(ours_measured), Some(theirs_measured)) = (measured(run, stage), measured(other, theirs)) else {
        return Ok(Err("the store no longer has its measurements".to_owned()));
    };
    if let Some(what) = ours_measured.differs_in(&theirs_measured) {
        return Ok(Err(format!("it was measured over other data ({what})")));
    }
    let earlier = Side { run: other.run, stage: &theirs.logged.id };
    let later = Side { run: run.run, stage: &stage.logged.id };
    let compared = compare::compare(&subject.store, earlier, later, door::n_threads())?;
    if let Some(why) = compared.incomparable {
        return Ok(Err(why));
    }
    if let Some(why) = compared.untested {
        notes.push(format!("Run {} is not compared query by query: {why}.", other.facts.id));
    }
    if let Some(what) = compared.left_out {
        notes.push(format!("Run {}: {what}, so it is not compared.", other.facts.id));
    }
    let differences = compared.metrics.into_iter().filter_map(|metric| {
        let (low, high) = metric.low.zip(metric.high)?;
        Some((metric.metric, Difference { value: metric.difference, interval: Interval { low, high } }))
    });
    Ok(Ok(OtherEvaluation { metrics: theirs.metrics(), differences: differences.collect() }))
}
