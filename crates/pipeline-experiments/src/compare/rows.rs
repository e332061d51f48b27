//! The results of two evaluations, row by row in the same order.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_data::{ResultRow, Results, ResultsOf};
use pipeline_store::Store;

use super::{CompareError, Side};
use crate::causes::in_one_line;

/// The results of a side, row by row. The inner error says why they are missing and how to recompute them.
///
/// # Errors
/// When they exist but cannot be read.
pub fn read(store: &Store, side: Side<'_>, of: ResultsOf) -> Result<Result<Results, String>, CompareError> {
    let Side { run, stage: id } = side;
    let back = || {
        let (folder, id_of_run) = (store.artifacts().display(), &run.info.id);
        let command = if run.point.is_some() { "sweep" } else { "run" };
        format!(
            "`pipeline {command} {folder}/runs/{id_of_run}/spec.yaml --artifacts {folder} --force {id}` brings them \
            back"
        )
    };
    let name = run.name();
    let gone = |why: &str| Ok(Err(format!("the results of `{id}` in run {name} {why}; {}", back())));
    let Some(tree) = run.result(id).and_then(|result| result.tree()) else {
        return gone("are not remembered any more");
    };
    let open = match store.cas().open(tree) {
        Ok(open) => open,
        Err(error) => return gone(&format!("were collected or lost ({})", in_one_line(&error))),
    };
    match pipeline_stages::read_results(open.folder(), of)? {
        Some(results) => Ok(Ok(results)),
        None => gone("were not kept, since an older version made them"),
    }
}

/// The later results in the order of the earlier ones, or a description of the other data.
///
/// # Errors
/// When the pools or the queries differ.
pub fn aligned(earlier: &Results, later: Results) -> Result<Results, String> {
    if earlier.pool != later.pool {
        return Err("measured on another pool (other ids, or in another order)".to_owned());
    }
    matched(earlier, later).ok_or_else(|| "measured on other queries (other ids)".to_owned())
}

/// The later rows in the order of the earlier ones; `None` when they are of other queries.
///
/// Rows in the same order match directly; otherwise each id must be unique.
fn matched(earlier: &Results, mut later: Results) -> Option<Results> {
    let name = |row: &ResultRow| (row.id.clone(), row.text.clone());
    if earlier.rows.len() != later.rows.len() {
        return None;
    }
    if earlier.rows.iter().map(name).eq(later.rows.iter().map(name)) {
        return Some(later);
    }
    let is_unique = |rows: &[ResultRow]| rows.iter().map(name).collect::<BTreeSet<_>>().len() == rows.len();
    if !is_unique(&earlier.rows) || !is_unique(&later.rows) {
        return None;
    }
    let mut by_name: BTreeMap<_, _> = later.rows.into_iter().map(|row| (name(&row), row)).collect();
    later.rows = earlier.rows.iter().map(|row| by_name.remove(&name(row))).collect::<Option<Vec<_>>>()?;
    Some(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(ids: &[&str]) -> Results {
        let row = |id: &&str| ResultRow { id: Some((*id).to_owned()), ..ResultRow::default() };
        Results { pool: String::new(), rows: ids.iter().map(row).collect() }
    }

    #[test]
    fn queries_are_matched_by_their_ids() {
        let earlier = results(&["a", "b", "c"]);
        assert_eq!(matched(&earlier, results(&["c", "a", "b"])), Some(results(&["a", "b", "c"])));
        assert_eq!(matched(&earlier, results(&["a", "b"])), None);
        assert_eq!(matched(&earlier, results(&["a", "b", "d"])), None);
        assert_eq!(matched(&results(&["a", "a", "b"]), results(&["b", "a", "a"])), None, "which is which is not known");
        assert_eq!(matched(&results(&["a", "a"]), results(&["a", "a"])), Some(results(&["a", "a"])));
    }
}
