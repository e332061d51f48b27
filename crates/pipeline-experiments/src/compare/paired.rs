//! Compares two evaluations query by query: their differences, and whether these are significant.

use pipeline_core::Metrics;
use pipeline_eval::{Measure, MetricName, RelevantRanks, ks};

/// The measure behind a metric of an evaluation; `None` when the metric is not a mean.
pub fn measure(metric: &MetricName, metrics: &Metrics) -> Option<Measure> {
    Measure::of_metric(metric, &ks(metrics))
}

/// Describes the difference in `k` of two evaluations; `None` when their means are over the same `k`.
pub fn other_ks(earlier: &Metrics, later: &Metrics) -> Option<String> {
    let (earlier, later) = (ks(earlier), ks(later));
    (earlier != later).then(|| format!("`mean_recall` is a mean over k = {earlier:?} and {later:?}"))
}

/// `later - earlier`, row by row.
pub fn differences(measure: &Measure, earlier: &[RelevantRanks], later: &[RelevantRanks]) -> Vec<f64> {
    earlier.iter().zip(later).map(|(earlier, later)| measure.of(later) - measure.of(earlier)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measures_of_metrics_are_found_by_their_names() {
        let names = ["recall_at_10", "recall_at_1", "recall_at_1_low", "fraction_recall_at_3", "mean_recall"];
        let metrics: Metrics = names.iter().map(|name| ((*name).to_owned(), 0.5)).collect();
        let mean = Measure::MeanRecall(vec![1, 10]);
        assert_eq!(measure(&"i2t_mean_recall".into(), &metrics), Some(mean.clone()));
        assert_eq!(measure(&"recall_at_1_low".into(), &metrics), None);
        let found = |rank| vec![RelevantRanks { n_in_pool: 1, ranks: vec![rank] }];
        assert_eq!(differences(&mean, &found(11), &found(2)), [0.5]);
    }
}
