//! The recall of a ranking drawn at random: the level below which nothing was learned.

use std::collections::BTreeMap;

/// The expected recall of rankings drawn at random, over the same queries and pool as an evaluation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chance {
    /// `k` and the expected Recall@k, a fraction in 0..=1, for k = 1, 2, …
    pub at: Vec<(u32, f64)>,
    /// The mean over the `k` of the metrics.
    pub mean: f64,
}

impl Chance {
    /// The chance at each k up to `max_k`, and its mean over `ks`. `n_in_pool` is the number of relevant images in the
    /// pool for each query; `None` without queries or images.
    pub fn new(n_in_pool: &[u32], pool_size: u32, ks: &[u32], max_k: u32) -> Option<Self> {
        if n_in_pool.is_empty() || pool_size == 0 {
            return None;
        }
        let mut n_queries: BTreeMap<u32, usize> = BTreeMap::new();
        n_in_pool.iter().for_each(|n_relevant| *n_queries.entry(*n_relevant).or_default() += 1);
        let hit = |k: u32| {
            let hits = n_queries.iter().map(|(n_relevant, n)| *n as f64 * any_hit(*n_relevant, pool_size, k));
            hits.sum::<f64>() / n_in_pool.len() as f64
        };
        let mean = if ks.is_empty() { 0.0 } else { ks.iter().map(|k| hit(*k)).sum::<f64>() / ks.len() as f64 };
        let all = (1..=max_k.min(pool_size)).chain(ks.iter().copied().filter(|k| *k > max_k));
        Some(Self { at: all.map(|k| (k, hit(k))).collect(), mean })
    }
}

/// The probability that the first `k` of `pool_size` images in random order have one of `n_relevant`.
fn any_hit(n_relevant: u32, pool_size: u32, k: u32) -> f64 {
    let n_others = f64::from(pool_size.saturating_sub(n_relevant));
    let miss: f64 = (0..k.min(pool_size))
        .map(|drawn| ((n_others - f64::from(drawn)) / (f64::from(pool_size) - f64::from(drawn))).max(0.0))
        .product();
    1.0 - miss
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_the_share_of_orders_with_a_hit() {
        // Of 4 images one is relevant to the first query, two to the second, none to the third.
        let chance = Chance::new(&[1, 2, 0], 4, &[1, 2], 10).unwrap();
        let expected = [(1, (0.25 + 0.5) / 3.0), (2, (0.5 + 5.0 / 6.0) / 3.0), (3, (0.75 + 1.0) / 3.0), (4, 2.0 / 3.0)];
        assert_eq!(chance.at.len(), expected.len());
        for ((k, found), (expected_k, expected)) in chance.at.iter().zip(expected) {
            assert!(*k == expected_k && (found - expected).abs() < 1e-12, "{k}: {found} and {expected}");
        }
        assert!((chance.mean - (0.75 / 3.0 + (4.0 / 3.0) / 3.0) / 2.0).abs() < 1e-12);
        assert_eq!(Chance::new(&[], 4, &[1], 10), None);
        assert_eq!(Chance::new(&[1], 0, &[1], 10), None);
    }
}
