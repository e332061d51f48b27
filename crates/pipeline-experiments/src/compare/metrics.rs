//! The metrics of two evaluations, and whether their differences are significant.

use pipeline_core::{Digest, Metrics, StageId};
use pipeline_data::Results;
use pipeline_eval::statistics::{SignTest, intervals, sign_test};
use pipeline_eval::{Direction, Measure, MetricName, Quantity, Unit};
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
    /// The difference in the data that makes the metrics incomparable.
    pub incomparable: Option<String>,
    /// The reason why the differences could not be tested.
    pub untested: Option<String>,
    /// The metrics that share a name but not a definition, and are therefore left out.
    pub left_out: Option<String>,
    /// The metrics that both have.
    pub metrics: Vec<MetricDifference>,
}

/// A metric of both evaluations.
#[derive(Debug, Serialize)]
pub struct MetricDifference {
    /// Its name.
    pub metric: MetricName,
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
    /// For metrics that count hits: the queries that rose and fell, and the p of the exact sign test.
    pub sign_test: Option<Signs>,
    /// The verdict of the interval; `None` where nothing was tested.
    pub verdict: Option<Significance>,
}

/// A sign test.
#[derive(Debug, Serialize)]
pub struct Signs {
    /// The number of queries that rose.
    pub n_better: usize,
    /// The number of queries that fell.
    pub n_worse: usize,
    /// The probability of a split this uneven by chance.
    pub p: f64,
}

/// The significance of a difference.
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

/// The difference in the data of two stages, as far as sources and counts show.
pub fn differs_in_data(earlier: Side<'_>, later: Side<'_>) -> Option<String> {
    let (lineage, later_lineage) = (earlier.run.lineage(), later.run.lineage());
    let same_data = |slot: &str| same(lineage.data(earlier.stage, slot), later_lineage.data(later.stage, slot));
    let (earlier, later) = (earlier.metrics(), later.metrics());
    let same_count = |count: Quantity| count.value_in(earlier) == count.value_in(later);
    let is_evaluation = [earlier, later].iter().any(|metrics| Quantity::PoolSize.value_in(metrics).is_some());
    match is_evaluation {
        true if !same_data("images") || !same_count(Quantity::PoolSize) => {
            Some(other("another pool", Quantity::PoolSize, earlier, later))
        }
        true if !same_data("queries") || !same_count(Quantity::NQueries) => {
            Some(other("other queries", Quantity::NQueries, earlier, later))
        }
        _ => None,
    }
}

/// Unknown data never count as the same.
fn same(earlier: Option<Digest>, later: Option<Digest>) -> bool {
    earlier.is_some() && earlier == later
}

fn other(what: &str, count: Quantity, earlier: &Metrics, later: &Metrics) -> String {
    let of = |metrics: &Metrics| count.value_in(metrics).map_or("?".to_owned(), |value| value.to_string());
    let (earlier, later) = (of(earlier), of(later));
    match earlier == later {
        true => format!("measured on {what} (of the same size, {earlier}: other rows, or the same in another order)"),
        false => format!("measured on {what} ({count} {earlier} and {later})"),
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
            self.metrics.retain(|metric| !metric.metric.quantity.is_mean_over_k());
        }
        for direction in [Direction::TextToImage, Direction::ImageToText] {
            let is_tested = |metric: &MetricDifference| metric.measure(direction, metrics).is_some();
            if !self.metrics.iter().any(is_tested) {
                continue;
            }
            let before = rows::read(store, earlier, direction.into())?;
            let after = rows::read(store, later, direction.into())?;
            let (before, after) = match (before, after) {
                (Ok(before), Ok(after)) => (before, after),
                (Err(reason), _) | (_, Err(reason)) => {
                    self.untested = Some(reason);
                    continue;
                }
            };
            match rows::aligned(&before, after) {
                Ok(after) => self.test_means(direction, (&before, &after), metrics, n_threads),
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
        direction: Direction,
        (earlier, later): (&Results, &Results),
        metrics: &Metrics,
        n_threads: usize,
    ) {
        let (earlier, later) = (relevant_ranks(earlier), relevant_ranks(later));
        let mut tested: Vec<_> = Vec::new();
        for metric in &mut self.metrics {
            if let Some(measure) = metric.measure(direction, metrics) {
                let differences = paired::differences(&measure, &earlier, &later);
                metric.sign_test = measure.is_any_hit().then(|| Signs::from(sign_test(&differences)));
                tested.push((metric, differences));
            }
        }
        let columns: Vec<Vec<f64>> = tested.iter_mut().map(|(_, column)| std::mem::take(column)).collect();
        for ((metric, _), interval) in tested.into_iter().zip(intervals(&columns, n_threads)) {
            (metric.low, metric.high) = (Some(interval.low), Some(interval.high));
            metric.verdict = Some(match interval.side_of_zero() {
                None => Significance::NoEvidence,
                side if side == metric.metric.quantity.better() => Significance::Better,
                Some(_) => Significance::Worse,
            });
        }
    }
}

impl MetricDifference {
    /// The measure behind the metric, if it is a mean over what was searched in this direction.
    fn measure(&self, direction: Direction, metrics: &Metrics) -> Option<Measure> {
        (self.metric.direction == direction).then(|| paired::measure(&self.metric, metrics)).flatten()
    }
}

impl From<SignTest> for Signs {
    fn from(test: SignTest) -> Self {
        Self { n_better: test.n_up, n_worse: test.n_down, p: test.p }
    }
}

/// The metrics that both have, in reading order; intervals and counts are not compared.
fn both(earlier: &Metrics, later: &Metrics) -> Vec<MetricDifference> {
    let is_wanted = |name: &MetricName| name.bound.is_none() && name.quantity.unit() != Unit::Count;
    let mut metrics: Vec<MetricDifference> = earlier
        .iter()
        .filter_map(|(name, earlier)| {
            let later = later.get(name)?;
            Some(MetricDifference {
                metric: Some(MetricName::from(name.as_str())).filter(is_wanted)?,
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
    metrics.sort_by_cached_key(|metric| metric.metric.reading_order());
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_bounds_nor_counts_are_compared() {
        let names =
            ["i2t_mean_recall", "loss", "mean_recall", "mean_recall_low", "n_queries", "pool_size", "recall_at_5"];
        let metrics: Metrics = names.iter().map(|name| ((*name).to_owned(), 0.5)).collect();
        let both = both(&metrics, &metrics);
        let order: Vec<_> = both.iter().map(|metric| metric.metric.to_string()).collect();
        assert_eq!(order, ["mean_recall", "recall_at_5", "loss", "i2t_mean_recall"]);
    }
}
