//! The results of each point's queries, so that means can be resampled and points compared query by query.

use pipeline_core::{Metrics, StageId};
use pipeline_data::{Results, ResultsOf};
use pipeline_experiments::compare::{Side, differs_in_data, paired, rows};
use pipeline_experiments::recorded::RecordedRun;
use pipeline_experiments::sweep::COMPARED;
use pipeline_stages::relevant_ranks;
use pipeline_store::Store;

use crate::failure::Failure;

/// The results of a point's queries.
pub enum Found {
    /// The mean of each query's recalls, in the order of the reference's queries.
    Values(Vec<f64>),
    /// The point was measured on other data than the reference: a description of the data.
    Incomparable(String),
    /// It, or the reference, can no longer be read: the reason.
    Untested(String),
}

impl Found {
    /// The mean over several points, query by query; `None` without points.
    pub fn mean<'a>(points: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let (mut columns, mut untested) = (Vec::new(), None);
        for found in points {
            match found {
                Self::Values(values) => columns.push(values),
                Self::Incomparable(what) => return Some(Self::Incomparable(what.clone())),
                Self::Untested(why) => untested = Some(why),
            }
        }
        if let Some(why) = untested {
            return Some(Self::Untested(why.clone()));
        }
        let n_queries = columns.first()?.len();
        let mean = |query: usize| columns.iter().map(|column| column[query]).sum::<f64>() / columns.len() as f64;
        Some(Self::Values((0..n_queries).map(mean).collect()))
    }

    /// The values, if they are known.
    pub fn values(&self) -> Option<&Vec<f64>> {
        match self {
            Self::Values(values) => Some(values),
            Self::Incomparable(_) | Self::Untested(_) => None,
        }
    }
}

/// Reads the results of each point's queries; `None` for a point without a MeanRecall. `at` returns the results of a
/// point by its index, and `reference` is the index of the point whose pool and queries count.
///
/// # Errors
/// When results exist but cannot be read.
pub fn read(
    store: &Store,
    n_points: usize,
    at: &dyn Fn(usize) -> RecordedRun,
    reference: usize,
    evaluation: &StageId,
) -> Result<Vec<Option<Found>>, Failure> {
    let reference = &at(reference);
    let reference = Side { run: reference, stage: evaluation };
    let before = rows::read(store, reference, ResultsOf::Queries)?;
    let found = |point_idx: usize| {
        let run = &at(point_idx);
        let point = Side { run, stage: evaluation };
        let is_measured = COMPARED.value_in(point.metrics()).is_some();
        is_measured.then(|| one(store, (reference, &before), point)).transpose()
    };
    (0..n_points).map(found).collect()
}

fn one(
    store: &Store,
    (reference, before): (Side<'_>, &Result<Results, String>),
    point: Side<'_>,
) -> Result<Found, Failure> {
    if let Some(what) = differs_in_data(reference, point) {
        return Ok(Found::Incomparable(what));
    }
    if let Some(what) = paired::other_ks(reference.metrics(), point.metrics()) {
        return Ok(Found::Incomparable(what));
    }
    let before = match before {
        Ok(before) => before,
        Err(why) => return Ok(Found::Untested(why.clone())),
    };
    Ok(match rows::read(store, point, ResultsOf::Queries)?.map(|after| rows::aligned(before, after)) {
        Err(why) => Found::Untested(why),
        Ok(Err(what)) => Found::Incomparable(what),
        Ok(Ok(after)) => match values(&after, point.metrics()) {
            Some(values) => Found::Values(values),
            None => Found::Untested("it has no Recall@k that its MeanRecall could be the mean of".to_owned()),
        },
    })
}

/// The mean of the recalls of each query.
fn values(results: &Results, metrics: &Metrics) -> Option<Vec<f64>> {
    let measure = paired::measure(&COMPARED, metrics)?;
    Some(relevant_ranks(results).iter().map(|query| measure.of(query)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(points: &[Found]) -> Option<String> {
        Found::mean(points.iter()).map(|found| match found {
            Found::Values(values) => format!("{values:?}"),
            Found::Incomparable(what) => format!("other data: {what}"),
            Found::Untested(why) => format!("untested: {why}"),
        })
    }

    #[test]
    fn a_mean_over_seeds_is_taken_query_by_query_and_only_over_the_same_data() {
        let values = |values: [f64; 2]| Found::Values(values.to_vec());
        let (other, gone) = (|| Found::Incomparable("another pool".into()), || Found::Untested("gone".into()));
        assert_eq!(mean(&[values([0.0, 1.0]), values([1.0, 1.0])]).unwrap(), "[0.5, 1.0]");
        assert_eq!(mean(&[values([0.0, 1.0]), gone()]).unwrap(), "untested: gone");
        assert_eq!(mean(&[gone(), other(), values([0.0, 1.0])]).unwrap(), "other data: another pool");
        assert_eq!(mean(&[]), None);
    }
}
