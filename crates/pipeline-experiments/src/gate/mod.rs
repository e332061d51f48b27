//! The gate: the accepted baseline of a spec, the current metrics, and the verdict on each.

pub mod baseline;
mod measure;
mod rules;
mod verdict;

use pipeline_core::StageId;
use pipeline_data::DataError;
use pipeline_spec::Span;
use pipeline_store::StoreError;

pub use baseline::{Acceptance, Baseline, BaselineError, BestRanks, Measured};
pub use measure::{Measurements, Metric};
pub use rules::check_rules;
pub use verdict::{Checked, Gate, Overall, Paired, Verdict, overall};

/// The reason why a metric cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The name is ambiguous: several stages have the metric.
    #[error("several stages have a metric `{metric}`")]
    SeveralStages {
        /// The metric.
        metric: String,
        /// The stages that have it.
        stages: Vec<StageId>,
    },
    /// The metric needs more than the best ranks, and a baseline has nothing else.
    #[error("`{metric}` cannot be paired")]
    Unpairable {
        /// The metric.
        metric: String,
        /// The rule in the spec.
        span: Span,
    },
    /// The results of an evaluation exist but cannot be read.
    #[error(transparent)]
    Results(#[from] DataError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
