//! The ranking of one query with the ids and texts that people see.

/// The ranking of the images for one query.
#[derive(Debug, Clone, PartialEq)]
pub struct RankingRow {
    /// The query's id.
    pub query_id: Option<String>,
    /// Its text.
    pub query_text: String,
    /// The ids of its relevant images, in the pool or not.
    pub relevant: Vec<String>,
    /// The 1-based rank of the best relevant image; `None` if the pool has no relevant image.
    pub rank: Option<u32>,
    /// The ids of the first images, best first.
    pub top_ids: Vec<String>,
    /// Their scores.
    pub top_scores: Vec<f32>,
}
