//! The curves of all trainings of a sweep.

use std::collections::BTreeMap;

use pipeline_core::{ArtifactDigest, StageId};
use pipeline_report::History;
use pipeline_report::facts::{PointCurve, SweptTraining};
use pipeline_stages::{Format, finished};
use pipeline_store::Store;

use super::Sweep;
use crate::commands::report::described::DescribedStage;

/// The most trainings that are drawn: the better half of it is the best, the other is spread over the rest.
const MAX_CURVES: usize = 100;

/// The trainings, by stage of the spec. A history that is gone is left out: the page says what is missing elsewhere.
pub fn collect(store: &Store, sweep: &Sweep<'_>) -> Vec<SweptTraining> {
    let mut stages: BTreeMap<&StageId, BTreeMap<ArtifactDigest, (&DescribedStage<'_>, Vec<usize>)>> = BTreeMap::new();
    for (point_idx, point) in sweep.record.points.iter().enumerate() {
        for (own, copy) in &point.stages {
            let Some(stage) = sweep.run.stage(copy.as_str()) else { continue };
            let Some(artifact) = stage.artifact() else { continue };
            if pipeline_stages::makes(&stage.facts.kind, Format::Projection) {
                let trainings = stages.entry(own).or_default();
                trainings.entry(artifact).or_insert_with(|| (stage, Vec::new())).1.push(point_idx);
            }
        }
    }
    let training = |(own, trainings): (&StageId, BTreeMap<_, (&DescribedStage<'_>, Vec<usize>)>)| {
        let n_trainings = trainings.len();
        let mut trainings: Vec<_> = trainings.into_values().collect();
        let best = |points: &[usize]| points.iter().filter_map(|idx| sweep.mean_recall(*idx)).fold(-1.0, f64::max);
        trainings.sort_by(|a, b| best(&b.1).total_cmp(&best(&a.1)).then(a.1.cmp(&b.1)));
        let chosen = chosen(trainings);
        let n_left_out = n_trainings - chosen.len();
        let read = |(stage, points): (&DescribedStage<'_>, Vec<usize>)| {
            let artifact = sweep.run.open(store, stage).ok()?;
            let history = History::parse(&finished::read_history(artifact.artifact()).ok()?).ok()?;
            Some(PointCurve { points, history })
        };
        let curves = chosen.into_iter().filter_map(read).collect();
        SweptTraining { stage: own.to_string(), curves, n_left_out }
    };
    stages.into_iter().map(training).collect()
}

/// The best half of [`MAX_CURVES`], and as many of the others, evenly.
fn chosen<T>(mut sorted: Vec<T>) -> Vec<T> {
    if sorted.len() <= MAX_CURVES {
        return sorted;
    }
    let rest = sorted.split_off(MAX_CURVES / 2);
    let every = rest.len().div_ceil(MAX_CURVES / 2);
    sorted.extend(rest.into_iter().step_by(every));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_trainings_the_best_and_a_part_of_the_others_are_drawn() {
        assert_eq!(chosen((0..100).collect()), (0..100).collect::<Vec<_>>());
        let some = chosen((0..1_000).collect());
        assert!(some.len() <= MAX_CURVES && some[..50] == (0..50).collect::<Vec<_>>(), "{some:?}");
        assert!(some[some.len() - 1] > 950, "{some:?}");
    }
}
