//! The rows of a shard without repetition: equal ones are encoded once.

use std::collections::HashMap;

use pipeline_core::Digest;

use crate::extraction::Rows;

/// A row that differs from all others of its shard.
pub(crate) struct DistinctRow {
    /// The digest of everything that its vector depends on beside the encoder.
    pub(crate) content: Digest,
    /// The indices of the rows that are equal to it, its own first.
    pub(crate) places: Vec<usize>,
    /// The ids of its tokens once it is split into them; empty for images.
    pub(crate) ids: Vec<u32>,
}

/// The distinct rows, in the order of computation.
pub(crate) fn distinct_rows(rows: &Rows<'_>) -> Vec<DistinctRow> {
    let mut distinct: Vec<DistinctRow> = Vec::new();
    let mut idx_of = HashMap::new();
    for &row_idx in &rows.order {
        let content = rows.contents[row_idx];
        let idx = *idx_of.entry(content).or_insert(distinct.len());
        if idx == distinct.len() {
            distinct.push(DistinctRow { content, places: Vec::new(), ids: Vec::new() });
        }
        distinct[idx].places.push(row_idx);
    }
    distinct
}
