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
            remarks: failures(sweep, result),
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
        sweep::PointState::Done if n_ran == 0 => PointState::Reused,
        sweep::PointState::Done => PointState::Ran,
    }
}

/// The failed stages of a point, and the reasons.
fn failures(sweep: &Sweep<'_>, result: &PointResult<'_>) -> Vec<String> {
    let why = |copy: &StageId| {
        let failed = sweep.log.failures.iter().find(|failed| failed.stage == *copy);
        failed.map(|failed| failed.errors.join(": ")).unwrap_or_default()
    };
    result.failed.iter().map(|stage| format!("`{stage}` failed: {}", why(&result.record.stages[stage]))).collect()
}
