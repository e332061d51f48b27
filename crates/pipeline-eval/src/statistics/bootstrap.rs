//! Percentile bootstrap intervals of means.

use std::cmp::Ordering;

use super::Draws;
use pipeline_kernels::map_batches;

/// The number of resamples.
const N_RESAMPLES: usize = 10_000;
/// The share of resampled means on either side of the interval, which holds 95% of them.
const TAIL: f64 = 0.025;
const SEED: u64 = 0;
/// Columns that are summed at once: one cache line of each row.
const LANES: usize = 8;
/// Resamples per unit of work of a thread.
const BATCH: usize = 100;

/// A 95% confidence interval of a mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Interval {
    /// The side of zero on which the whole interval lies; `None` when it contains zero.
    pub fn side_of_zero(self) -> Option<Ordering> {
        match self {
            Self { low, .. } if low > 0.0 => Some(Ordering::Greater),
            Self { high, .. } if high < 0.0 => Some(Ordering::Less),
            _ => None,
        }
    }
}

/// The 95% percentile bootstrap interval of the mean of each column.
///
/// Rows are drawn with replacement, the same rows for all columns, 10,000 times. For a paired interval pass differences
/// as rows. Equal columns give equal intervals, with any number of threads. Without rows every bound is 0.
///
/// # Shapes
/// columns: `[n_columns][n_rows]`
///
/// # Panics
/// When the columns differ in length or have 2^32 rows: a bug of the caller.
pub fn intervals(columns: &[Vec<f64>], n_threads: usize) -> Vec<Interval> {
    let n_rows = columns.first().map_or(0, Vec::len);
    assert!(columns.iter().all(|column| column.len() == n_rows), "BUG: columns must be of one length");
    if n_rows == 0 {
        return vec![Interval::default(); columns.len()];
    }
    columns.chunks(LANES).flat_map(|columns| of_some(columns, n_rows, n_threads)).collect()
}

/// The intervals of at most [`LANES`] columns.
fn of_some(columns: &[Vec<f64>], n_rows: usize, n_threads: usize) -> Vec<Interval> {
    let mut rows = vec![[0.0; LANES]; n_rows];
    for (lane, column) in columns.iter().enumerate() {
        rows.iter_mut().zip(column).for_each(|(row, value)| row[lane] = *value);
    }
    let batches = map_batches(N_RESAMPLES / BATCH, n_threads, |batch_idx| {
        let streams = batch_idx * BATCH..(batch_idx + 1) * BATCH;
        streams.map(|stream| resampled_sum(&rows, stream as u64)).collect::<Vec<_>>()
    });
    let sums = batches.concat();
    let interval = |lane: usize| {
        let mut means: Vec<f64> = sums.iter().map(|sum| sum[lane] / n_rows as f64).collect();
        means.sort_unstable_by(f64::total_cmp);
        Interval { low: quantile(&means, TAIL), high: quantile(&means, 1.0 - TAIL) }
    };
    (0..columns.len()).map(interval).collect()
}

/// The sums of as many rows as there are, drawn with replacement.
fn resampled_sum(rows: &[[f64; LANES]], stream: u64) -> [f64; LANES] {
    let n_rows = u32::try_from(rows.len()).expect("BUG: fewer than 2^32 rows");
    let mut draws = Draws::new(SEED, stream);
    let mut sum = [0.0; LANES];
    let mut add = |row: &[f64; LANES]| sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    for _ in 0..rows.len() / 2 {
        let [first, second] = draws.two_places(n_rows);
        add(&rows[first]);
        add(&rows[second]);
    }
    if rows.len() % 2 == 1 {
        add(&rows[draws.two_places(n_rows)[0]]);
    }
    sum
}

/// The quantile of sorted values, interpolated as numpy does by default.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let place = fraction * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_share_is_the_normal_one() {
        let column: Vec<f64> = (0..5_008).map(|row| f64::from(row % 10 < 3)).collect();
        let mean = column.iter().sum::<f64>() / 5_008.0;
        let half_width = 1.96 * (mean * (1.0 - mean) / 5_008.0).sqrt();
        let interval = intervals(std::slice::from_ref(&column), 2)[0];
        // 10,000 resamples leave an error of some 2% of the width.
        assert!((interval.low - (mean - half_width)).abs() < half_width * 0.05, "{interval:?}");
        assert!((interval.high - (mean + half_width)).abs() < half_width * 0.05, "{interval:?}");
    }

    #[test]
    fn threads_and_company_change_nothing() {
        let column = |step: usize| (0..101).map(|row| ((row * step) % 13) as f64).collect::<Vec<f64>>();
        let columns: Vec<_> = (1..=11).map(column).collect();
        let expect = intervals(&columns, 1);
        assert_eq!(intervals(&columns, 3), expect);
        assert_eq!(intervals(&columns[9..10], 1), expect[9..10]);
        assert!(expect.iter().all(|interval| interval.low < interval.high));
    }

    #[test]
    fn what_does_not_vary_has_no_width() {
        assert_eq!(intervals(&[vec![0.25; 6]], 1), [Interval { low: 0.25, high: 0.25 }]);
        assert_eq!(intervals(&[vec![], vec![]], 1), [Interval::default(); 2]);
        assert!(intervals(&[], 1).is_empty());
    }

    #[test]
    fn an_interval_that_holds_zero_is_on_neither_side() {
        let side = |low: f64, high: f64| Interval { low, high }.side_of_zero();
        assert_eq!(side(0.1, 0.2), Some(Ordering::Greater));
        assert_eq!(side(-0.2, -0.1), Some(Ordering::Less));
        assert_eq!((side(-0.1, 0.1), side(0.0, 0.1), side(-0.1, 0.0)), (None, None, None));
    }
}
