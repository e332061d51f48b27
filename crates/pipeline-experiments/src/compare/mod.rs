//! Two results side by side: their stages, their metrics, and whether a difference is significant.

mod choice;
mod metrics;
pub mod paired;
pub mod rows;
mod stages;

use pipeline_core::{Metrics, StageId};
use pipeline_data::DataError;
use pipeline_store::StoreError;

use crate::recorded::RecordedRun;

pub use choice::{Choice, pairs};
pub use metrics::{Compared, MetricDifference, Significance, Signs, compare, differs_in_data};
pub use stages::{Likeness, StageDifference, compare_stages};

/// A side of a comparison: a stage of a recorded run.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The run, or the point of a sweep.
    pub run: &'a RecordedRun,
    /// The stage.
    pub stage: &'a StageId,
}

/// The metrics of a stage without a result.
static NOTHING: Metrics = Metrics::new();

impl<'a> Side<'a> {
    /// The metrics of the stage.
    pub fn metrics(self) -> &'a Metrics {
        self.run.result(self.stage).map_or(&NOTHING, |result| result.metrics)
    }
}

/// The reason why two results cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The names are ambiguous: several stages match.
    #[error("no stage of the two runs that has metrics has the same name")]
    NoCommonStage {
        /// The possible choices.
        choices: String,
    },
    /// The results of an evaluation exist but cannot be read.
    #[error(transparent)]
    Results(#[from] DataError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
