//! The metrics of two evaluations, and whether their differences are more than chance.

use std::cmp::Ordering;

use pipeline_core::{Digest, Metrics, StageId};
use pipeline_data::{Results, ResultsOf};
use pipeline_eval::statistics::{SignTest, intervals, sign_test};
use pipeline_stages::relevant_ranks;
use pipeline_store::Store;
use serde::Serialize;

use super::{CompareError, Side, paired, rows};

/// Two evaluations side by side.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// The stage of the earlier run.
    pub earlier: StageId,
    /// The stage of the later run.
    pub later: StageId,
    /// What differs in the data, so that metrics cannot be compared.
    pub incomparable: Option<String>,
    /// Why the differences could not be tested.
    pub untested: Option<String>,
    /// What both have under one name though it is not the same, and is therefore left out.
    pub left_out: Option<String>,
    /// The metrics that both have.
    pub metrics: Vec<MetricDifference>,
}

/// A metric of both evaluations.
#[derive(Debug, Serialize)]
pub struct MetricDifference {
    /// Its name.
    pub metric: String,
    /// Its value in the earlier run.
    pub earlier: f64,
    /// Its value in the later run.
    pub later: f64,
    /// The later minus the earlier.
    pub difference: f64,
    /// The lower bound of the difference: 95%, paired bootstrap over the queries.
    pub low: Option<f64>,
    /// The upper bound.
    pub high: Option<f64>,
    /// Of metrics that count hits: queries that rose and fell, and the p of the exact sign test.
    pub sign_test: Option<Signs>,
    /// What the interval says; none where nothing was tested.
    pub verdict: Option<Significance>,
}

/// A sign test.
#[derive(Debug, Serialize)]
pub struct Signs {
    /// Queries that rose.
    pub n_better: usize,
    /// Queries that fell.
    pub n_worse: usize,
    /// How likely so uneven a split is by chance.
    pub p: f64,
}

/// What a difference is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Significance {
    /// The whole interval is above 0.
    Better,
    /// The whole interval is below 0.
    Worse,
    /// 0 is in the interval.
    NoEvidence,
}

/// Compares two stages that have metrics.
///
/// # Errors
/// When the store cannot be read.
pub fn compare(store: &Store, earlier: Side<'_>, later: Side<'_>, n_threads: usize) -> Result<Compared, CompareError> {
    let mut compared = Compared {
        earlier: earlier.stage.clone(),
        later: later.stage.clone(),
        incomparable: differs_in_data(earlier, later),
        untested: None,
        left_out: None,
        metrics: Vec::new(),
    };
    if compared.incomparable.is_none() {
        compared.test(store, (earlier, later), n_threads)?;
    }
    Ok(compared)
}

/// On what other data the later of two stages was measured, as far as sources and counts show.
pub fn differs_in_data(earlier: Side<'_>, later: Side<'_>) -> Option<String> {
    let (lineage, later_lineage) = (earlier.run.lineage(), later.run.lineage());
    let same_data = |slot: &str| same(lineage.data(earlier.stage, slot), later_lineage.data(later.stage, slot));
    let (earlier, later) = (earlier.metrics(), later.metrics());
    let same_count = |name: &str| earlier.get(name) == later.get(name);
    let is_evaluation = earlier.contains_key("pool_size") || later.contains_key("pool_size");
    match is_evaluation {
        true if !same_data("images") || !same_count("pool_size") => Some(other("pool", "pool_size", earlier, later)),
        true if !same_data("queries") || !same_count("n_queries") => {
            Some(other("queries", "n_queries", earlier, later))
        }
        _ => None,
    }
}

/// Data are the same only where it is known what they are.
fn same(earlier: Option<Digest>, later: Option<Digest>) -> bool {
    earlier.is_some() && earlier == later
}

fn other(what: &str, count: &str, earlier: &Metrics, later: &Metrics) -> String {
    let of = |metrics: &Metrics| metrics.get(count).map_or("?".to_owned(), f64::to_string);
    let (earlier, later) = (of(earlier), of(later));
    match earlier == later {
        true => format!("measured on another {what} (of the same size, {earlier})"),
        false => format!("measured on another {what} ({count} {earlier} and {later})"),
    }
}

impl Compared {
    fn test(
        &mut self,
        store: &Store,
        (earlier, later): (Side<'_>, Side<'_>),
        n_threads: usize,
    ) -> Result<(), CompareError> {
        let metrics = later.metrics();
        self.metrics = both(earlier.metrics(), metrics);
        self.left_out = paired::other_ks(earlier.metrics(), metrics);
        if self.left_out.is_some() {
            self.metrics.retain(|metric| !metric.metric.ends_with("mean_recall"));
        }
        for of in [ResultsOf::Queries, ResultsOf::Images] {
            let measured = self.metrics.iter().filter_map(|metric| paired::measure(&metric.metric, metrics));
            if !measured.into_iter().any(|(results_of, _)| results_of == of) {
                continue;
            }
            let before = rows::read(store, earlier, of)?;
            let after = rows::read(store, later, of)?;
            let (before, after) = match (before, after) {
                (Ok(before), Ok(after)) => (before, after),
                (Err(reason), _) | (_, Err(reason)) => {
                    self.untested = Some(reason);
                    continue;
                }
            };
            match rows::aligned(&before, after) {
                Ok(after) => self.test_means(of, (&before, &after), metrics, n_threads),
                Err(what) => self.incomparable = Some(what),
            }
        }
        if self.incomparable.is_some() {
            self.metrics.clear();
        }
        Ok(())
    }

    fn test_means(
        &mut self,
        of: ResultsOf,
        (earlier, later): (&Results, &Results),
        metrics: &Metrics,
        n_threads: usize,
    ) {
        let (earlier, later) = (relevant_ranks(earlier), relevant_ranks(later));
        let mut tested: Vec<_> = Vec::new();
        for metric in &mut self.metrics {
            if let Some((results_of, measure)) = paired::measure(&metric.metric, metrics)
                && results_of == of
            {
                let differences = paired::differences(&measure, &earlier, &later);
                metric.sign_test = measure.is_any_hit().then(|| Signs::from(sign_test(&differences)));
                tested.push((metric, differences));
            }
        }
        let columns: Vec<Vec<f64>> = tested.iter_mut().map(|(_, column)| std::mem::take(column)).collect();
        for ((metric, _), interval) in tested.into_iter().zip(intervals(&columns, n_threads)) {
            (metric.low, metric.high) = (Some(interval.low), Some(interval.high));
            metric.verdict = Some(match interval.side_of_zero() {
                Some(Ordering::Greater) => Significance::Better,
                Some(_) => Significance::Worse,
                None => Significance::NoEvidence,
            });
        }
    }
}

impl From<SignTest> for Signs {
    fn from(test: SignTest) -> Self {
        Self { n_better: test.n_up, n_worse: test.n_down, p: test.p }
    }
}

/// The metrics that both have, in the order in which people read them; intervals and counts are not compared.
fn both(earlier: &Metrics, later: &Metrics) -> Vec<MetricDifference> {
    let is_bound = |name: &str| name.ends_with("_low") || name.ends_with("_high");
    let is_count =
        |name: &str| name.contains("n_queries") || name.contains("n_answerable") || name.contains("n_images");
    let wanted = earlier.iter().filter(|(name, _)| !is_bound(name) && !is_count(name) && !name.ends_with("pool_size"));
    let mut metrics: Vec<MetricDifference> = wanted
        .filter_map(|(name, earlier)| {
            let later = later.get(name)?;
            Some(MetricDifference {
                metric: name.clone(),
                earlier: *earlier,
                later: *later,
                difference: later - earlier,
                low: None,
                high: None,
                sign_test: None,
                verdict: None,
            })
        })
        .collect();
    metrics.sort_by_cached_key(|metric| reading_order(&metric.metric));
    metrics
}

/// What people look at first comes first, numbers at the end of a name in their order.
fn reading_order(metric: &str) -> (bool, usize, usize, String) {
    const FIRST: [&str; 7] =
        ["mean_recall", "recall_at_", "mrr", "map", "ndcg_at_", "median_rank", "fraction_recall_at_"];
    let name = metric.strip_prefix("i2t_").unwrap_or(metric);
    let group = FIRST.iter().position(|first| name.starts_with(first)).unwrap_or(FIRST.len());
    let number = name.rsplit('_').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (name != metric, group, number, metric.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_from_the_most_important_on() {
        let names = ["fraction_recall_at_1", "i2t_mean_recall", "loss", "mean_recall", "recall_at_10", "recall_at_5"];
        let metrics: Metrics = names.iter().map(|name| ((*name).to_owned(), 0.5)).collect();
        let both = both(&metrics, &metrics);
        let order: Vec<_> = both.iter().map(|metric| metric.metric.as_str()).collect();
        assert_eq!(
            order,
            ["mean_recall", "recall_at_5", "recall_at_10", "fraction_recall_at_1", "loss", "i2t_mean_recall"]
        );
    }
}
