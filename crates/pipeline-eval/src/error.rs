//! Errors of comparing rows.

use std::io;

use super::searcher::SearchError;

/// The reason why rows cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// Queries and images have different widths.
    #[error("query embeddings have {d_queries} columns and image embeddings {d_images}: they cannot be compared")]
    Widths {
        /// Columns of the query embeddings.
        d_queries: usize,
        /// Columns of the image embeddings.
        d_images: usize,
    },
    /// Rows cannot be read.
    #[error("the embeddings cannot be read")]
    Read(#[from] io::Error),
    /// A searcher failed.
    #[error("the images cannot be searched")]
    Search(#[source] SearchError),
}
