//! Recall from ranks: at each k and on average, with intervals.

use crate::statistics::{Interval, intervals};

use super::interval::wilson;

/// Recall at one k.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecallPoint {
    /// The ranks up to `k` are hits.
    pub k: u32,
    /// Recall@k, a fraction in 0..=1.
    pub share: f64,
    /// Its 95% interval.
    pub interval: Interval,
}

/// Recall@k and its mean over k, with intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalls {
    /// The number of queries.
    pub n: usize,
    /// Recall@k by ascending `k`.
    pub at: Vec<RecallPoint>,
    /// Their mean.
    pub mean: f64,
    /// The interval of the mean.
    pub mean_interval: Interval,
}

/// The recalls of ranks at each of `ks`, with bootstrapped intervals; `None` without ranks or ks.
pub(super) fn recalls(ranks: &[Option<u32>], ks: &[u32], n_threads: usize) -> Option<Recalls> {
    if ranks.is_empty() || ks.is_empty() {
        return None;
    }
    let intervals = intervals(&columns(ranks, ks), n_threads);
    let share = |k: u32| n_within(ranks, k) as f64 / ranks.len() as f64;
    let point = |(&k, &interval)| RecallPoint { k, share: share(k), interval };
    let at: Vec<_> = ks.iter().zip(&intervals).map(point).collect();
    let mean = at.iter().map(|point| point.share).sum::<f64>() / ks.len() as f64;
    Some(Recalls { n: ranks.len(), at, mean, mean_interval: intervals[ks.len()] })
}

/// The recall of ranks at each k up to `max_k`, with Wilson's intervals; empty without ranks.
pub(super) fn curve(ranks: &[Option<u32>], max_k: u32) -> Vec<RecallPoint> {
    let point = |k: u32| {
        let n_hits = n_within(ranks, k);
        let interval = wilson(n_hits, ranks.len())?;
        Some(RecallPoint { k, share: n_hits as f64 / ranks.len() as f64, interval })
    };
    (1..=max_k).map_while(point).collect()
}

/// The number of ranks up to `k`.
fn n_within(ranks: &[Option<u32>], k: u32) -> usize {
    ranks.iter().filter(|rank| rank.is_some_and(|rank| rank <= k)).count()
}

/// The contribution of each query to Recall@k at each of `ks`, then the mean of these.
///
/// # Shapes
/// returns `[ks.len() + 1][n_queries]`
fn columns(ranks: &[Option<u32>], ks: &[u32]) -> Vec<Vec<f64>> {
    let hit = |rank: &Option<u32>, k: u32| f64::from(u8::from(rank.is_some_and(|rank| rank <= k)));
    let at = |k: &u32| ranks.iter().map(|rank| hit(rank, *k)).collect();
    let mut columns: Vec<Vec<f64>> = ks.iter().map(at).collect();
    let mean = |row: usize| columns.iter().map(|column| column[row]).sum::<f64>() / ks.len() as f64;
    columns.push((0..ranks.len()).map(mean).collect());
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_the_share_of_queries_within_k() {
        let recalls = recalls(&[Some(1), Some(5), Some(6), None], &[1, 5, 10], 1).unwrap();
        let shares: Vec<_> = recalls.at.iter().map(|point| (point.k, point.share)).collect();
        assert_eq!((shares, recalls.mean), (vec![(1, 0.25), (5, 0.5), (10, 0.75)], 0.5));
        assert!(recalls.mean_interval.low < 0.5 && recalls.mean_interval.high > 0.5);
        assert_eq!(super::recalls(&[], &[1], 1), None);
    }

    #[test]
    fn a_curve_has_every_k_and_its_interval() {
        let curve = curve(&[Some(1), Some(3), None, None], 4);
        let shares: Vec<_> = curve.iter().map(|point| (point.k, point.share)).collect();
        assert_eq!(shares, [(1, 0.25), (2, 0.25), (3, 0.5), (4, 0.5)]);
        assert_eq!(curve[0].interval, wilson(1, 4).unwrap());
        assert_eq!(super::curve(&[], 4), []);
    }
}
