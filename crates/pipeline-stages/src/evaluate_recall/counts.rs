//! The queries that do not count in an evaluation, or cannot be answered, for its warnings.

use pipeline_core::{Metrics, StageContext};
use pipeline_data::QueryRow;
use pipeline_eval::Quantity;

use crate::relevance::{has_text, names_images};

/// Queries by whether they count.
pub(super) struct Counts {
    n_queries: usize,
    n_without_text: usize,
    /// Among those with a text.
    n_without_labels: usize,
}

impl Counts {
    /// Counts all queries of a split.
    pub(super) fn of(queries: &[QueryRow]) -> Self {
        let n_without_text = queries.iter().filter(|query| !has_text(query)).count();
        let n_without_labels = queries.iter().filter(|query| has_text(query) && !names_images(query)).count();
        Self { n_queries: queries.len(), n_without_text, n_without_labels }
    }

    /// Warns of queries that do not count, or cannot be answered. Where none can, `ids` shows examples of both sides;
    /// else `forms` says whether some differ by their form alone.
    pub(super) fn warn(
        &self,
        context: &StageContext<'_>,
        metrics: &Metrics,
        ids: impl FnOnce() -> String,
        forms: impl FnOnce() -> String,
    ) {
        let Self { n_queries, n_without_text, n_without_labels } = *self;
        let warn = |message: String| context.host.warn(message);
        if n_without_text > 0 {
            warn(format!("{n_without_text} of {n_queries} queries have no text: they are not ranked and do not count"));
        }
        let metric = |quantity: Quantity| metrics[&quantity.to_string()];
        let (n_labelled, n_answerable) = (metric(Quantity::NQueries), metric(Quantity::NAnswerable));
        if n_labelled == 0.0 {
            warn("no labels: no query with a text names its relevant images, so that no recall is measured".into());
        } else if n_without_labels > 0 {
            warn(format!("{n_without_labels} of {n_queries} queries name no relevant images and do not count"));
        }
        if n_answerable < n_labelled {
            let ids = if n_answerable == 0.0 { ids() } else { forms() };
            warn(format!(
                "{} of {n_labelled} queries have no relevant image among the {} of the pool and count as misses{ids}",
                n_labelled - n_answerable,
                metric(Quantity::PoolSize)
            ));
        }
    }
}
