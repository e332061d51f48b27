//! Retrieval: embeds features into the shared space, ranks images for queries and measures recall.

mod embed;
mod error;
mod lengths;
mod metrics;
mod pool;
mod rank;
mod recall;
mod search;
mod top;

pub use embed::embed;
pub use error::RetrievalError;
pub use metrics::{Measure, RelevantRanks, measure};
pub use rank::{Ranking, Similarity, rank};
pub use recall::{Recall, recall_at};

#[cfg(test)]
mod tests;
