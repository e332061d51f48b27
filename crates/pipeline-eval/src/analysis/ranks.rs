//! Recall from ranks: at each k and on average, with intervals.

use crate::statistics::{Interval, intervals};

/// The number of ranks up to `k`.
pub fn n_within<'a>(ranks: impl Iterator<Item = &'a Option<u32>>, k: u32) -> usize {
    ranks.filter(|rank| rank.is_some_and(|rank| rank <= k)).count()
}

/// Recall@k and its mean over k, with intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalls {
    /// The number of queries.
    pub n: usize,
    /// `k`, Recall@k and its interval, by ascending `k`.
    pub at: Vec<(u32, f64, Interval)>,
    /// Their mean.
    pub mean: f64,
    /// The interval of the mean.
    pub mean_interval: Interval,
}

/// The recalls of ranks at each of `ks`; `None` without ranks or ks.
pub fn recalls(ranks: &[Option<u32>], ks: &[u32]) -> Option<Recalls> {
    if ranks.is_empty() || ks.is_empty() {
        return None;
    }
    let intervals = intervals(&columns(ranks, ks), n_threads());
    let share = |k: u32| n_within(ranks.iter(), k) as f64 / ranks.len() as f64;
    let at: Vec<_> = ks.iter().zip(&intervals).map(|(k, interval)| (*k, share(*k), *interval)).collect();
    let mean = at.iter().map(|(_, share, _)| share).sum::<f64>() / ks.len() as f64;
    Some(Recalls { n: ranks.len(), at, mean, mean_interval: intervals[ks.len()] })
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

fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_the_share_of_queries_within_k() {
        let recalls = recalls(&[Some(1), Some(5), Some(6), None], &[1, 5, 10]).unwrap();
        let shares: Vec<_> = recalls.at.iter().map(|(k, share, _)| (*k, *share)).collect();
        assert_eq!((shares, recalls.mean), (vec![(1, 0.25), (5, 0.5), (10, 0.75)], 0.5));
        assert!(recalls.mean_interval.low < 0.5 && recalls.mean_interval.high > 0.5);
        assert_eq!(super::recalls(&[], &[1]), None);
    }
}
