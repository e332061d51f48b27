//! The queries of an evaluation beside its pool: which images are relevant to them, and where their texts lie.

use std::collections::HashMap;

use pipeline_core::{InputArtifact, StageError};
use pipeline_data::QueryRow;
use pipeline_kernels::Matrix;
use pipeline_models::checkpoint::Checkpoint;

use crate::artifact;
use crate::export::Side;
use crate::pooled;
use crate::relevance::has_text;
use crate::train_projection::must_align;

/// The longest example, in characters: a longer one says little on a button.
const MAX_EXAMPLE_CHARS: usize = 24;

/// The queries of an evaluation that have a text.
pub(crate) struct KnownQueries {
    rows: Vec<QueryRow>,
    /// The queries with a text, ascending.
    by_text: HashMap<String, Vec<usize>>,
    /// The queries that name an image, ascending.
    by_image: HashMap<String, Vec<usize>>,
    /// Their embeddings, once they are read: `[rows.len(), dim]`.
    texts: Option<Matrix>,
}

impl KnownQueries {
    /// The queries of an artifact.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn read(queries: &InputArtifact) -> Result<Self, StageError> {
        Ok(Self::of(artifact::queries(queries)?))
    }

    fn of(rows: Vec<QueryRow>) -> Self {
        let (mut by_text, mut by_image) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (row_idx, row) in rows.iter().enumerate().filter(|(_, row)| has_text(row)) {
            by_text.entry(row.text.clone()).or_default().push(row_idx);
            for id in row.image_ids.iter().flatten() {
                let queries = by_image.entry(id.clone()).or_default();
                // A query may name an image twice.
                if queries.last() != Some(&row_idx) {
                    queries.push(row_idx);
                }
            }
        }
        Self { rows, by_text, by_image, texts: None }
    }

    /// Also reads the text features of the queries.
    ///
    /// # Errors
    /// When they cannot be read, or are those of other queries.
    pub(crate) fn with_texts(
        mut self,
        text: &InputArtifact,
        heads: &Checkpoint,
        n_threads: usize,
    ) -> Result<Self, StageError> {
        let embedded = pooled::embedded_in_memory(text, heads, Side::Text, n_threads)?;
        must_align(&self.rows, &embedded)?;
        self.texts = Some(embedded.vectors);
        Ok(self)
    }

    /// The embeddings of the queries, if they were read.
    ///
    /// # Shapes
    /// `[n_queries, dim]`, also of those without a text
    pub(crate) fn texts(&self) -> Option<&Matrix> {
        self.texts.as_ref()
    }

    /// The query in a row.
    pub(crate) fn row(&self, row_idx: usize) -> &QueryRow {
        &self.rows[row_idx]
    }

    /// The rows of the queries with exactly this text, ascending.
    pub(crate) fn with_text(&self, text: &str) -> &[usize] {
        self.by_text.get(text).map_or(&[], Vec::as_slice)
    }

    /// The rows of the queries to which an image is relevant, ascending.
    pub(crate) fn of_image(&self, id: &str) -> &[usize] {
        self.by_image.get(id).map_or(&[], Vec::as_slice)
    }

    /// Texts to begin with: `n` of those that can be answered, evenly spaced in the order of the queries.
    pub(crate) fn examples(&self, n: usize, is_there: impl Fn(&str) -> bool) -> Vec<&str> {
        let is_first = |row_idx: usize| self.with_text(&self.rows[row_idx].text).first() == Some(&row_idx);
        let is_answerable = |row: &QueryRow| row.image_ids.iter().flatten().any(|id| is_there(id));
        let is_short = |text: &str| text.chars().count() <= MAX_EXAMPLE_CHARS;
        let usable = self.rows.iter().enumerate();
        let usable = usable.filter(|(row_idx, row)| has_text(row) && is_first(*row_idx) && is_answerable(row));
        let usable: Vec<&str> = usable.map(|(_, row)| row.text.as_str()).filter(|text| is_short(text)).collect();
        let n = n.min(usable.len());
        (0..n).map(|idx| usable[idx * usable.len() / n]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, ids: &[&str]) -> QueryRow {
        let image_ids = Some(ids.iter().map(|id| (*id).to_owned()).collect());
        QueryRow { id: None, text: text.to_owned(), image_ids }
    }

    #[test]
    fn queries_are_found_by_text_and_by_image() {
        let known = KnownQueries::of(vec![row("a", &["1", "1"]), row("", &["1"]), row("a", &["2"]), row("b", &["1"])]);
        assert_eq!((known.with_text("a"), known.with_text("")), (&[0, 2][..], &[][..]));
        assert_eq!((known.of_image("1"), known.of_image("3")), (&[0, 3][..], &[][..]));
    }

    #[test]
    fn examples_are_short_distinct_answerable_and_spread_over_all_queries() {
        let mut rows: Vec<QueryRow> = (0..10).map(|idx| row(&format!("text {idx}"), &["1"])).collect();
        rows.insert(1, row("text 0", &["1"]));
        rows.insert(2, row(&"long".repeat(9), &["1"]));
        rows.insert(3, row("unanswerable", &["elsewhere"]));
        let known = KnownQueries::of(rows);
        assert_eq!(known.examples(3, |id| id == "1"), ["text 0", "text 3", "text 6"]);
        assert_eq!(known.examples(99, |id| id == "1").len(), 10);
        assert!(known.examples(3, |_| false).is_empty());
    }
}
