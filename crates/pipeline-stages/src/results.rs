//! The results of an evaluation for each query or image, for comparisons.

use std::path::Path;

use pipeline_data::{DataError, ResultRow, Results, ResultsOf};
use pipeline_eval::RelevantRanks;

use crate::artifact::{PER_IMAGE, PER_QUERY};

/// The ranks of each row's relevant items.
pub fn relevant_ranks(results: &Results) -> Vec<RelevantRanks> {
    let ranks = |row: &ResultRow| RelevantRanks {
        n_in_pool: row.n_in_pool as usize,
        ranks: row.relevant_ranks.iter().map(|rank| *rank as usize).collect(),
    };
    results.rows.iter().map(ranks).collect()
}

/// The results of the evaluation whose artifact is `folder`; `None` if it has none.
///
/// # Errors
/// When they cannot be read.
pub fn read_results(folder: &Path, of: ResultsOf) -> Result<Option<Results>, DataError> {
    let path = folder.join(match of {
        ResultsOf::Queries => PER_QUERY,
        ResultsOf::Images => PER_IMAGE,
    });
    if path.exists() { pipeline_data::read_results(&path, of).map(Some) } else { Ok(None) }
}
