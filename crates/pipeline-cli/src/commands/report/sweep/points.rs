//! The result of each point: its values, its state, and its cost.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::StageId;
use pipeline_experiments::sweep::{self, PointResult};
use pipeline_report::facts::{PointFacts, PointState, StageFacts, StageState};

use super::Sweep;

/// The points, in order.
pub fn collect(sweep: &Sweep<'_>) -> Vec<PointFacts> {
    let stages: BTreeMap<&str, &StageFacts> =
        sweep.run.stages.iter().map(|stage| (stage.facts.name.as_str(), &stage.facts)).collect();
    let shared = shared(sweep);
    let point = |(idx, result): (usize, &PointResult<'_>)| {
        let copies = || result.record.stages.values().filter_map(|copy| Some((copy, *stages.get(copy.as_str())?)));
        let own = || copies().filter(|(copy, _)| !shared.contains(copy)).map(|(_, facts)| facts);
        let n_ran = copies().filter(|(_, facts)| has_run(facts)).count();
        PointFacts {
            number: result.record.point,
            values: sweep.values[idx].iter().map(|value| value.unwrap_or_default()).collect(),
            state: state(result, n_ran),
            seconds: own().filter_map(|facts| facts.seconds).sum(),
            saved_seconds: own().filter_map(|facts| facts.saved_seconds).sum(),
            n_ran,
            n_stages: result.record.stages.len(),
            mean_recall: sweep.mean_recall(idx),
            others: sweep.columns.iter().map(|column| result.metric(&column.stage, &column.metric)).collect(),
            remarks: stopped(sweep, result).into_iter().chain(failures(sweep, result)).collect(),
        }
    };
    sweep.results.points.iter().enumerate().map(point).collect()
}

/// The stages that all points share, if there are several points.
fn shared<'a>(sweep: &Sweep<'a>) -> BTreeSet<&'a StageId> {
    let mut points = sweep.record.points.iter().map(|point| point.stages.values().collect::<BTreeSet<_>>());
    let first = points.next().unwrap_or_default();
    if sweep.record.points.len() < 2 {
        return BTreeSet::new();
    }
    points.fold(first, |shared, own| shared.intersection(&own).copied().collect())
}

fn has_run(facts: &StageFacts) -> bool {
    matches!(facts.state, StageState::Ran | StageState::Unchanged)
}

fn state(result: &PointResult<'_>, n_ran: usize) -> PointState {
    match result.state {
        sweep::PointState::Failed => PointState::Failed,
        sweep::PointState::Skipped => PointState::Skipped,
        sweep::PointState::Done | sweep::PointState::Stopped if n_ran == 0 => PointState::Reused,
        sweep::PointState::Done | sweep::PointState::Stopped => PointState::Ran,
    }
}

/// The rung on which a point was stopped.
fn stopped(sweep: &Sweep<'_>, result: &PointResult<'_>) -> Option<String> {
    let halving = sweep.record.halving.as_ref().filter(|_| result.state == sweep::PointState::Stopped)?;
    let (rung, n_rungs) = (result.record.rungs.len(), halving.rungs.len());
    let value = result.measured.last().copied().flatten();
    let value = value.map(|value| format!(" with {} {value:.4}", halving.metric)).unwrap_or_default();
    Some(format!("stopped on rung {rung} of {n_rungs}{value}"))
}

/// The failed stages of a point, and the reasons.
fn failures(sweep: &Sweep<'_>, result: &PointResult<'_>) -> Vec<String> {
    let failure = |stage: &StageId| {
        let copy = result.record.stages.get(stage)?;
        sweep.log.failures.iter().find(|failed| failed.stage == *copy)
    };
    let why = |stage: &StageId| match failure(stage) {
        Some(failed) => format!("`{stage}` failed: {}", failed.errors.join(": ")),
        None => format!("`{stage}` failed on rung {}, in an earlier run", result.record.rungs.len()),
    };
    result.failed.iter().map(why).collect()
}
