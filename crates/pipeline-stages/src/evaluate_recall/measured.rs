//! The results for each query or image, and their metrics.

use std::collections::BTreeSet;

use pipeline_core::{Digest, Metrics};
use pipeline_data::{QueryRow, ResultRow, Results};
use pipeline_eval::{Direction, MetricName, Quantity, measure};

use crate::artifact::Features;
use crate::results::relevant_ranks;

/// The individual results.
pub(super) struct Measured {
    /// A row for every query or image that counts.
    pub results: Results,
    /// The size of the searched pool.
    pub pool_size: usize,
    direction: Direction,
}

impl Measured {
    /// The images for queries: a query counts if it names relevant images, in the pool or not.
    pub fn of_queries<V>(
        queries: &[&QueryRow],
        images: &Features<V>,
        relevant: &[Vec<usize>],
        ranks: Vec<Vec<usize>>,
    ) -> Self {
        let rows = queries.iter().zip(relevant).zip(ranks).map(|((query, relevant), ranks)| ResultRow {
            id: query.id.clone(),
            text: query.text.clone(),
            n_relevant: n_distinct(query.image_ids.iter().flatten()) as u32,
            n_in_pool: n_distinct(relevant) as u32,
            relevant_ranks: narrowed(&ranks),
        });
        Self::new(Direction::TextToImage, rows, images.ids.iter().map(Option::as_deref))
    }

    /// The texts for images: an image counts if a query names it.
    pub fn of_images<V>(
        queries: &[&QueryRow],
        images: &Features<V>,
        relevant: &[Vec<usize>],
        ranks: Vec<Vec<usize>>,
    ) -> Self {
        let rows = images.ids.iter().zip(relevant).zip(ranks).map(|((id, relevant), ranks)| ResultRow {
            id: id.clone(),
            text: String::new(),
            n_relevant: relevant.len() as u32,
            n_in_pool: relevant.len() as u32,
            relevant_ranks: narrowed(&ranks),
        });
        Self::new(Direction::ImageToText, rows, queries.iter().map(|query| query.id.as_deref()))
    }

    fn new<'a>(
        direction: Direction,
        rows: impl Iterator<Item = ResultRow>,
        pool: impl ExactSizeIterator<Item = Option<&'a str>>,
    ) -> Self {
        let pool_size = pool.len();
        let rows = rows.filter(|row| row.n_relevant > 0 && pool_size > 0).collect();
        Self { results: Results { pool: digest(pool), rows }, pool_size, direction }
    }

    /// The metrics, with what was searched and how often. Where nothing counts, nothing is measured: a recall of 0
    /// would say that all was missed.
    pub fn metrics(&self, k: &[usize], n_threads: usize) -> Metrics {
        let Self { results: Results { rows, .. }, pool_size, direction } = self;
        let mut metrics = match rows.is_empty() {
            true => Metrics::new(),
            false => measure(&relevant_ranks(&self.results), k, (*direction, *pool_size), n_threads),
        };
        let mut count = |quantity: Quantity, n: usize| {
            let name = MetricName { direction: *direction, ..MetricName::new(quantity) };
            metrics.insert(name.to_string(), n as f64);
        };
        match direction {
            Direction::TextToImage => {
                count(Quantity::NQueries, rows.len());
                count(Quantity::NAnswerable, rows.iter().filter(|row| row.best_rank().is_some()).count());
            }
            Direction::ImageToText => count(Quantity::NImages, rows.len()),
        }
        count(Quantity::PoolSize, *pool_size);
        metrics
    }
}

/// For each image, the queries that name it, in their order.
///
/// # Shapes
/// relevant: for each query, rows of images; output: for each of the `n_images` images, indices into `relevant`
pub(super) fn inverted(relevant: &[Vec<usize>], n_images: usize) -> Vec<Vec<usize>> {
    let mut queries_of = vec![Vec::new(); n_images];
    for (query_idx, image_rows) in relevant.iter().enumerate() {
        for image_row in image_rows.iter().collect::<BTreeSet<_>>() {
            queries_of[*image_row].push(query_idx);
        }
    }
    queries_of
}

fn n_distinct<T: Ord>(all: impl IntoIterator<Item = T>) -> usize {
    all.into_iter().collect::<BTreeSet<_>>().len()
}

fn narrowed(ranks: &[usize]) -> Vec<u32> {
    ranks.iter().map(|rank| u32::try_from(*rank).unwrap_or(u32::MAX)).collect()
}

/// A digest of ids in their order, which identifies the pool.
fn digest<'a>(ids: impl Iterator<Item = Option<&'a str>>) -> String {
    let ids: Vec<_> = ids.collect();
    Digest::of(&serde_json::to_vec(&ids).expect("texts become JSON")).hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_looked_for_by_every_query_that_names_it() {
        assert_eq!(inverted(&[vec![2, 2, 0], vec![], vec![2]], 4), [vec![0], vec![], vec![0, 2], vec![]]);
    }

    #[test]
    fn queries_count_whether_or_not_what_they_name_is_in_the_pool() {
        let query = |ids: Option<Vec<&str>>| QueryRow {
            id: Some("q".into()),
            text: "红".into(),
            image_ids: ids.map(|ids| ids.into_iter().map(str::to_owned).collect()),
        };
        let queries = [query(Some(vec!["a", "x", "a"])), query(Some(vec!["x"])), query(Some(vec![])), query(None)];
        let queries: Vec<&QueryRow> = queries.iter().collect();
        let images = Features { ids: vec![Some("a".into())], vectors: pipeline_kernels::Matrix::zeros(1, 1) };
        let relevant = [vec![0, 0], vec![], vec![], vec![]];
        let ranks = vec![vec![1], vec![], vec![], vec![]];
        let measured = Measured::of_queries(&queries, &images, &relevant, ranks);
        let counts: Vec<_> = measured.results.rows.iter().map(|row| (row.n_relevant, row.n_in_pool)).collect();
        assert_eq!(counts, [(2, 1), (1, 0)]);
        assert_eq!(measured.metrics(&[1], 1)["recall_at_1"], 0.5);
        let unlabelled = Measured::of_queries(&queries[2..], &images, &[vec![], vec![]], vec![vec![], vec![]]);
        let names: Vec<_> = unlabelled.metrics(&[1], 1).into_keys().collect();
        assert_eq!(names, ["n_answerable", "n_queries", "pool_size"]);
    }
}
