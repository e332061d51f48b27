//! Why rows cannot be compared.

/// Why rows cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetrievalError {
    /// The features do not fit the head.
    #[error(
        "the features have {d_features} columns, but the projection head takes {d_head}: was it trained on others?"
    )]
    Features {
        /// Columns of the features.
        d_features: usize,
        /// Inputs of the head.
        d_head: usize,
    },
    /// Queries and images are of different widths.
    #[error("query embeddings have {d_queries} columns and image embeddings {d_images}: they cannot be compared")]
    Embeddings {
        /// Columns of the query embeddings.
        d_queries: usize,
        /// Columns of the image embeddings.
        d_images: usize,
    },
}
