//! The differences between a run and another one.

use std::collections::BTreeMap;

use pipeline_eval::RankingRow;
use pipeline_eval::analysis::Changes;
use pipeline_eval::statistics::{Interval, SignTest};
use pipeline_experiments::compare::{self, Side};
use pipeline_experiments::in_one_line;
use pipeline_report::facts::{Comparison, Difference, Evaluation, OtherEvaluation, StageDifference};
use pipeline_stages::{Format, finished};

use super::described::{DescribedRun, DescribedStage};
use super::evaluation::measured;
use super::subject::Subject;
use super::trainings;
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
    (evaluations, n_changes): (&[Evaluation], usize),
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
    let trainings = trainings(subject, other, notes);
    let mut comparison = Comparison { run: other.facts.clone(), stages, evaluations: BTreeMap::new(), trainings };
    for stage in run.stages_that_make(Format::Evaluation) {
        let Some(theirs) = other.stage(&stage.facts.name).filter(|theirs| theirs.artifact().is_some()) else {
            continue;
        };
        let mut evaluation = evaluation(subject, (run, stage), (other, theirs), notes)?;
        let ours = evaluations.iter().find(|ours| ours.stage == stage.facts.name);
        if let (Ok(evaluation), Some(ours)) = (&mut evaluation, ours) {
            match rankings(subject, other, theirs, &ours.queries) {
                Ok(queries) => {
                    evaluation.changes = Changes::new(&queries, &ours.queries, &ours.analysis.ks, n_changes);
                    evaluation.queries = queries;
                }
                Err(why) => notes.push(format!("Run {}: {why}, so no query is compared by itself.", other.facts.id)),
            }
        }
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
    let sign_tests = compared.metrics.iter().filter_map(|metric| {
        let signs = metric.sign_test.as_ref()?;
        Some((metric.metric.clone(), SignTest { n_up: signs.n_better, n_down: signs.n_worse, p: signs.p }))
    });
    let sign_tests = sign_tests.collect();
    let differences = compared.metrics.into_iter().filter_map(|metric| {
        let (low, high) = metric.low.zip(metric.high)?;
        Some((metric.metric, Difference { value: metric.difference, interval: Interval { low, high } }))
    });
    let differences = differences.collect();
    Ok(Ok(OtherEvaluation { metrics: theirs.metrics(), differences, sign_tests, ..OtherEvaluation::default() }))
}

/// The rankings of the other run in the order of ours, or the reason why there are none.
fn rankings(
    subject: &Subject,
    other: &DescribedRun<'_>,
    stage: &DescribedStage<'_>,
    ours: &[RankingRow],
) -> Result<Vec<RankingRow>, String> {
    let artifact = other.open(&subject.store, stage)?;
    let theirs = finished::read_rankings(artifact.artifact()).map_err(|error| in_one_line(&error))?;
    aligned(ours, theirs)
        .ok_or_else(|| format!("the queries of `{}` cannot be matched by id and text", stage.facts.name))
}

/// Their rows in the order of ours; `None` when they are of other queries. Rows in another order are matched by id and
/// text, which must then be unique.
fn aligned(ours: &[RankingRow], theirs: Vec<RankingRow>) -> Option<Vec<RankingRow>> {
    let name = |row: &RankingRow| (row.query_id.clone(), row.query_text.clone());
    if ours.len() != theirs.len() {
        return None;
    }
    if ours.iter().zip(&theirs).all(|(ours, theirs)| name(ours) == name(theirs)) {
        return Some(theirs);
    }
    let n_rows = theirs.len();
    let mut by_name: BTreeMap<_, _> = theirs.into_iter().map(|row| (name(&row), row)).collect();
    let is_unique = by_name.len() == n_rows;
    ours.iter().map(|row| by_name.remove(&name(row)).filter(|_| is_unique)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ids: &[&str]) -> Vec<RankingRow> {
        let row = |id: &&str| RankingRow {
            query_id: Some((*id).to_owned()),
            query_text: String::new(),
            relevant: Vec::new(),
            rank: None,
            top_ids: Vec::new(),
            top_scores: Vec::new(),
        };
        ids.iter().map(row).collect()
    }

    #[test]
    fn queries_of_two_runs_are_matched_by_their_ids() {
        let ours = rows(&["a", "b", "c"]);
        assert_eq!(aligned(&ours, rows(&["c", "a", "b"])), Some(ours.clone()));
        assert_eq!(aligned(&ours, rows(&["a", "b"])), None);
        assert_eq!(aligned(&ours, rows(&["a", "b", "d"])), None);
        assert_eq!(aligned(&rows(&["a", "a", "b"]), rows(&["b", "a", "a"])), None, "which is which is unknown");
        assert_eq!(aligned(&rows(&["a", "a"]), rows(&["a", "a"])), Some(rows(&["a", "a"])));
    }
}
