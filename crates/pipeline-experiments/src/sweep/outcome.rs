//! The results of the points of a sweep, and groups of points that differ in seeds only.

use std::collections::{BTreeMap, HashMap, HashSet};

use pipeline_core::{Metrics, StageId};
use pipeline_eval::statistics::mean_sd;
use pipeline_eval::{MetricName, Quantity};
use serde::Serialize;

use super::halving::HalvingRecord;
use super::record::{PointRecord, SweepRecord};
use crate::compare::paired;
use crate::recorded::RunLog;

/// The metric by which points are compared.
pub const COMPARED: MetricName = MetricName::new(Quantity::MeanRecall);

/// The points of a sweep with their results.
#[derive(Debug, Serialize)]
pub struct Results<'a> {
    /// The points, in order.
    pub points: Vec<PointResult<'a>>,
    /// The groups, in the order of their first points; empty unless an axis is a seed with several values, and with
    /// rungs, which may stop some points of a group.
    pub groups: Vec<Group>,
    /// The number of the point with the highest `mean_recall` of the first evaluation, among those measured on as many
    /// images and queries and at the same k as the first. With rungs, only those on the last can be it.
    pub best: Option<usize>,
    /// The index of the group with the highest mean of it, among such points.
    pub best_group: Option<usize>,
}

/// The result of a point.
#[derive(Debug, Serialize)]
pub struct PointResult<'a> {
    /// The point.
    #[serde(flatten)]
    pub record: &'a PointRecord,
    /// Its state.
    pub state: PointState,
    /// The stages of the spec that failed.
    pub failed: Vec<StageId>,
    /// The metrics, by stage of the spec.
    pub metrics: BTreeMap<StageId, Metrics>,
    /// The metric that promotes points, by rung that it has reached; empty without rungs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Option<f64>>,
    /// The difference in the data from the first measured point, which makes their recalls incomparable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_on: Option<&'static str>,
}

/// The state of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointState {
    /// All of its stages are up to date.
    Done,
    /// Others were better on its last rung, so that it got no more of the resource.
    Stopped,
    /// A stage that it needs failed.
    Failed,
    /// A stage that it needs was skipped.
    Skipped,
}

/// Points that differ in seeds only.
#[derive(Debug, Serialize)]
pub struct Group {
    /// Their common values, by key.
    pub overrides: BTreeMap<String, serde_json::Value>,
    /// Their numbers.
    pub points: Vec<usize>,
    /// The measurements of finished points, by stage of the spec and metric.
    pub metrics: BTreeMap<StageId, BTreeMap<String, Spread>>,
}

/// A metric over several points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation, divided by n - 1; `None` for one value.
    pub sd: Option<f64>,
    /// The number of values.
    pub n: usize,
}

impl<'a> Results<'a> {
    /// The results of these points according to the log of their run.
    pub fn of(record: &'a SweepRecord, log: &RunLog) -> Self {
        let failed: HashSet<&StageId> = log.failures.iter().map(|failure| &failure.stage).collect();
        let mut points: Vec<_> = record.points.iter().map(|point| PointResult::of(point, log, &failed)).collect();
        if let Some(halving) = &record.halving {
            points.iter_mut().for_each(|point| point.take_rungs(record, halving, log));
        }
        let compared = compared(record, &points);
        if let Some(evaluation) = compared {
            mark_others(&mut points, evaluation);
        }
        let groups = if seeds(record).is_empty() { Vec::new() } else { groups(record, &points) };
        let is_of_others = |number: &usize| points[number - 1].measured_on.is_some();
        let of_point =
            |point: &PointResult<'_>| point.metric(compared?, &COMPARED).filter(|_| point.measured_on.is_none());
        let of_group = |group: &Group| {
            let spread = group.spread(compared?, &COMPARED)?;
            (!group.points.iter().any(is_of_others)).then_some(spread.mean)
        };
        let best = highest(points.iter().map(of_point)).map(|idx| points[idx].record.point);
        let best_group = highest(groups.iter().map(of_group));
        Self { points, groups, best, best_group }
    }
}

impl<'a> PointResult<'a> {
    fn of(record: &'a PointRecord, log: &RunLog, failed_copies: &HashSet<&StageId>) -> Self {
        let has_failed = |copy: &StageId| failed_copies.contains(copy);
        let now = record.stages.iter().filter(|(_, copy)| has_failed(copy)).map(|(stage, _)| stage);
        let failed: Vec<_> = record.failed.iter().chain(now).cloned().collect();
        let is_done = record.stages.values().all(|copy| log.stage(copy).is_some_and(|stage| stage.report.is_some()));
        let state = match (failed.is_empty(), is_done) {
            (false, _) => PointState::Failed,
            (true, true) => PointState::Done,
            (true, false) => PointState::Skipped,
        };
        let metrics = record.stages.iter().filter_map(|(stage, copy)| {
            let metrics = &log.stage(copy).filter(|_| !has_failed(copy))?.report.as_ref()?.metrics;
            (!metrics.is_empty()).then(|| (stage.clone(), metrics.clone()))
        });
        Self { record, state, failed, metrics: metrics.collect(), measured: Vec::new(), measured_on: None }
    }

    /// Takes the measurements of its rungs. An evaluation with less than the whole resource is no result of the point.
    fn take_rungs(&mut self, record: &SweepRecord, halving: &HalvingRecord, log: &RunLog) {
        self.measured = self.record.rungs.iter().map(|copy| halving.measured(copy, log)).collect();
        if !record.is_final(self.record) {
            self.metrics.retain(|stage, _| !record.evaluations.contains(stage));
        }
        if self.state == PointState::Done && self.record.rungs.len() < halving.n_begun {
            self.state = PointState::Stopped;
        }
    }

    /// A metric of a stage of the spec.
    pub fn metric(&self, stage: &StageId, metric: &MetricName) -> Option<f64> {
        metric.value_in(self.metrics.get(stage)?)
    }
}

impl Group {
    /// A metric of a stage of the spec.
    pub fn spread(&self, stage: &StageId, metric: &MetricName) -> Option<Spread> {
        metric.value_in(self.metrics.get(stage)?)
    }
}

impl Spread {
    /// The spread of some values; `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        mean_sd(values).map(|(mean, sd)| Self { mean, sd, n: values.len() })
    }
}

/// The first evaluation that has the compared metric at any point.
pub fn compared<'a>(record: &'a SweepRecord, points: &[PointResult<'_>]) -> Option<&'a StageId> {
    let has = |stage: &StageId| points.iter().any(|point| point.metric(stage, &COMPARED).is_some());
    record.evaluations.iter().find(|stage| has(stage))
}

/// Marks the points whose recalls are incomparable with those of the first measured one, as far as metrics show.
fn mark_others(points: &mut [PointResult<'_>], evaluation: &StageId) {
    let measured =
        |point: &PointResult<'_>| point.metrics.get(evaluation).filter(|own| COMPARED.value_in(own).is_some()).cloned();
    let Some(first) = points.iter().find_map(measured) else { return };
    for point in points {
        point.measured_on = measured(point).and_then(|own| difference(&first, &own));
    }
}

fn difference(first: &Metrics, own: &Metrics) -> Option<&'static str> {
    let differs = |count: Quantity| count.value_in(first) != count.value_in(own);
    let differences = [
        (differs(Quantity::PoolSize), "another pool"),
        (differs(Quantity::NQueries), "other queries"),
        (paired::other_ks(first, own).is_some(), "other k"),
    ];
    differences.into_iter().find_map(|(differs, what)| differs.then_some(what))
}

/// The keys of the axes that are seeds with several values. With rungs, seeds are an axis like any other.
pub fn seeds(record: &SweepRecord) -> Vec<&str> {
    if record.halving.is_some() {
        return Vec::new();
    }
    let is_seed = |key: &str| key.ends_with(".seed");
    record
        .axes
        .iter()
        .filter(|axis| is_seed(&axis.key) && axis.values.len() > 1)
        .map(|axis| axis.key.as_str())
        .collect()
}

/// The points grouped by their values except seeds; without such an axis each point alone.
pub fn groups(record: &SweepRecord, points: &[PointResult<'_>]) -> Vec<Group> {
    let seeds = seeds(record);
    let mut groups: Vec<(Group, Vec<&PointResult<'_>>)> = Vec::new();
    let mut idx_by_overrides = HashMap::new();
    for point in points {
        let mut overrides = point.record.overrides.clone();
        overrides.retain(|key, _| !seeds.contains(&key.as_str()));
        let text = serde_json::to_string(&overrides).expect("the keys are texts");
        let idx = *idx_by_overrides.entry(text).or_insert_with(|| {
            groups.push((Group { overrides, points: Vec::new(), metrics: BTreeMap::new() }, Vec::new()));
            groups.len() - 1
        });
        groups[idx].0.points.push(point.record.point);
        groups[idx].1.push(point);
    }
    groups.into_iter().map(|(group, points)| Group { metrics: spreads(&points), ..group }).collect()
}

fn spreads(points: &[&PointResult<'_>]) -> BTreeMap<StageId, BTreeMap<String, Spread>> {
    let mut values: BTreeMap<&StageId, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for point in points {
        for (stage, metrics) in &point.metrics {
            for (metric, value) in metrics {
                values.entry(stage).or_default().entry(metric).or_default().push(*value);
            }
        }
    }
    let spread = |(metric, values): (&str, Vec<f64>)| Some((metric.to_owned(), Spread::of(&values)?));
    values
        .into_iter()
        .map(|(stage, metrics)| (stage.clone(), metrics.into_iter().filter_map(spread).collect()))
        .collect()
}

/// The index of the highest value; the first among equal ones.
fn highest(values: impl Iterator<Item = Option<f64>>) -> Option<usize> {
    let known = values.enumerate().filter_map(|(idx, value)| Some((idx, value?)));
    known.reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(idx, _)| idx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_a_sample() {
        let spread = Spread::of(&[1.0, 2.0, 4.0]).unwrap();
        assert_eq!((spread.mean, spread.n), (7.0 / 3.0, 3));
        // numpy: np.std([1, 2, 4], ddof=1)
        assert!((spread.sd.unwrap() - 1.527_525_231_651_946_8).abs() < 1e-12);
        assert_eq!(Spread::of(&[5.0]), Some(Spread { mean: 5.0, sd: None, n: 1 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn the_first_of_the_highest_is_the_best() {
        assert_eq!(highest([None, Some(1.0), Some(3.0), Some(3.0), Some(f64::NAN)].into_iter()), Some(2));
        assert_eq!(highest([None].into_iter()), None);
    }
}
