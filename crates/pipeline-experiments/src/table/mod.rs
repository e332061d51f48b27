//! The table of experiments: the runs of a store with their params and metrics, filtered, sorted and side by side.

mod columns;
mod experiment;
mod filter;
mod order;

pub use columns::{MetricColumn, ParamColumn, differing_params, main_metrics};
pub use experiment::Experiment;
pub use filter::{FilterError, RunFilter};
pub use order::SortOrder;

use pipeline_spec::nearest;

/// A key of `--filter` or `--sort` that no listed run has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no listed run has a metric or param `{key}`")]
pub struct UnknownKey {
    key: String,
    nearest: Option<String>,
}

impl UnknownKey {
    /// Advice with the nearest key.
    pub fn help(&self) -> String {
        match &self.nearest {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a metric such as `mean_recall`, STAGE.METRIC, or a param as STAGE.params.NAME".to_owned(),
        }
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
        let nearest = nearest(key, known.iter().map(String::as_str)).map(str::to_owned);
        Err(Self { key: key.to_owned(), nearest })
    }
}
