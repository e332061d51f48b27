//! Results of two evaluations query by query: what differs between them, and whether that is chance.

use pipeline_core::Metrics;
use pipeline_data::ResultsOf;
use pipeline_eval::{Measure, RelevantRanks};
use pipeline_stages::results_of_metric;

/// The measure behind a metric of an evaluation, and of what it is a mean; none when it is no mean.
pub fn measure(metric: &str, metrics: &Metrics) -> Option<(ResultsOf, Measure)> {
    let (of, name) = results_of_metric(metric);
    Some((of, Measure::named(name, &ks(metrics))?))
}

/// The `k` of all `recall_at_k`, in rising order: those that `mean_recall` is the mean of.
fn ks(metrics: &Metrics) -> Vec<usize> {
    let mut ks: Vec<usize> = metrics.keys().filter_map(|name| name.strip_prefix("recall_at_")?.parse().ok()).collect();
    ks.sort_unstable();
    ks
}

/// How the means of two evaluations differ, if they are over other `k`.
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
        assert_eq!(ks(&metrics), [1, 10]);
        let mean = Measure::MeanRecall(vec![1, 10]);
        assert_eq!(measure("i2t_mean_recall", &metrics), Some((ResultsOf::Images, mean.clone())));
        assert_eq!(measure("recall_at_1_low", &metrics), None);
        let found = |rank| vec![RelevantRanks { n_in_pool: 1, ranks: vec![rank] }];
        assert_eq!(differences(&mean, &found(11), &found(2)), [0.5]);
    }
}
