//! Recall by kind of query: by the length of the text and by the number of relevant images.

use crate::RankingRow;

use super::ranks::{Recalls, recalls};

/// Recall over the queries of one slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// The bounds of the slice, for people.
    pub name: String,
    /// The recalls of its queries.
    pub recalls: Recalls,
}

/// The upper bounds of bins of query lengths, in characters; each bin begins after the one before.
const LENGTHS: [usize; 7] = [2, 4, 6, 8, 12, 20, usize::MAX];
/// The upper bounds of bins of numbers of relevant images.
const RELEVANTS: [usize; 6] = [1, 2, 4, 8, 16, usize::MAX];

/// Slices by the number of characters in the query's text.
pub(super) fn by_length(queries: &[&RankingRow], ks: &[u32], n_threads: usize) -> Vec<Slice> {
    slices(queries, &LENGTHS, |query| query.query_text.chars().count(), |ranks| recalls(ranks, ks, n_threads))
}

/// Slices by the number of relevant images that a query names.
pub(super) fn by_relevant(queries: &[&RankingRow], ks: &[u32], n_threads: usize) -> Vec<Slice> {
    slices(queries, &RELEVANTS, |query| query.relevant.len(), |ranks| recalls(ranks, ks, n_threads))
}

/// The slices with queries, by the bins of a size.
fn slices(
    queries: &[&RankingRow],
    bounds: &[usize],
    size: impl Fn(&RankingRow) -> usize,
    recalls: impl Fn(&[Option<u32>]) -> Option<Recalls>,
) -> Vec<Slice> {
    let mut first = 0;
    let mut slices = Vec::new();
    for &last in bounds {
        let ranks: Vec<_> =
            queries.iter().filter(|query| (first..=last).contains(&size(query))).map(|query| query.rank).collect();
        let name = match (first.max(1), last) {
            (first, usize::MAX) => format!("{first} or more"),
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}–{last}"),
        };
        slices.extend(recalls(&ranks).map(|recalls| Slice { name, recalls }));
        first = last.saturating_add(1);
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_is_in_one_slice() {
        let query = |text: &str, n_relevant| RankingRow {
            query_id: None,
            query_text: text.into(),
            relevant: vec!["7".into(); n_relevant],
            rank: Some(1),
            top_ids: vec![],
            top_scores: vec![],
        };
        let queries = [query("红", 1), query("红色短裙", 2), query(&"长".repeat(30), 40)];
        let queries: Vec<_> = queries.iter().collect();
        let names =
            |slices: Vec<Slice>| slices.into_iter().map(|slice| (slice.name, slice.recalls.n)).collect::<Vec<_>>();
        let expect = |names: [&str; 3]| names.map(|name| (name.to_owned(), 1)).to_vec();
        assert_eq!(names(by_length(&queries, &[1], 1)), expect(["1–2", "3–4", "21 or more"]));
        assert_eq!(names(by_relevant(&queries, &[1], 1)), expect(["1", "2", "17 or more"]));
    }
}
