//! The gate: the accepted baseline of a spec, the metrics that are current, and the verdict on each.

pub mod baseline;
mod measure;
mod verdict;

use pipeline_core::StageId;
use pipeline_data::DataError;
use pipeline_spec::Span;
use pipeline_store::StoreError;

pub use baseline::{Acceptance, Baseline, BaselineError, BestRanks, Measured};
pub use measure::{Measurements, Metric};
pub use verdict::{Checked, Gate, Overall, Paired, Verdict, overall};

/// Why a metric cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The name leaves open which stage is meant.
    #[error("several stages have a metric `{metric}`")]
    SeveralStages {
        /// The metric.
        metric: String,
        /// The stages that have it.
        stages: Vec<StageId>,
    },
    /// The metric does not depend on the best ranks alone, which are all that a baseline holds.
    #[error("`{metric}` cannot be paired")]
    Unpairable {
        /// The metric.
        metric: String,
        /// The rule in the spec.
        span: Span,
    },
    /// The results of an evaluation are there but cannot be read.
    #[error(transparent)]
    Results(#[from] DataError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
