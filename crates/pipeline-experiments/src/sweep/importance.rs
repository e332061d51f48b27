//! The importance of each axis of a sweep: the share of the variance of a metric that its values explain by themselves.
//!
//! The share is ε² of an analysis of variance with one factor, `(SSB − (k − 1) · MSW) / SST` for k groups of points:
//! 0 on average where an axis has no effect, unlike η². Numbers with many values are ranked and cut into groups of
//! equal size. It holds for grids and for random points, whose axes are independent; an effect that several axes have
//! only together is in no share. How often chance explains as much is counted over shuffles of the points.

use serde::Serialize;
use serde_json::Value;

use super::outcome::{COMPARED, PointResult, Results, compared};
use super::record::{AxisRecord, SweepRecord, shown};

/// The fewest points with which anything can be said.
const MIN_POINTS: usize = 8;
/// The fewest points in each group of ranked numbers.
const MIN_GROUP: usize = 4;
/// The most groups of ranked numbers.
const MAX_GROUPS: usize = 5;
/// The number of shuffles, with the points as they are.
const N_SHUFFLES: usize = 2_000;

/// The importance of the axes of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Importance {
    /// The metric: STAGE.METRIC.
    pub metric: String,
    /// The resource with which it was measured, such as `epochs=2`, where points differ in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    /// The number of points that were measured alike.
    pub n_points: usize,
    /// The axes with several values, the most important first; empty where nothing can be said.
    pub axes: Vec<AxisImportance>,
    /// The reason why nothing can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// The importance of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AxisImportance {
    /// `STAGE.params.NAME` or `vars.NAME`.
    pub key: String,
    /// A short name.
    pub name: String,
    /// The share of the variance that it explains, in 0..=1.
    pub share: f64,
    /// The share of shuffles of the points in which it explains as much, above 0: small where it is no chance.
    pub chance: f64,
    /// The number of groups that were compared.
    pub n_groups: usize,
}

/// The importance of the axes for the metric by which points are compared: `mean_recall` of the first evaluation, or,
/// where points were stopped early, what all of them were measured by on the first rung. `None` when no point has it.
pub fn importance(record: &SweepRecord, results: &Results<'_>) -> Option<Importance> {
    let (metric, rung, values) = match &record.halving {
        Some(halving) => {
            let name = record.axes.iter().find(|axis| axis.key == halving.resource).map(|axis| &axis.name);
            let rung = name.zip(halving.rungs.first()).map(|(name, value)| format!("{name}={}", shown(value)));
            (halving.metric_name(), rung, values(results, |point| point.measured.first().copied().flatten()))
        }
        None => {
            let stage = compared(record, &results.points)?;
            let own = |point: &PointResult<'_>| point.metric(stage, &COMPARED).filter(|_| point.measured_on.is_none());
            (format!("{stage}.{COMPARED}"), None, values(results, own))
        }
    };
    let n_points = values.len();
    let mut found = Importance { metric, rung, n_points, axes: Vec::new(), unknown: None };
    let numbers: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    if n_points < MIN_POINTS {
        found.unknown = Some(format!("too few points to say: {n_points} of at least {MIN_POINTS}"));
    } else if numbers.iter().all(|value| *value == numbers[0]) {
        found.unknown = Some(format!("all {n_points} points have the same value"));
    } else {
        let resource = record.halving.as_ref().map(|halving| &halving.resource);
        let axes = record.axes.iter().filter(|axis| Some(&axis.key) != resource);
        found.axes = axes.filter_map(|axis| of_axis(axis, &values, &numbers)).collect();
        found.axes.sort_by(|one, two| two.share.total_cmp(&one.share));
        if found.axes.is_empty() {
            found.unknown = Some("too few points to say: no axis has a value several times".to_owned());
        }
    }
    Some(found)
}

/// The measured points with their values.
fn values<'a>(
    results: &'a Results<'a>,
    value: impl Fn(&PointResult<'a>) -> Option<f64>,
) -> Vec<(&'a PointResult<'a>, f64)> {
    let points = results.points.iter().filter_map(|point| Some((point, value(point)?)));
    points.filter(|(_, value)| value.is_finite()).collect()
}

fn of_axis(axis: &AxisRecord, points: &[(&PointResult<'_>, f64)], numbers: &[f64]) -> Option<AxisImportance> {
    let groups = groups(axis, points)?;
    let n_groups = groups.iter().max()? + 1;
    let analysis = Variance::of(&groups, n_groups, numbers);
    let mut shuffled = numbers.to_vec();
    let mut state = 0u64;
    // The numbers as they are count as one shuffle, so that chance is never 0.
    let n_as_much = (1..N_SHUFFLES).filter(|_| {
        shuffle(&mut shuffled, &mut state);
        // Sums in another order differ in the last bits.
        Variance::of(&groups, n_groups, &shuffled).between >= analysis.between * (1.0 - 1e-9)
    });
    let chance = (1 + n_as_much.count()) as f64 / N_SHUFFLES as f64;
    Some(AxisImportance { key: axis.key.clone(), name: axis.name.clone(), share: analysis.share(), chance, n_groups })
}

/// The group of each point: its value on the axis, or the part of the ranking in which it lies. `None` when there are
/// not two groups, or they are too small.
fn groups(axis: &AxisRecord, points: &[(&PointResult<'_>, f64)]) -> Option<Vec<usize>> {
    let own: Vec<&Value> = points.iter().map(|(point, _)| &point.record.overrides[&axis.key]).collect();
    let mut known: Vec<&Value> = Vec::new();
    for value in &own {
        if !known.contains(value) {
            known.push(value);
        }
    }
    if known.len() < 2 {
        return None;
    }
    if axis.range.is_none() && known.len() * 2 <= points.len() {
        return own.iter().map(|value| known.iter().position(|known| known == value)).collect();
    }
    let numbers: Vec<f64> = own.iter().map(|value| value.as_f64()).collect::<Option<_>>()?;
    ranked(&numbers)
}

/// Numbers in groups of about equal size by their ranks; equal numbers are in one group.
fn ranked(numbers: &[f64]) -> Option<Vec<usize>> {
    let n_groups = (numbers.len() / MIN_GROUP).min(MAX_GROUPS);
    let n_below = |number: f64| numbers.iter().filter(|other| **other < number).count();
    let parts: Vec<usize> = numbers.iter().map(|number| n_below(*number) * n_groups / numbers.len()).collect();
    // Equal numbers may leave a part empty.
    let mut taken = parts.clone();
    taken.sort_unstable();
    taken.dedup();
    let group = |part: &usize| taken.binary_search(part).ok();
    (taken.len() > 1).then(|| parts.iter().map(group).collect()).flatten()
}

/// The sums of squares of an analysis of variance.
struct Variance {
    between: f64,
    total: f64,
    n_points: usize,
    n_groups: usize,
}

impl Variance {
    fn of(groups: &[usize], n_groups: usize, numbers: &[f64]) -> Self {
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let mut sums = vec![(0.0, 0.0); n_groups];
        for (group, number) in groups.iter().zip(numbers) {
            sums[*group].0 += number - mean;
            sums[*group].1 += 1.0;
        }
        let between = sums.iter().filter(|(_, n)| *n > 0.0).map(|(sum, n)| sum * sum / n).sum();
        let total = numbers.iter().map(|number| (number - mean) * (number - mean)).sum();
        Self { between, total, n_points: numbers.len(), n_groups }
    }

    /// ε², at least 0.
    fn share(&self) -> f64 {
        let within = (self.total - self.between).max(0.0) / (self.n_points - self.n_groups).max(1) as f64;
        ((self.between - (self.n_groups - 1) as f64 * within) / self.total).clamp(0.0, 1.0)
    }
}

/// Shuffles by Fisher and Yates, with SplitMix64.
fn shuffle(numbers: &mut [f64], state: &mut u64) {
    for idx in (1..numbers.len()).rev() {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut random = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let other = (u128::from(random ^ (random >> 31)) * (idx as u128 + 1)) >> 64;
        numbers.swap(idx, other as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::sweep::{PointRecord, PointState};

    /// A sweep of made-up results over two ranges and a list.
    fn made_up(n_points: usize, metric: fn(f64, f64, usize) -> f64) -> Importance {
        let mut state = 5u64;
        let mut random = || {
            let mut parts: Vec<f64> = (0..1000).map(f64::from).collect();
            shuffle(&mut parts, &mut state);
            parts[0] / 1000.0
        };
        let stage = "evaluate".parse().unwrap();
        let draws: Vec<(f64, f64, usize)> = (0..n_points).map(|idx| (random(), random(), idx % 2)).collect();
        let axis = |name: &str, range: Option<Value>| AxisRecord {
            key: format!("a.params.{name}"),
            name: name.to_owned(),
            values: Vec::new(),
            range,
        };
        let axes = vec![axis("lr", Some(json!({}))), axis("other", Some(json!({}))), axis("head", None)];
        let points = draws.iter().enumerate().map(|(idx, (lr, other, head))| PointRecord {
            point: idx + 1,
            overrides: [("lr", json!(lr)), ("other", json!(other)), ("head", json!(head))]
                .map(|(name, value)| (format!("a.params.{name}"), value))
                .into(),
            stages: BTreeMap::new(),
            rungs: Vec::new(),
            failed: Vec::new(),
        });
        let record = SweepRecord::new(axes, vec![stage], points.collect(), None);
        let points = record.points.iter().zip(&draws).map(|(point, (lr, other, head))| PointResult {
            record: point,
            state: PointState::Done,
            failed: Vec::new(),
            metrics: [("evaluate".parse().unwrap(), [("mean_recall".to_owned(), metric(*lr, *other, *head))].into())]
                .into(),
            measured: Vec::new(),
            measured_on: None,
        });
        let results = Results { points: points.collect(), groups: Vec::new(), best: None, best_group: None };
        importance(&record, &results).unwrap()
    }

    fn share<'a>(found: &'a Importance, name: &str) -> &'a AxisImportance {
        found.axes.iter().find(|axis| axis.name == name).unwrap()
    }

    #[test]
    fn the_axis_that_matters_is_first_and_no_chance() {
        for n_points in [24, 64, 200] {
            // The best learning rate lies within the range: no correlation would find it.
            let found = made_up(n_points, |lr, other, head| {
                0.4 - (lr - 0.5).abs() + 0.02 * head as f64 + 0.05 * (other * 997.0).fract()
            });
            assert_eq!(found.axes[0].name, "lr", "{n_points}: {found:?}");
            assert!(found.axes[0].share > 0.5 && found.axes[0].chance < 0.01, "{n_points}: {found:?}");
            let other = share(&found, "other");
            assert!(other.share < 0.2 && other.chance > 0.01, "{n_points}: {found:?}");
        }
        let found = made_up(64, |lr, _, head| 0.1 * lr + head as f64);
        assert_eq!(found.axes[0].name, "head");
        assert!(found.axes[0].share > 0.9, "{found:?}");
    }

    #[test]
    fn chance_alone_explains_nothing() {
        let found = made_up(200, |lr, other, _| ((lr * 991.0 + other * 463.0) * 17.0).fract());
        assert!(found.axes.iter().all(|axis| axis.share < 0.1 && axis.chance > 0.01), "{found:?}");
    }

    #[test]
    fn with_few_points_or_one_value_nothing_is_said() {
        let unknown = |n_points: usize, metric: fn(f64, f64, usize) -> f64| made_up(n_points, metric).unknown;
        assert_eq!(unknown(7, |lr, _, _| lr).unwrap(), "too few points to say: 7 of at least 8");
        assert_eq!(unknown(9, |_, _, _| 0.5).unwrap(), "all 9 points have the same value");
        assert_eq!(unknown(9, |lr, _, _| lr), None);
    }
}
