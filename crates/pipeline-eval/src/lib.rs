//! Ranks images for queries, measures the rankings, and tests differences for significance.
//!
//! Knows vectors, ranks and numbers: no encoder, no file and no page.
//!
//! ```
//! use pipeline_eval::{Similarity, rank};
//! use pipeline_kernels::Matrix;
//!
//! let queries = Matrix::new(1, 2, vec![1.0, 0.0]);
//! let images = Matrix::new(2, 2, vec![0.0, 1.0, 1.0, 0.0]);
//! let rankings = rank(&queries, &images, &[vec![1]], 10, Similarity::Cosine, 1).unwrap();
//! assert_eq!(rankings[0].best_rank(), Some(1));
//! ```

pub mod analysis;
mod error;
mod metric_name;
mod metrics;
mod pool;
mod rank;
mod ranking;
mod ranking_row;
mod recall;
mod search;
mod searcher;
pub mod statistics;
mod top;

pub use error::RankError;
pub use metric_name::{Bound, Direction, HeldOutMetric, MetricName, Quantity, Unit, better, ks};
pub use metrics::{Measure, RelevantRanks, measure};
pub use rank::{rank, rank_by};
pub use ranking::{Ranking, Similarity};
pub use ranking_row::RankingRow;
pub use recall::{Recall, recall_at};
pub use searcher::{Pass, SearchError, Searcher, Seen};

#[cfg(test)]
#[path = "../../pipeline-kernels/src/fixtures.rs"]
mod fixtures;
#[cfg(test)]
mod searcher_tests;
#[cfg(test)]
mod tests;
