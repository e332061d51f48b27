//! The figures and examples of an evaluation, computed once from its rankings.

use std::collections::BTreeMap;

use crate::{Bound, MetricName, Quantity, RankingRow, ks};

use super::gallery::{GalleryQuery, choose};
use super::histogram::Histogram;
use super::hubs::{Hubs, hubs};
use super::ranks::{RecallPoint, Recalls, curve, recalls};
use super::slices::{Slice, by_length, by_relevant};

/// The largest `k` of a curve.
const MAX_K: u32 = 100;

/// The options of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnalysisOptions {
    /// The most queries in the gallery.
    pub n_queries: usize,
    /// The number of images of each query that the gallery shows and over which hubs are counted, best first.
    pub n_top: usize,
    /// The most hubs.
    pub n_hubs: usize,
    /// The seed of the random queries in the gallery.
    pub seed: u64,
    /// The threads of the bootstrap; the results do not depend on them.
    pub n_threads: usize,
}

impl Default for AnalysisOptions {
    fn default() -> Self {
        Self { n_queries: 120, n_top: 10, n_hubs: 16, seed: 0, n_threads: 1 }
    }
}

/// An evaluation in figures and examples. Only queries that name relevant images count; hubs count all queries.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// The number of queries that name relevant images.
    pub n_labelled: usize,
    /// The `k` of the metrics, ascending.
    pub ks: Vec<u32>,
    /// Recall over these queries with intervals, if the metrics have no intervals, as those of older versions.
    pub recalls: Option<Recalls>,
    /// Recall at k = 1, 2, …; empty without queries that name relevant images.
    pub text_to_image: Vec<RecallPoint>,
    /// Recall of texts for images at the same k; empty if the evaluation did not search by image.
    pub image_to_text: Vec<RecallPoint>,
    /// The queries by the rank of their best relevant image.
    pub histogram: Histogram,
    /// Recall by the number of characters in the query's text.
    pub by_length: Vec<Slice>,
    /// Recall by the number of relevant images.
    pub by_relevant: Vec<Slice>,
    /// The [`AnalysisOptions::n_top`] of this analysis.
    pub n_top: usize,
    /// The queries to look at.
    pub gallery: Vec<GalleryQuery>,
    /// The images that are returned most.
    pub hubs: Hubs,
}

impl Analysis {
    /// Analyses the rankings and metrics of an evaluation. `image_ranks` are the ranks of the best relevant query for
    /// each image, if the evaluation searched by image.
    pub fn new(
        queries: &[RankingRow],
        image_ranks: Option<&[Option<u32>]>,
        metrics: &BTreeMap<String, f64>,
        options: &AnalysisOptions,
    ) -> Self {
        let labelled: Vec<usize> = (0..queries.len()).filter(|idx| !queries[*idx].relevant.is_empty()).collect();
        let rows: Vec<&RankingRow> = labelled.iter().map(|idx| &queries[*idx]).collect();
        let ranks: Vec<Option<u32>> = rows.iter().map(|query| query.rank).collect();
        let ks: Vec<u32> = ks(metrics).into_iter().filter_map(|k| k.try_into().ok()).collect();
        let has_intervals = MetricName::new(Quantity::MeanRecall).bound(Bound::Low).value_in(metrics).is_some();
        let pool_size = Quantity::PoolSize.value_in(metrics).map_or(u32::MAX, |size| size as u32);
        let max_k = MAX_K.min(pool_size.max(2));
        let &AnalysisOptions { n_queries, n_top, n_hubs, seed, n_threads } = options;
        Self {
            n_labelled: labelled.len(),
            recalls: if has_intervals { None } else { recalls(&ranks, &ks, n_threads) },
            text_to_image: curve(&ranks, max_k),
            image_to_text: curve(image_ranks.unwrap_or_default(), max_k),
            histogram: Histogram::new(&ranks, pool_size),
            by_length: by_length(&rows, &ks, n_threads),
            by_relevant: by_relevant(&rows, &ks, n_threads),
            ks,
            n_top,
            gallery: choose(queries, &labelled, n_queries, n_top, seed),
            hubs: hubs(queries, n_top, n_hubs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Query 1 names no relevant image; the others find theirs at ranks 1, 3, 5, …
    fn queries(n: usize) -> Vec<RankingRow> {
        let query = |idx: usize| RankingRow {
            query_id: Some(idx.to_string()),
            query_text: "红".repeat(idx + 1),
            relevant: if idx == 1 { vec![] } else { vec!["7".into()] },
            rank: (idx != 1).then_some(idx as u32 + 1),
            top_ids: vec!["9".into(), "7".into()],
            top_scores: vec![0.5, 0.25],
        };
        (0..n).map(query).collect()
    }

    fn metrics(pool_size: Option<u32>) -> BTreeMap<String, f64> {
        let recalls = ["mean_recall", "recall_at_5", "recall_at_1"].map(|name| (name.to_owned(), 0.5));
        recalls.into_iter().chain(pool_size.map(|size| ("pool_size".to_owned(), f64::from(size)))).collect()
    }

    #[test]
    fn queries_without_relevant_images_count_for_hubs_alone() {
        let analysis = Analysis::new(&queries(5), None, &metrics(Some(40)), &AnalysisOptions::default());
        assert_eq!(analysis.n_labelled, 4);
        let recall = |k: usize| (analysis.text_to_image[k - 1].k, analysis.text_to_image[k - 1].share);
        assert_eq!((recall(1), recall(2), recall(3), recall(40)), ((1, 0.25), (2, 0.25), (3, 0.5), (40, 1.0)));
        assert_eq!(analysis.histogram.bins.iter().map(|bin| bin.n).sum::<usize>(), 4);
        for slices in [&analysis.by_length, &analysis.by_relevant] {
            assert_eq!(slices.iter().map(|slice| slice.recalls.n).sum::<usize>(), 4);
        }
        let mut shown: Vec<_> = analysis.gallery.iter().map(|query| query.query_idx).collect();
        shown.sort_unstable();
        assert_eq!(shown, [0, 2, 3, 4]);
        assert!(analysis.gallery.iter().all(|query| query.n_hits == 1), "{:?}", analysis.gallery);
        assert_eq!(analysis.hubs.most[0].n_returned, 5);
    }

    #[test]
    fn both_curves_go_as_far_as_the_pool_and_not_further_than_people_look() {
        let of_pool = |pool_size| {
            let metrics = metrics(pool_size);
            let analysis = Analysis::new(&queries(3), Some(&[Some(2)]), &metrics, &AnalysisOptions::default());
            (analysis.text_to_image.len(), analysis.image_to_text.len())
        };
        assert_eq!([of_pool(Some(1)), of_pool(Some(40)), of_pool(None)], [(2, 2), (40, 40), (100, 100)]);
    }

    #[test]
    fn an_evaluation_without_images_or_labels_has_no_curve() {
        let unlabelled = &queries(2)[1..];
        for image_ranks in [None, Some(&[][..])] {
            let analysis = Analysis::new(unlabelled, image_ranks, &metrics(Some(0)), &AnalysisOptions::default());
            assert_eq!((analysis.n_labelled, analysis.text_to_image, analysis.image_to_text), (0, vec![], vec![]));
            assert!(analysis.by_length.is_empty() && analysis.gallery.is_empty());
        }
    }

    #[test]
    fn metrics_without_intervals_get_them_and_threads_change_nothing() {
        let (queries, old) = (queries(50), metrics(Some(40)));
        let mut new = old.clone();
        new.insert("mean_recall_low".to_owned(), 0.25);
        let with = |metrics, n_threads| {
            Analysis::new(&queries, None, metrics, &AnalysisOptions { n_threads, ..AnalysisOptions::default() })
        };
        let resampled = with(&old, 1);
        assert_eq!(resampled.ks, [1, 5]);
        assert_eq!(resampled.recalls.as_ref().map(|recalls| recalls.at.len()), Some(2));
        assert_eq!(with(&old, 3), resampled);
        assert_eq!(with(&new, 1), Analysis { recalls: None, ..resampled });
    }
}
