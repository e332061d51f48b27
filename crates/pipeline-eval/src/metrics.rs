//! Retrieval metrics from the ranks of the relevant images; each is a mean over queries, except for the median rank.
//!
//! Names are unambiguous: `recall_at_k` is MUGE's, where any hit counts; `fraction_recall_at_k` is the share of the
//! relevant images that is found. Relevant images outside of the pool cannot be found, so a query's ideal ignores them.
//! A query without relevant images in the pool counts, with 0 for every measure.

use std::collections::BTreeMap;

use crate::statistics::intervals;
use crate::{Bound, Direction, MetricName, Quantity};

/// The depth of NDCG, in images.
const NDCG_DEPTH: usize = 10;

/// The ranks of one query's relevant images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelevantRanks {
    /// The number of relevant images in the pool.
    pub n_in_pool: usize,
    /// Their 1-based ranks, ascending; fewer than `n_in_pool` where scores are NaN.
    pub ranks: Vec<usize>,
}

/// A number per query, whose mean over the queries is a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// 1 if a relevant image is among the first `k`, else 0: MUGE's Recall@k, elsewhere called hit rate or accuracy@k.
    RecallAt(usize),
    /// The mean of [`Measure::RecallAt`] over these `k`.
    MeanRecall(Vec<usize>),
    /// The share of the relevant images of the pool that is among the first `k`: elsewhere called recall@k.
    FractionRecallAt(usize),
    /// 1 / the best rank.
    ReciprocalRank,
    /// The mean, over the relevant images of the pool, of the precision at their rank.
    AveragePrecision,
    /// The sum of 1 / log2(1 + rank) over the relevant images among the first ten, as a share of the largest possible.
    NdcgAt10,
}

impl Measure {
    /// The measure behind a metric; `None` when the metric is not a mean over queries or images. `ks` are those of
    /// `mean_recall`.
    pub fn of_metric(metric: &MetricName, ks: &[usize]) -> Option<Self> {
        if metric.bound.is_some() {
            return None;
        }
        match metric.quantity {
            Quantity::RecallAt(k) => Some(Self::RecallAt(k)),
            Quantity::MeanRecall if !ks.is_empty() => Some(Self::MeanRecall(ks.to_vec())),
            Quantity::FractionRecallAt(k) => Some(Self::FractionRecallAt(k)),
            Quantity::ReciprocalRank => Some(Self::ReciprocalRank),
            Quantity::AveragePrecision => Some(Self::AveragePrecision),
            Quantity::NdcgAt(NDCG_DEPTH) => Some(Self::NdcgAt10),
            _ => None,
        }
    }

    /// The quantity of its mean over queries.
    pub fn quantity(&self) -> Quantity {
        match self {
            Self::RecallAt(k) => Quantity::RecallAt(*k),
            Self::MeanRecall(_) => Quantity::MeanRecall,
            Self::FractionRecallAt(k) => Quantity::FractionRecallAt(*k),
            Self::ReciprocalRank => Quantity::ReciprocalRank,
            Self::AveragePrecision => Quantity::AveragePrecision,
            Self::NdcgAt10 => Quantity::NdcgAt(NDCG_DEPTH),
        }
    }

    /// Whether the best rank alone determines it.
    pub fn needs_best_rank_only(&self) -> bool {
        matches!(self, Self::RecallAt(_) | Self::MeanRecall(_) | Self::ReciprocalRank)
    }

    /// Whether it counts hits.
    pub fn is_any_hit(&self) -> bool {
        matches!(self, Self::RecallAt(_) | Self::MeanRecall(_))
    }

    /// Its value for one query, in 0..=1.
    pub fn of(&self, query: &RelevantRanks) -> f64 {
        let hit_at = |k: usize| f64::from(query.ranks.first().is_some_and(|rank| *rank <= k));
        match self {
            Self::RecallAt(k) => hit_at(*k),
            Self::MeanRecall(ks) => ks.iter().map(|k| hit_at(*k)).sum::<f64>() / ks.len() as f64,
            Self::FractionRecallAt(k) => {
                share(query.ranks.iter().filter(|rank| *rank <= k).count() as f64, query.n_in_pool as f64)
            }
            Self::ReciprocalRank => query.ranks.first().map_or(0.0, |rank| 1.0 / *rank as f64),
            Self::AveragePrecision => {
                let precisions = query.ranks.iter().enumerate().map(|(idx, rank)| (idx + 1) as f64 / *rank as f64);
                share(precisions.sum(), query.n_in_pool as f64)
            }
            Self::NdcgAt10 => {
                let gain = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
                let found = query.ranks.iter().filter(|rank| **rank <= NDCG_DEPTH).map(|rank| gain(*rank)).sum();
                share(found, (1..=query.n_in_pool.min(NDCG_DEPTH)).map(gain).sum())
            }
        }
    }

    /// Its values for all queries.
    pub fn of_all(&self, queries: &[RelevantRanks]) -> Vec<f64> {
        queries.iter().map(|query| self.of(query)).collect()
    }
}

/// All metrics of a direction by name, with the bounds of 95% bootstrap intervals over queries.
///
/// `median_rank` is the median of the best ranks; a query that finds nothing has the rank behind the last, `pool_size +
/// 1`. Without queries every metric is 0.
pub fn measure(
    queries: &[RelevantRanks],
    ks: &[usize],
    (direction, pool_size): (Direction, usize),
    n_threads: usize,
) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let name = |quantity: Quantity| MetricName { direction, ..MetricName::new(quantity) };
    let mut with_interval: Vec<Measure> = ks.iter().map(|k| Measure::RecallAt(*k)).collect();
    with_interval.extend([
        Measure::MeanRecall(ks.to_vec()),
        Measure::ReciprocalRank,
        Measure::AveragePrecision,
        Measure::NdcgAt10,
    ]);
    let columns: Vec<Vec<f64>> = with_interval.iter().map(|measure| measure.of_all(queries)).collect();
    for ((measure, column), interval) in with_interval.iter().zip(&columns).zip(intervals(&columns, n_threads)) {
        let name = name(measure.quantity());
        metrics.insert(name.bound(Bound::Low).to_string(), interval.low);
        metrics.insert(name.bound(Bound::High).to_string(), interval.high);
        metrics.insert(name.to_string(), mean(column));
    }
    // The mean of the recalls, as the notebook computes it: the mean of the queries' means differs in the last bits.
    let recalls: f64 = ks.iter().map(|k| metrics[&name(Quantity::RecallAt(*k)).to_string()]).sum();
    metrics.insert(name(Quantity::MeanRecall).to_string(), share(recalls, ks.len() as f64));
    for k in ks {
        let fraction = Measure::FractionRecallAt(*k);
        metrics.insert(name(fraction.quantity()).to_string(), mean(&fraction.of_all(queries)));
    }
    metrics.insert(name(Quantity::MedianRank).to_string(), median_rank(queries, pool_size));
    metrics
}

/// The median of the best ranks; for an even number of queries the mean of the two in the middle.
fn median_rank(queries: &[RelevantRanks], pool_size: usize) -> f64 {
    let mut ranks: Vec<usize> =
        queries.iter().map(|query| query.ranks.first().copied().unwrap_or(pool_size + 1)).collect();
    ranks.sort_unstable();
    match ranks.len() {
        0 => 0.0,
        n => (ranks[(n - 1) / 2] + ranks[n / 2]) as f64 / 2.0,
    }
}

fn mean(values: &[f64]) -> f64 {
    share(values.iter().sum(), values.len() as f64)
}

/// `part / whole`, or 0 when `whole` is 0.
fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::ranks_among;

    fn found(n_in_pool: usize, ranks: &[usize]) -> RelevantRanks {
        RelevantRanks { n_in_pool, ranks: ranks.to_vec() }
    }

    #[test]
    fn any_hit_and_the_fraction_found_are_two_things() {
        let query = found(4, &[2, 3, 9, 40]);
        let value = |measure: Measure| measure.of(&query);
        assert_eq!(value(Measure::RecallAt(1)), 0.0);
        assert_eq!(value(Measure::RecallAt(5)), 1.0);
        assert_eq!(value(Measure::FractionRecallAt(5)), 0.5);
        assert_eq!(value(Measure::MeanRecall(vec![1, 5, 10])), 2.0 / 3.0);
        assert_eq!(value(Measure::ReciprocalRank), 0.5);
        assert_eq!(value(Measure::AveragePrecision), (1.0 / 2.0 + 2.0 / 3.0 + 3.0 / 9.0 + 4.0 / 40.0) / 4.0);
    }

    #[test]
    fn names_lead_to_measures_and_back() {
        let names = ["recall_at_5", "mean_recall", "fraction_recall_at_10", "mrr", "map", "ndcg_at_10"];
        for name in names {
            assert_eq!(Measure::of_metric(&name.into(), &[1, 5]).unwrap().quantity().to_string(), name);
        }
        let no_means = ["median_rank", "n_queries", "mrr_low", "recall_at_", "ndcg_at_5"];
        assert!(no_means.iter().all(|name| Measure::of_metric(&(*name).into(), &[1]).is_none()));
        assert_eq!(Measure::of_metric(&"mean_recall".into(), &[]), None);
    }

    #[test]
    fn a_query_without_an_image_in_the_pool_counts_as_a_miss() {
        let queries = [found(0, &[]), found(1, &[1]), found(1, &[3])];
        let metrics = measure(&queries, &[1, 5], (Direction::TextToImage, 8), 1);
        assert_eq!((metrics["recall_at_1"], metrics["map"]), (1.0 / 3.0, (1.0 + 1.0 / 3.0) / 3.0));
        assert_eq!(metrics["median_rank"], 3.0);
        let of_images = measure(&queries[..2], &[1], (Direction::ImageToText, 8), 1);
        assert_eq!(of_images["i2t_median_rank"], 5.0, "the middle of 1 and 9, behind the last of 8");
        assert!(metrics["mrr_low"] < metrics["mrr"] && metrics["mrr"] < metrics["mrr_high"]);
        assert!(measure(&[], &[1], (Direction::TextToImage, 8), 1).values().all(|value| *value == 0.0));
    }

    /// Made by `tests/fixtures/goldens/retrieval_metrics.py` with torchmetrics and scikit-learn.
    #[test]
    fn metrics_are_those_of_torchmetrics_and_scikit_learn_on_random_data_with_ties() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/goldens/retrieval_metrics.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let queries = golden["queries"].as_array().unwrap().iter().map(|query| {
            let list = |name: &str| query[name].as_array().unwrap().iter();
            let scores: Vec<f32> = list("scores").map(|score| score.as_f64().unwrap() as f32).collect();
            let relevant: Vec<usize> = list("relevant").map(|row| row.as_u64().unwrap() as usize).collect();
            RelevantRanks { n_in_pool: relevant.len(), ranks: ranks_among(&scores, &relevant) }
        });
        let queries: Vec<RelevantRanks> = queries.collect();
        let metrics = measure(&queries, &[1, 5, 10], (Direction::TextToImage, 40), 2);
        let expect = golden["metrics"].as_object().unwrap();
        assert_eq!((queries.len(), expect.len()), (200, 10));
        for (name, value) in expect {
            // torchmetrics computes in f32.
            let difference = (metrics[name] - value.as_f64().unwrap()).abs();
            assert!(difference < 2e-6, "{name}: {} differs from {value}", metrics[name]);
        }
    }
}
