//! Recall@k as the MUGE benchmark defines it.

use super::Ranking;

/// The share of queries that find one of their images.
///
/// `Recall@k` is the fraction of queries, in 0..=1, with at least one relevant image among the first `k`. Any hit
/// counts, not the share of the relevant images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recall {
    /// `k` and `Recall@k`, in the order of the request.
    pub at: Vec<(usize, f64)>,
    /// The mean over `k`.
    pub mean: f64,
    /// The number of queries; 0 if there were no images to search.
    pub n_queries: usize,
    /// The number of queries with a relevant image among those searched; the others can only miss.
    pub n_answerable: usize,
    /// The number of images searched.
    pub pool_size: usize,
}

/// Measures recall at every `k` of `ks` over rankings of `pool_size` images.
///
/// Without images or queries every value is 0 and so is the number of queries, as in the baseline notebook.
pub fn recall_at(rankings: &[Ranking], ks: &[usize], pool_size: usize) -> Recall {
    let rankings = if pool_size == 0 { &[] } else { rankings };
    let n_within =
        |k: usize| rankings.iter().filter(|ranking| ranking.best_rank().is_some_and(|rank| rank <= k)).count();
    let fraction = |count: usize| if rankings.is_empty() { 0.0 } else { count as f64 / rankings.len() as f64 };
    let at: Vec<_> = ks.iter().map(|&k| (k, fraction(n_within(k)))).collect();
    let mean = if at.is_empty() { 0.0 } else { at.iter().map(|(_, recall)| recall).sum::<f64>() / at.len() as f64 };
    Recall { mean, at, n_queries: rankings.len(), n_answerable: n_within(usize::MAX), pool_size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(best_rank: Option<usize>) -> Ranking {
        Ranking { top: Vec::new(), relevant_ranks: best_rank.into_iter().collect() }
    }

    #[test]
    fn a_query_counts_when_its_best_image_is_among_the_first_k() {
        let rankings = [ranked(Some(1)), ranked(Some(5)), ranked(Some(6)), ranked(None)];
        let recall = recall_at(&rankings, &[1, 5, 10], 20);
        assert_eq!(recall.at, [(1, 0.25), (5, 0.5), (10, 0.75)]);
        assert_eq!(recall.mean, 0.5);
        assert_eq!((recall.n_queries, recall.n_answerable, recall.pool_size), (4, 3, 20));
    }

    #[test]
    fn without_images_or_queries_recall_is_zero_of_zero() {
        for (rankings, pool_size) in [(vec![ranked(None)], 0), (vec![], 3)] {
            let recall = recall_at(&rankings, &[1, 10], pool_size);
            assert_eq!((recall.at, recall.mean, recall.n_queries), (vec![(1, 0.0), (10, 0.0)], 0.0, 0));
        }
    }
}
