//! The queries that one of two rankings answers better: those that were won, and those that were lost.

use std::cmp::Ordering;

use crate::RankingRow;

/// The queries that a later ranking answers better or worse than an earlier one. A query is won when its best relevant
/// image crosses more of the `k` of the metrics, lost when it crosses fewer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The number of queries that were won.
    pub n_won: usize,
    /// The number of queries that were lost.
    pub n_lost: usize,
    /// The number of queries that name relevant images and were neither won nor lost.
    pub n_same: usize,
    /// The indices of the queries that were won most clearly.
    pub won: Vec<usize>,
    /// The indices of the queries that were lost most clearly.
    pub lost: Vec<usize>,
}

impl Changes {
    /// Compares two rankings of the same queries in the same order; lists at most `n` of each side. Without `ks`, every
    /// better rank counts.
    pub fn new(earlier: &[RankingRow], later: &[RankingRow], ks: &[u32], n: usize) -> Self {
        let mut moved: Vec<(usize, usize, f64)> = Vec::new();
        let mut changes = Self::default();
        let mut lost = Vec::new();
        let rows = earlier.iter().zip(later).enumerate().filter(|(_, (_, later))| !later.relevant.is_empty());
        for (idx, (earlier, later)) in rows {
            let (before, after) = (n_crossed(earlier.rank, ks), n_crossed(later.rank, ks));
            let way = log_rank(earlier.rank) - log_rank(later.rank);
            let side = if ks.is_empty() { way.total_cmp(&0.0) } else { after.cmp(&before) };
            match side {
                Ordering::Greater => moved.push((idx, after.abs_diff(before), way)),
                Ordering::Less => lost.push((idx, after.abs_diff(before), -way)),
                Ordering::Equal => changes.n_same += 1,
            }
        }
        (changes.n_won, changes.n_lost) = (moved.len(), lost.len());
        (changes.won, changes.lost) = (clearest(moved, n), clearest(lost, n));
        changes
    }
}

/// The `k` at which a query with this best rank counts as a hit.
fn n_crossed(rank: Option<u32>, ks: &[u32]) -> usize {
    ks.iter().filter(|k| rank.is_some_and(|rank| rank <= **k)).count()
}

fn log_rank(rank: Option<u32>) -> f64 {
    f64::from(rank.unwrap_or(u32::MAX)).ln()
}

/// The first `n` indices by the `k` crossed, then by the way in ranks.
fn clearest(mut moved: Vec<(usize, usize, f64)>, n: usize) -> Vec<usize> {
    moved.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.total_cmp(&a.2)).then(a.0.cmp(&b.0)));
    moved.into_iter().take(n).map(|(idx, ..)| idx).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ranks: &[Option<u32>]) -> Vec<RankingRow> {
        let row = |rank: &Option<u32>| RankingRow {
            query_id: None,
            query_text: String::new(),
            relevant: vec!["7".into()],
            rank: *rank,
            top_ids: vec![],
            top_scores: vec![],
        };
        ranks.iter().map(row).collect()
    }

    #[test]
    fn a_query_is_won_where_it_crosses_more_ks_and_the_clearest_stand_first() {
        let earlier = rows(&[Some(11), Some(2), Some(400), Some(300), None, Some(1), Some(7)]);
        let later = rows(&[Some(10), Some(40), Some(12), Some(1), None, Some(5), Some(6)]);
        let changes = Changes::new(&earlier, &later, &[1, 5, 10], 9);
        assert_eq!((changes.won.as_slice(), changes.lost.as_slice()), (&[3, 0][..], &[1, 5][..]));
        assert_eq!((changes.n_won, changes.n_lost, changes.n_same), (2, 2, 3), "400 to 12 crosses nothing");
        let some = Changes::new(&earlier, &later, &[1, 5, 10], 1);
        assert_eq!((some.won.as_slice(), some.n_won), (&[3][..], 2));
        let by_rank = Changes::new(&earlier, &later, &[], 9);
        assert_eq!((by_rank.won.as_slice(), by_rank.n_same), (&[3, 2, 6, 0][..], 1));
    }

    #[test]
    fn queries_that_name_no_relevant_image_do_not_count() {
        let (earlier, mut later) = (rows(&[Some(9)]), rows(&[Some(1)]));
        later[0].relevant.clear();
        assert_eq!(Changes::new(&earlier, &later, &[1], 9), Changes::default());
    }
}
