//! 95% intervals: the bootstrap over queries for metrics, Wilson's for single shares.

use crate::random::Random;

/// Resamples of a bootstrap, at most and at least.
const MAX_RESAMPLES: usize = 10_000;
const MIN_RESAMPLES: usize = 1_000;
/// Draws of a bootstrap, as long as there are enough resamples: half a second.
const MAX_DRAWS: usize = 100_000_000;
/// Two-sided 95% of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// An interval in which a value lies with 95% confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The percentile-bootstrap intervals of the means of `values` over queries.
///
/// A query is known by its category: `values[category]` holds its value of each metric. So one draw a query serves all
/// metrics, and a resample costs a count. No interval without queries.
///
/// # Shapes
/// - categories: `[n_queries]`
/// - values: `[n_categories][n_metrics]`
pub(crate) fn bootstrap(categories: &[usize], values: &[Vec<f64>], seed: u64) -> Vec<Interval> {
    let n_metrics = values.first().map_or(0, Vec::len);
    if categories.is_empty() {
        return Vec::new();
    }
    let mut random = Random::new(seed);
    let n_resamples = (MAX_DRAWS / categories.len()).clamp(MIN_RESAMPLES, MAX_RESAMPLES);
    let mut means = vec![Vec::with_capacity(n_resamples); n_metrics];
    for _ in 0..n_resamples {
        let mut counts = vec![0_u32; values.len()];
        categories.iter().for_each(|_| counts[categories[random.below(categories.len())]] += 1);
        for (metric_idx, means) in means.iter_mut().enumerate() {
            let sum: f64 = counts.iter().zip(values).map(|(count, row)| f64::from(*count) * row[metric_idx]).sum();
            means.push(sum / categories.len() as f64);
        }
    }
    means.into_iter().map(percentiles).collect()
}

fn percentiles(mut means: Vec<f64>) -> Interval {
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| means[((means.len() - 1) as f64 * share).round() as usize];
    Interval { low: at(0.025), high: at(0.975) }
}

/// Wilson's interval of a share of `n` that is `n_hits` of them; none for `n` = 0.
pub(crate) fn wilson(n_hits: usize, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (share, n) = (n_hits as f64 / n as f64, n as f64);
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_of_shares_agrees_with_wilsons_interval() {
        let categories: Vec<usize> = (0..2_000).map(|idx| usize::from(idx % 4 == 0)).collect();
        let bootstrap = bootstrap(&categories, &[vec![0.0], vec![1.0]], 1);
        let wilson = wilson(500, 2_000).unwrap();
        // Both are approximations; the width of the interval is 0.038.
        assert!((bootstrap[0].low - wilson.low).abs() < 0.002, "{bootstrap:?} {wilson:?}");
        assert!((bootstrap[0].high - wilson.high).abs() < 0.002, "{bootstrap:?} {wilson:?}");
    }

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // Newcombe 1998, table I: 15 of 148.
        let interval = wilson(15, 148).unwrap();
        assert!((interval.low - 0.0624).abs() < 5e-5 && (interval.high - 0.1605).abs() < 5e-5, "{interval:?}");
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn without_queries_there_is_no_interval() {
        assert!(bootstrap(&[], &[vec![0.0]], 0).is_empty());
    }
}
