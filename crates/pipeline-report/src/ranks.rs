//! Recall from ranks: at each k, on average, with intervals, and against another run query by query.

use std::collections::BTreeMap;

use pipeline_data::RankingRow;
use pipeline_nn::statistics::{Interval, intervals};

/// How often something was found among the first k.
pub(crate) fn n_within<'a>(ranks: impl Iterator<Item = &'a Option<u32>>, k: u32) -> usize {
    ranks.filter(|rank| rank.is_some_and(|rank| rank <= k)).count()
}

/// The share of each Recall@k and their mean, with intervals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recalls {
    /// Queries.
    pub(crate) n: usize,
    /// Recall@k by k, rising.
    pub(crate) at: Vec<(u32, f64, Interval)>,
    /// Their mean.
    pub(crate) mean: f64,
    pub(crate) mean_interval: Interval,
}

/// Recall of ranks at each of `ks`; none without ranks or ks.
pub(crate) fn recalls(ranks: &[Option<u32>], ks: &[u32]) -> Option<Recalls> {
    if ranks.is_empty() || ks.is_empty() {
        return None;
    }
    let intervals = intervals(&columns(ranks.len(), ks, |row, k| hit(ranks[row], k)), n_threads());
    let share = |k: u32| n_within(ranks.iter(), k) as f64 / ranks.len() as f64;
    let at: Vec<_> = ks.iter().zip(&intervals).map(|(k, interval)| (*k, share(*k), *interval)).collect();
    let mean = at.iter().map(|(_, share, _)| share).sum::<f64>() / ks.len() as f64;
    Some(Recalls { n: ranks.len(), at, mean, mean_interval: intervals[ks.len()] })
}

/// What each row counts for Recall@k at each of `ks`, then the mean of these.
///
/// # Shapes
/// returns `[ks.len() + 1][n_rows]`
fn columns(n_rows: usize, ks: &[u32], value: impl Fn(usize, u32) -> f64) -> Vec<Vec<f64>> {
    let at = |k: &u32| (0..n_rows).map(|row| value(row, *k)).collect();
    let mut columns: Vec<Vec<f64>> = ks.iter().map(at).collect();
    columns
        .push((0..n_rows).map(|row| columns.iter().map(|column| column[row]).sum::<f64>() / ks.len() as f64).collect());
    columns
}

fn hit(rank: Option<u32>, k: u32) -> f64 {
    f64::from(u8::from(rank.is_some_and(|rank| rank <= k)))
}

fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A difference of a metric between two runs over the same queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Difference {
    pub(crate) value: f64,
    /// The paired interval.
    pub(crate) interval: Interval,
}

/// The paired differences `ours - theirs` of each Recall@k, then of their mean; none when no query is in both.
pub(crate) fn paired(ours: &[&RankingRow], theirs: &[&RankingRow], ks: &[u32]) -> Vec<Difference> {
    let by_id: BTreeMap<_, _> = theirs.iter().map(|query| (query_key(query), query.rank)).collect();
    let pairs: Vec<_> = ours.iter().filter_map(|query| Some((query.rank, *by_id.get(&query_key(query))?))).collect();
    if pairs.is_empty() {
        return Vec::new();
    }
    let columns = columns(pairs.len(), ks, |row, k| hit(pairs[row].0, k) - hit(pairs[row].1, k));
    let mean = |column: &Vec<f64>| column.iter().sum::<f64>() / pairs.len() as f64;
    let intervals = intervals(&columns, n_threads());
    columns.iter().zip(intervals).map(|(column, interval)| Difference { value: mean(column), interval }).collect()
}

/// What names a query in both runs: its id, else its text.
fn query_key(query: &RankingRow) -> (&str, &str) {
    match &query.query_id {
        Some(id) => (id, ""),
        None => ("", &query.query_text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(id: &str, rank: Option<u32>) -> RankingRow {
        let relevant = vec!["7".to_owned()];
        RankingRow {
            query_id: Some(id.into()),
            query_text: "红".into(),
            relevant,
            rank,
            top_ids: vec![],
            top_scores: vec![],
        }
    }

    #[test]
    fn recall_is_the_share_of_queries_within_k() {
        let recalls = recalls(&[Some(1), Some(5), Some(6), None], &[1, 5, 10]).unwrap();
        let shares: Vec<_> = recalls.at.iter().map(|(k, share, _)| (*k, *share)).collect();
        assert_eq!((shares, recalls.mean), (vec![(1, 0.25), (5, 0.5), (10, 0.75)], 0.5));
        assert!(recalls.mean_interval.low < 0.5 && recalls.mean_interval.high > 0.5);
        assert_eq!(super::recalls(&[], &[1]), None);
    }

    #[test]
    fn runs_are_compared_query_by_query() {
        let queries: Vec<_> = (0..40).map(|idx| query(&idx.to_string(), (idx % 2 == 0).then_some(1))).collect();
        let better: Vec<_> = queries.iter().map(|row| query(row.query_id.as_ref().unwrap(), Some(1))).collect();
        let [ours, theirs] = [&better, &queries].map(|rows| rows.iter().collect::<Vec<_>>());
        let differences = paired(&ours, &theirs, &[1, 10]);
        assert_eq!(differences.len(), 3);
        assert_eq!(differences[0].value, 0.5);
        assert!(differences[2].interval.low > 0.3, "{differences:?}");
        assert!(paired(&ours, &[], &[1]).is_empty());
    }
}
