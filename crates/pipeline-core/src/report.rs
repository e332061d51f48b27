//! The end of a stage's work: a report, or an error.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use serde::{Deserialize, Serialize};

use crate::Work;

/// Named numbers that a stage reports, such as `mean_recall`; kept in its record and in the run's `metrics.json`.
pub type Metrics = BTreeMap<String, f64>;

/// The reason why a stage could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StageError {
    /// The message, as a lower-case fragment.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
    /// The advice to the user.
    pub help: Option<String>,
    /// The param at fault, where its place in the spec is that of the mistake.
    pub param: Option<&'static str>,
    /// True if the stage stopped because the run was cancelled.
    pub cancelled: bool,
}

impl StageError {
    /// An error without a cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, help: None, param: None, cancelled: false }
    }

    /// An error because of another. Of a full disk it says what to do.
    pub fn because(message: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = source.into();
        Self { help: help_for(&*source), source: Some(source), ..Self::new(message) }
    }

    /// Adds advice for the user.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The stage noticed [`StageHost::is_cancelled`](crate::StageHost::is_cancelled) and stopped.
    pub fn cancelled() -> Self {
        Self { cancelled: true, ..Self::new("cancelled") }
    }
}

/// Advice where a disk, or a limit of the operating system, takes no more bytes.
fn help_for(error: &(dyn Error + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| Error::source(*error));
    causes.find_map(|cause| match cause.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
            "the disk is full: free some space, for example with `pipeline cache gc`, and run again; finished shards \
             are kept"
                .to_owned(),
        ),
        io::ErrorKind::FileTooLarge => {
            Some("raise the limit of the size of files (`ulimit -f unlimited`), and run again".to_owned())
        }
        _ => None,
    })
}

/// A stage's report about its work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Numbers that describe the result; part of the run's `metrics.json`.
    #[serde(default)]
    pub metrics: Metrics,
    /// The number of rows written, if the stage has rows.
    #[serde(default)]
    pub n_rows: Option<u64>,
    /// The number of rejected rows, which the artifact lists.
    #[serde(default)]
    pub n_rejected: u64,
    /// One line for people, such as the notebook's result line.
    #[serde(default)]
    pub headline: Option<String>,
    /// The warnings of the run that computed the result, filled in by the engine: the result rests on them whenever it
    /// is reused. Absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Seconds by kind of work, summed over shards that were made side by side: provenance.
    #[serde(default)]
    pub seconds: BTreeMap<Work, f64>,
}
