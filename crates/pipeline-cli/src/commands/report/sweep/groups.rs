//! Groups of points that differ in seeds only: their metrics, and their comparison with the first of them.

use pipeline_core::StageId;
use pipeline_eval::statistics::{Interval, intervals};
use pipeline_experiments::sweep::{self, COMPARED, Group, Results, SweepRecord};
use pipeline_report::facts::{Difference, GroupFacts, Spread, Standing};

use super::Sweep;
use super::queries::Found;
use crate::door;

/// The groups, and those that the headline names.
pub struct Groups {
    /// The groups, in the order of their first points.
    pub groups: Vec<GroupFacts>,
    /// The reference group.
    pub reference: Option<usize>,
    /// The best comparable group, if there are two.
    pub best: Option<usize>,
}

/// The index of the point whose pool and queries are the reference: the first measured point of the first measured
/// group.
pub fn reference_point(record: &SweepRecord, results: &Results<'_>, evaluation: &StageId) -> usize {
    let is_measured = |number: &usize| results.points[number - 1].metric(evaluation, &COMPARED).is_some();
    let groups = sweep::groups(record, &results.points);
    groups
        .iter()
        .find_map(|group| group.points.iter().find(|number| is_measured(number)))
        .map_or(0, |number| number - 1)
}

/// Collects the groups.
pub fn collect(sweep: &Sweep<'_>) -> Groups {
    let groups = sweep::groups(sweep.record, &sweep.results.points);
    let spread = |group: &Group| group.spread(sweep.evaluation?, &COMPARED);
    let reference = groups.iter().position(|group| spread(group).is_some());
    let points = |group: &Group| group.points.iter().map(|number| number - 1).collect::<Vec<_>>();
    let found: Vec<Option<Found>> =
        groups.iter().map(|group| Found::mean(points(group).into_iter().filter_map(|idx| sweep.found(idx)))).collect();
    let columns: Vec<_> = found.iter().map(|found| found.as_ref()?.values().cloned()).collect();
    let own = resampled(&columns);
    let paired = resampled(&differences(&columns, reference.unwrap_or(0)));
    let reference_mean = reference.and_then(|idx| spread(&groups[idx])).map_or(0.0, |spread| spread.mean);
    let standing = |idx: usize| match (&found[idx], spread(&groups[idx])) {
        (_, None) | (None, _) => Standing::Unmeasured,
        _ if reference == Some(idx) => Standing::Reference,
        (Some(Found::Incomparable(what)), _) => Standing::Incomparable(what.clone()),
        (Some(Found::Untested(why)), Some(spread)) => Standing::Untested(why.clone(), spread.mean - reference_mean),
        (Some(Found::Values(_)), Some(spread)) => {
            let value = spread.mean - reference_mean;
            match paired[idx] {
                Some(interval) => Standing::Compared(Difference { value, interval }),
                None => Standing::Untested("the first group cannot be compared query by query".to_owned(), value),
            }
        }
    };
    let facts = |(idx, group): (usize, &Group)| GroupFacts {
        values: super::values_of(sweep.record, &group.overrides),
        points: points(group),
        mean_recall: spread(group).map(facts_of),
        interval: own[idx],
        standing: standing(idx),
        others: sweep.columns.iter().map(|column| group.spread(&column.stage, &column.metric).map(facts_of)).collect(),
    };
    let groups: Vec<GroupFacts> = groups.iter().enumerate().map(facts).collect();
    Groups { best: best(&groups), groups, reference }
}

/// The differences of each query from the column at `reference`; `None` where one of the two is missing, and for that
/// column itself.
pub fn differences(columns: &[Option<Vec<f64>>], reference: usize) -> Vec<Option<Vec<f64>>> {
    let first = columns.get(reference).and_then(Option::as_ref);
    let difference = |(idx, column): (usize, &Option<Vec<f64>>)| {
        let column = column.as_ref().filter(|_| idx != reference)?;
        Some(column.iter().zip(first?).map(|(value, first)| value - first).collect())
    };
    columns.iter().enumerate().map(difference).collect()
}

/// The 95% intervals of the means of all present columns.
pub fn resampled(columns: &[Option<Vec<f64>>]) -> Vec<Option<Interval>> {
    let known: Vec<Vec<f64>> = columns.iter().flatten().cloned().collect();
    let mut known = intervals(&known, door::n_threads()).into_iter();
    columns.iter().map(|column| column.as_ref().and_then(|_| known.next())).collect()
}

fn best(groups: &[GroupFacts]) -> Option<usize> {
    let comparable = groups.iter().enumerate().filter(|(_, group)| group.is_comparable());
    let means: Vec<(usize, f64)> = comparable.filter_map(|(idx, group)| Some((idx, group.mean_recall?.mean))).collect();
    if means.len() < 2 {
        return None;
    }
    means.into_iter().reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(idx, _)| idx)
}

fn facts_of(spread: sweep::Spread) -> Spread {
    Spread { mean: spread.mean, sd: spread.sd, n: spread.n }
}
