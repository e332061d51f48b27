//! Two results side by side: their stages, their metrics, and whether a difference is more than chance.

mod metrics;
pub mod paired;
mod pairs;
mod past;
pub mod rows;
mod stages;

use pipeline_data::DataError;
use pipeline_store::StoreError;

pub use metrics::{Compared, MetricDifference, Significance, Signs, compare, differs_in_data};
pub use pairs::pairs;
pub use past::PastRun;
pub use stages::{Likeness, StageDifference, compare_stages};

/// Why two results cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Names leave open which stages are meant.
    #[error("no stage of the two runs that has metrics has the same name")]
    NoCommonStage {
        /// How to choose.
        choices: String,
    },
    /// The results of an evaluation are there but cannot be read.
    #[error(transparent)]
    Results(#[from] DataError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
