//! Successive halving: the metric by which points are promoted, and the points that go on.

use std::cmp::Ordering;

use pipeline_core::StageId;
use pipeline_eval::{HeldOutMetric, MetricName, Quantity, better};
use pipeline_spec::{ChosenBy, Halving, PipelineSpec, SpecError, StageSpec};
use pipeline_stages::{Format, makes};
use serde::{Deserialize, Serialize};

use super::outcome::{PointResult, Results};
use super::record::SweepRecord;
use crate::recorded::RunLog;

/// The rungs of a sweep, as `sweep.json` keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HalvingRecord {
    /// The key of the resource, which is the last axis.
    pub resource: String,
    /// The value of the resource on each rung.
    pub rungs: Vec<serde_json::Value>,
    /// One of so many points is promoted.
    pub factor: usize,
    /// The stage of the spec whose metric promotes points.
    pub stage: StageId,
    /// The metric.
    pub metric: String,
    /// The number of rungs that the run has, at least 1.
    pub n_begun: usize,
}

/// The metric that promotes points.
#[derive(Debug, Clone, PartialEq)]
pub struct Promotion {
    /// Its stage.
    pub stage: StageId,
    /// Its name.
    pub metric: String,
    /// The evaluation that measures the very queries by which points are promoted.
    pub flattered: Option<StageId>,
}

impl Promotion {
    /// The metric that the spec names, or the MeanRecall on held-out data of its only training with such data.
    ///
    /// # Errors
    /// When there is no such metric, or nothing is known of which of its values are better.
    pub fn of(halving: &Halving, spec: &PipelineSpec) -> Result<Self, SpecError> {
        let chosen = match &halving.metric {
            Some(chosen) => chosen.clone(),
            None => held_out(halving, spec)?,
        };
        let stage = spec.stage(&chosen.stage).expect("BUG: the stage of a metric is checked");
        check(&chosen, stage)?;
        let measures = if is_evaluation(stage) { Some(stage) } else { None };
        let queries = pipeline_stages::held_out_queries(stage).filter(|_| is_held_out(&chosen.metric));
        let on_same = |evaluation: &&StageSpec| match (measures, queries) {
            (Some(stage), _) => stage.id == evaluation.id,
            (None, Some(queries)) => {
                evaluation.input("queries").is_some_and(|from| are_alike(spec, &from.value, queries))
            }
            (None, None) => false,
        };
        let flattered = spec.stages.iter().filter(|stage| is_evaluation(stage)).find(on_same);
        Ok(Self { stage: chosen.stage, metric: chosen.metric, flattered: flattered.map(|stage| stage.id.clone()) })
    }

    /// The note on a choice by the queries of the result.
    pub fn note(&self) -> Option<String> {
        let evaluation = self.flattered.as_ref()?;
        Some(format!(
            "note: points are promoted by `{}.{}`, on the queries that `{evaluation}` measures: that flatters its \
             result; promote by held-out data that take no part in it",
            self.stage, self.metric
        ))
    }
}

impl HalvingRecord {
    /// The name of the metric for people: `projection.valid_mean_recall`.
    pub fn metric_name(&self) -> String {
        format!("{}.{}", self.stage, self.metric)
    }

    /// The number of those that are promoted of `n_points` on a rung: at least one.
    pub fn n_promoted(&self, n_points: usize) -> usize {
        (n_points / self.factor).max(1)
    }

    /// The metric of the stage of the graph `copy`; `None` where it was not measured, or is not a number.
    pub(super) fn measured(&self, copy: &StageId, log: &RunLog) -> Option<f64> {
        let stage = log.stage(copy).filter(|stage| stage.artifact.is_some())?;
        stage.metric(&self.metric).filter(|value| value.is_finite())
    }

    /// The order of two values, the better first.
    pub fn better_first(&self, one: f64, two: f64) -> Ordering {
        match better(&self.metric) {
            Some(Ordering::Less) => one.total_cmp(&two),
            _ => two.total_cmp(&one),
        }
    }
}

/// How far a point has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The number of rungs that it has begun, at least 1.
    pub n_rungs: usize,
    /// The stages of the spec that failed on the last of them: then the point is no part of later graphs.
    pub failed: Vec<StageId>,
}

/// How far each point comes once the last begun rung has promoted its best ones; `None` when it was the last, or
/// measured no point.
pub fn promoted(record: &SweepRecord, results: &Results<'_>) -> Option<Vec<Reached>> {
    let halving = record.halving.as_ref().filter(|halving| halving.n_begun < halving.rungs.len())?;
    let last = halving.n_begun - 1;
    let measured = |point: &PointResult<'_>| point.measured.get(last).copied().flatten();
    let measured: Vec<Option<f64>> = results.points.iter().map(measured).collect();
    let n_on_rung = record.points.iter().filter(|point| point.rungs.len() > last).count();
    let reached = |point: &PointResult<'_>| Reached { n_rungs: point.record.rungs.len(), failed: point.failed.clone() };
    let mut reached: Vec<Reached> = results.points.iter().map(reached).collect();
    let best = best(halving, n_on_rung, &measured);
    best.iter().for_each(|idx| reached[*idx] = Reached { n_rungs: last + 2, failed: Vec::new() });
    (!best.is_empty()).then_some(reached)
}

/// The indices of the best points of a rung, best first: equal ones by their numbers.
fn best(halving: &HalvingRecord, n_on_rung: usize, measured: &[Option<f64>]) -> Vec<usize> {
    let mut known: Vec<(usize, f64)> =
        measured.iter().enumerate().filter_map(|(idx, value)| Some((idx, (*value)?))).collect();
    known.sort_by(|one, two| halving.better_first(one.1, two.1).then(one.0.cmp(&two.0)));
    known.truncate(halving.n_promoted(n_on_rung));
    known.into_iter().map(|(idx, _)| idx).collect()
}

fn is_held_out(metric: &str) -> bool {
    HeldOutMetric::parse(metric).is_some()
}

fn is_evaluation(stage: &StageSpec) -> bool {
    makes(&stage.kind.value, Format::Evaluation)
}

/// The MeanRecall on held-out data of the only training that has such data.
fn held_out(halving: &Halving, spec: &PipelineSpec) -> Result<ChosenBy, SpecError> {
    let metric = HeldOutMetric(Quantity::MeanRecall.into()).to_string();
    let trainings: Vec<_> =
        spec.stages.iter().filter(|stage| pipeline_stages::held_out_queries(stage).is_some()).collect();
    match trainings.as_slice() {
        [stage] => Ok(ChosenBy { stage: stage.id.clone(), metric, span: halving.span.clone() }),
        [] => {
            let message = "`halving` has no metric to promote points by: no training has held-out data";
            Err(SpecError::at(&halving.span, message).with_help(
                "give the training the inputs `valid_queries`, `valid_text` and `valid_images`, or name another \
                metric: `metric: STAGE.METRIC`",
            ))
        }
        several => {
            let names: Vec<_> = several.iter().map(|stage| format!("`metric: {}.{metric}`", stage.id)).collect();
            Err(SpecError::at(&halving.span, "several trainings have held-out data to promote points by")
                .with_help(format!("name one of them: {}", names.join(", "))))
        }
    }
}

/// Refuses a metric that the stage cannot have, or whose better values are unknown.
fn check(chosen: &ChosenBy, stage: &StageSpec) -> Result<(), SpecError> {
    let ChosenBy { metric, span, .. } = chosen;
    if is_held_out(metric) && makes(&stage.kind.value, Format::Projection) {
        if pipeline_stages::held_out_queries(stage).is_none() {
            let message = format!("`{}` has no held-out data to measure `{metric}` on", stage.id);
            let help = "give it the inputs `valid_queries`, `valid_text` and `valid_images`";
            return Err(SpecError::at(span, message).with_help(help));
        }
        let own = HeldOutMetric(Quantity::MeanRecall.into()).to_string();
        if *metric != own {
            return Err(SpecError::unknown("metric", metric, span, [own.as_str(), "loss"]));
        }
    }
    match better(metric) {
        Some(_) => Ok(()),
        None => {
            let own = HeldOutMetric(Quantity::MeanRecall.into()).to_string();
            let of_evaluations = [Quantity::MeanRecall, Quantity::ReciprocalRank, Quantity::MedianRank];
            let of_evaluations = of_evaluations.map(|quantity| MetricName::new(quantity).to_string());
            let known: Vec<&str> =
                [own.as_str(), "loss"].into_iter().chain(of_evaluations.iter().map(String::as_str)).collect();
            let error = SpecError::at(span, format!("`{metric}` does not say which of its values are better"));
            let near =
                pipeline_spec::nearest(metric, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Err(error.with_help(near.unwrap_or_else(|| format!("promote by one of `{}`", known.join("`, `")))))
        }
    }
}

/// Whether two stages are one, or are defined alike.
fn are_alike(spec: &PipelineSpec, one: &StageId, two: &StageId) -> bool {
    let definition = |id: &StageId| {
        let own = spec.stage(id)?.definition();
        own.split_once('\n').map(|(_, rest)| rest.to_owned())
    };
    one == two || definition(one) == definition(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halving(metric: &str) -> HalvingRecord {
        HalvingRecord {
            resource: "projection.params.epochs".to_owned(),
            rungs: vec![1.into(), 3.into(), 9.into()],
            factor: 3,
            stage: "projection".parse().unwrap(),
            metric: metric.to_owned(),
            n_begun: 1,
        }
    }

    #[test]
    fn the_best_third_goes_on_and_ties_go_to_the_lower_number() {
        let values = [Some(0.3), None, Some(0.5), Some(0.4), Some(0.5), Some(0.4), Some(0.1)];
        assert_eq!(best(&halving("mean_recall"), 9, &values), [2, 4, 3]);
        assert_eq!(best(&halving("median_rank"), 7, &values), [6, 0]);
        assert_eq!(best(&halving("loss"), 2, &values), [6], "at least one");
        assert!(best(&halving("mrr"), 3, &[None, None]).is_empty());
    }
}
