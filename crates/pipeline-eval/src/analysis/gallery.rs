//! The queries that a reader should see: the worst, the near misses, the best and some at random.

use crate::RankingRow;

use super::random::Random;

/// The reason why a query is in the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The best relevant image ranks lowest.
    Worst,
    /// The best relevant image ranks just below the shown images.
    Near,
    /// A relevant image ranks first, and most others follow.
    Best,
    /// Drawn at random.
    Random,
}

impl Group {
    /// All groups, in display order.
    pub const ALL: [Self; 4] = [Self::Worst, Self::Near, Self::Best, Self::Random];

    /// The group's name in the page's code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worst => "worst",
            Self::Near => "near",
            Self::Best => "best",
            Self::Random => "random",
        }
    }
}

/// A query of the gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GalleryQuery {
    /// Its index among all queries of the evaluation.
    pub query_idx: usize,
    /// The number of relevant images among the shown ones.
    pub n_hits: usize,
    /// Its groups, and its place in each.
    pub groups: Vec<(Group, usize)>,
}

/// Chooses at most `n_queries` among the `labelled` queries, given by index. Each is listed once, in the order of the
/// groups; `k` is the number of images that the gallery shows of each.
pub(super) fn choose(
    queries: &[RankingRow],
    labelled: &[usize],
    n_queries: usize,
    k: usize,
    seed: u64,
) -> Vec<GalleryQuery> {
    let n_each = n_queries / Group::ALL.len();
    let rows: Vec<&RankingRow> = labelled.iter().map(|idx| &queries[*idx]).collect();
    let mut shown: Vec<GalleryQuery> = Vec::new();
    for group in Group::ALL {
        for (place, idx) in members(&rows, group, n_each, k, seed).into_iter().enumerate() {
            let query_idx = labelled[idx];
            match shown.iter_mut().find(|query| query.query_idx == query_idx) {
                Some(query) => query.groups.push((group, place)),
                None => {
                    let groups = vec![(group, place)];
                    shown.push(GalleryQuery { query_idx, n_hits: n_hits(rows[idx], k), groups });
                }
            }
        }
    }
    shown
}

/// The positions of the queries of one group, the most telling first.
fn members(queries: &[&RankingRow], group: Group, n: usize, k: usize, seed: u64) -> Vec<usize> {
    let with_rank = |fits: &dyn Fn(usize) -> bool| -> Vec<usize> {
        let ranks = queries.iter().enumerate().filter_map(|(idx, query)| Some((idx, query.rank? as usize)));
        ranks.filter(|(_, rank)| fits(*rank)).map(|(idx, _)| idx).collect()
    };
    let rank = |idx: &usize| queries[*idx].rank.unwrap_or(u32::MAX);
    let mut members = match group {
        Group::Worst => {
            let mut misses = with_rank(&|rank| rank > k);
            misses.sort_by_key(|idx| std::cmp::Reverse(rank(idx)));
            misses
        }
        Group::Near => {
            let mut misses = with_rank(&|rank| rank > k);
            misses.sort_by_key(rank);
            misses
        }
        Group::Best => {
            let mut hits = with_rank(&|rank| rank == 1);
            hits.sort_by_key(|idx| std::cmp::Reverse(n_hits(queries[*idx], k)));
            hits
        }
        Group::Random => Random::new(seed).choose(queries.len(), n),
    };
    members.truncate(n);
    members
}

/// The number of relevant images among the first `k`.
fn n_hits(query: &RankingRow, k: usize) -> usize {
    query.top_ids.iter().take(k).filter(|image| query.relevant.contains(image)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_the_near_and_the_best_are_found() {
        let query = |id: usize, rank| RankingRow {
            query_id: Some(id.to_string()),
            query_text: String::new(),
            relevant: vec!["7".into()],
            rank,
            top_ids: vec![],
            top_scores: vec![],
        };
        let ranks = [Some(1), Some(11), Some(300), None, Some(4), Some(12)];
        let queries: Vec<_> = ranks.into_iter().enumerate().map(|(id, rank)| query(id, rank)).collect();
        let rows: Vec<_> = queries.iter().collect();
        assert_eq!(members(&rows, Group::Worst, 2, 10, 0), [2, 5]);
        assert_eq!(members(&rows, Group::Near, 2, 10, 0), [1, 5]);
        assert_eq!(members(&rows, Group::Best, 2, 10, 0), [0]);
        let shown = choose(&queries, &[0, 1, 2, 3, 4, 5], 8, 10, 0);
        let twice: Vec<_> = shown.iter().filter(|shown| shown.query_idx == 5).collect();
        assert_eq!(twice.len(), 1);
        assert_eq!(twice[0].groups[..2], [(Group::Worst, 1), (Group::Near, 1)]);
        let some = choose(&queries, &[2, 4], 8, 10, 0);
        assert!(some.iter().all(|shown| [2, 4].contains(&shown.query_idx)), "{some:?}");
    }
}
