//! Pairs texts with images.

use std::collections::HashSet;

use pipeline_core::StageError;
use pipeline_data::QueryRow;

use super::params::Pairs;
use crate::artifact::Features;
use crate::relevance::{has_text, names_images, other_forms, rows_by_id};

/// Fails unless the text features match the queries, row by row.
pub(crate) fn must_align<V>(queries: &[QueryRow], text: &Features<V>) -> Result<(), StageError> {
    let same = queries.len() == text.ids.len() && queries.iter().zip(&text.ids).all(|(row, id)| row.id == *id);
    if same {
        return Ok(());
    }
    let shown = |id: Option<&Option<String>>| match id {
        Some(Some(id)) => format!("`{id}`"),
        Some(None) => "no id".to_owned(),
        None => "absent".to_owned(),
    };
    let n_rows = queries.len().max(text.ids.len());
    let id = |row: usize| queries.get(row).map(|query| &query.id);
    let first = (0..n_rows).find(|row| id(*row) != text.ids.get(*row)).unwrap_or_default();
    Err(StageError::new(format!(
        "the text features ({} rows) are not those of the queries ({} rows): row {} is {} there and {} here",
        text.ids.len(),
        queries.len(),
        first + 1,
        shown(text.ids.get(first)),
        shown(id(first))
    ))
    .with_help("the inputs `queries` and `text` must come from the same queries"))
}

/// The training pairs of the queries with a text: (text row, image row) in the order of the queries and their ids. An
/// image that a query names twice makes one pair.
pub(super) fn pairs<V>(queries: &[QueryRow], images: &Features<V>, which: Pairs) -> Vec<(usize, usize)> {
    let rows = rows_by_id(images);
    let n_images = if which == Pairs::First { 1 } else { usize::MAX };
    let with_text = queries.iter().enumerate().filter(|(_, query)| !query.text.is_empty());
    with_text
        .flat_map(|(query_idx, query)| {
            let ids = query.image_ids.as_deref().unwrap_or_default();
            let mut seen = HashSet::new();
            let there = ids.iter().filter_map(|id| rows.get(id.as_str())).filter(move |row| seen.insert(**row));
            there.take(n_images).map(move |image_idx| (query_idx, *image_idx)).collect::<Vec<_>>()
        })
        .collect()
}

/// The number of queries without a pair, and the reasons; `None` when every query has one.
pub(super) fn left_out<V>(queries: &[QueryRow], images: &Features<V>) -> Option<String> {
    let rows = rows_by_id(images);
    let is_there = |query: &&QueryRow| query.image_ids.iter().flatten().any(|id| rows.contains_key(id.as_str()));
    let (with_text, without_text): (Vec<_>, Vec<_>) = queries.iter().partition(|query| has_text(query));
    let (labelled, unlabelled): (Vec<_>, Vec<_>) = with_text.into_iter().partition(|query| names_images(query));
    let n_not_there = labelled.iter().filter(|query| !is_there(query)).count();
    let reasons = [
        (without_text.len(), "without a text"),
        (unlabelled.len(), "without the ids of images"),
        (n_not_there, "whose images are not there"),
    ];
    let n_left_out: usize = reasons.iter().map(|(n, _)| n).sum();
    let named: Vec<String> =
        reasons.iter().filter(|(n, _)| *n > 0).map(|(n, reason)| format!("{n} {reason}")).collect();
    let forms = || if n_not_there > 0 { other_forms(queries, images) } else { String::new() };
    let message =
        || format!("{n_left_out} of {} queries are not trained on: {}{}", queries.len(), named.join(", "), forms());
    (n_left_out > 0).then(message)
}

#[cfg(test)]
mod tests {
    use pipeline_kernels::Matrix;

    use super::*;

    fn query(text: &str, ids: &[&str]) -> QueryRow {
        let image_ids = Some(ids.iter().map(|id| (*id).to_owned()).collect());
        QueryRow { id: Some("1".into()), text: text.into(), image_ids }
    }

    #[test]
    fn a_query_is_paired_with_its_first_image_that_is_there_or_with_all() {
        let ids = ["a", "b", "c"].map(|id| Some(id.to_owned())).to_vec();
        let images = Features { ids, vectors: Matrix::zeros(3, 1) };
        let queries =
            [query("红色", &["x", "c", "c", "a", "c"]), query("", &["b"]), query("猫", &["x"]), query("狗", &["b"])];
        assert_eq!(pairs(&queries, &images, Pairs::First), [(0, 2), (3, 1)]);
        assert_eq!(pairs(&queries, &images, Pairs::All), [(0, 2), (0, 0), (3, 1)]);
    }

    #[test]
    fn queries_without_a_pair_are_counted_by_their_reason() {
        let images = Features { ids: vec![Some("a".to_owned())], vectors: Matrix::zeros(1, 1) };
        let queries =
            [query("红", &["x", "a"]), query("", &["a"]), query("猫", &["x"]), query("狗", &["y"]), query("鱼", &[])];
        assert_eq!(left_out(&queries[..1], &images), None);
        assert_eq!(
            left_out(&queries, &images).unwrap(),
            "4 of 5 queries are not trained on: 1 without a text, 1 without the ids of images, 2 whose images are not \
            there"
        );
    }
}
