//! Errors of comparing rows.

/// The reason why rows cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RankError {
    /// Queries and images have different widths.
    #[error("query embeddings have {d_queries} columns and image embeddings {d_images}: they cannot be compared")]
    Widths {
        /// Columns of the query embeddings.
        d_queries: usize,
        /// Columns of the image embeddings.
        d_images: usize,
    },
}
