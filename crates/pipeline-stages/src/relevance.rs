//! The relevance of images to queries, as rows of a pool.

use std::collections::{HashMap, HashSet};

use pipeline_data::{ImageIdPart, QueryRow};

use crate::artifact::Features;
use crate::unicode_forms;

/// Selected queries, with their relevant images.
pub(crate) struct Asked {
    /// The rows of the queries, ascending.
    pub(crate) rows: Vec<usize>,
    /// For each of them, the rows of its relevant images in the pool.
    pub(crate) relevant: Vec<Vec<usize>>,
}

impl Asked {
    /// The queries that `is_asked` selects.
    pub(crate) fn new<V>(queries: &[QueryRow], images: &Features<V>, is_asked: impl Fn(&QueryRow) -> bool) -> Self {
        let image_rows = rows_by_id(images);
        let rows: Vec<usize> = (0..queries.len()).filter(|row_idx| is_asked(&queries[*row_idx])).collect();
        let relevant = rows.iter().map(|row_idx| {
            let ids = queries[*row_idx].image_ids.as_deref().unwrap_or_default();
            ids.iter().filter_map(|id| image_rows.get(id.as_str()).copied()).collect()
        });
        Self { relevant: relevant.collect(), rows }
    }
}

/// The rows of images by id.
pub(crate) fn rows_by_id<V>(images: &Features<V>) -> HashMap<&str, usize> {
    images.ids.iter().enumerate().filter_map(|(row_idx, id)| Some((id.as_deref()?, row_idx))).collect()
}

/// The first id that a query names and the first id of an image, for messages when none match.
pub(crate) fn ids_that_do_not_meet<V>(queries: &[QueryRow], images: &Features<V>) -> String {
    let named = queries.iter().flat_map(|query| query.image_ids.iter().flatten()).next();
    let there = images.ids.iter().flatten().next();
    match (named, there) {
        (Some(named), Some(there)) => {
            let form = other_forms(queries, images);
            let way = if form.is_empty() { way_to_meet(queries, images) } else { form };
            format!(" (the first query names `{named}`, the first image is `{there}`){way}")
        }
        _ => String::new(),
    }
}

/// A note of an id that a query names and that is there in another Unicode form; empty where there is none.
pub(crate) fn other_forms<V>(queries: &[QueryRow], images: &Features<V>) -> String {
    let rows = rows_by_id(images);
    let named = queries.iter().flat_map(|query| query.image_ids.iter().flatten()).map(String::as_str);
    unicode_forms::note(named.filter(|id| !rows.contains_key(id)), images.ids.iter().flatten().map(String::as_str))
}

/// Advice where ids would meet without the folders and endings of files.
fn way_to_meet<V>(queries: &[QueryRow], images: &Features<V>) -> String {
    fn stem(id: &str) -> &str {
        ImageIdPart::Stem.of(id)
    }
    let of_images = || images.ids.iter().flatten().map(String::as_str);
    let named = || queries.iter().flat_map(|query| query.image_ids.iter().flatten()).map(String::as_str);
    let stems: HashSet<&str> = of_images().map(stem).collect();
    if !named().any(|id| stems.contains(stem(id))) {
        return String::new();
    }
    let has_more = |id: &str| stem(id) != id;
    let places = [
        of_images().any(has_more).then_some("where the folder or the tars of images are named"),
        named().any(has_more).then_some("in the params of `load-queries`"),
    ];
    let places: Vec<&str> = places.into_iter().flatten().collect();
    format!("; `image_id: stem` {} leaves out folders and endings", places.join(" and "))
}

/// Whether a query can be encoded.
pub(crate) fn has_text(query: &QueryRow) -> bool {
    !query.text.is_empty()
}

/// Whether a query counts in a metric: it names relevant images, in the pool or not.
pub(crate) fn names_images(query: &QueryRow) -> bool {
    query.image_ids.as_ref().is_some_and(|ids| !ids.is_empty())
}
