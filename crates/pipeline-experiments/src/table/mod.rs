//! The table of experiments: the runs of a store with their params and metrics, filtered, sorted and side by side.

mod columns;
mod experiment;
mod filter;
mod order;

pub use columns::{MetricColumn, ParamColumn, differing_params, main_metrics};
pub use experiment::Experiment;
pub use filter::{FilterError, RunFilter};
pub use order::SortOrder;

use pipeline_spec::{did_you_mean, meant};

/// A key of `--filter` or `--sort` that no listed run has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no listed run has a metric or param `{key}`")]
pub struct UnknownKey {
    key: String,
    meant: Vec<String>,
}

impl UnknownKey {
    /// Advice with the nearest key.
    pub fn help(&self) -> String {
        did_you_mean(&self.meant).unwrap_or_else(|| {
            "write a metric such as `mean_recall`, STAGE.METRIC, or a param as STAGE.params.NAME".to_owned()
        })
    }

    /// Checks that one of these experiments has the metric or param; without experiments, nothing is unknown.
    ///
    /// # Errors
    /// When none has it.
    pub fn check(key: &str, experiments: &[Experiment]) -> Result<(), Self> {
        if experiments.is_empty() || experiments.iter().any(|experiment| experiment.has(key)) {
            return Ok(());
        }
        let known: std::collections::BTreeSet<String> = experiments.iter().flat_map(Experiment::keys).collect();
        // A metric is named without its stage where that is enough.
        let (short, long): (Vec<&str>, Vec<&str>) =
            known.iter().map(String::as_str).partition(|key| !key.contains('.'));
        let meant = meant(key, short.into_iter().chain(long)).into_iter().map(str::to_owned).collect();
        Err(Self { key: key.to_owned(), meant })
    }
}
