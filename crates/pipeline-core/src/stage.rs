//! What a stage is and what it is given while it runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Device, Digest, Needs, ShardedStage, StageId, Tree};

/// Named numbers that a stage reports, such as `mean_recall`; kept in its record and in the run's `metrics.json`.
pub type Metrics = BTreeMap<String, f64>;

/// A file outside the store that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of its line in the manifest, such as `path` or `model/config.json`.
    pub name: String,
    /// Where it is: provenance, never hashed. A folder stands for all files below it.
    pub path: PathBuf,
}

/// An input artifact as a running stage sees it: verified files in a read-only folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputArtifact {
    /// The folder that holds the files.
    pub folder: PathBuf,
    /// The files and their digests.
    pub tree: Tree,
}

/// Why a stage could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StageError {
    /// The message, as a lower-case fragment.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The advice to the user.
    pub help: Option<String>,
    /// Set when the stage stopped because it was asked to.
    pub cancelled: bool,
}

impl StageError {
    /// An error without a cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None, help: None, cancelled: false }
    }

    /// An error because of another.
    pub fn because(message: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { message: message.into(), source: Some(source.into()), help: None, cancelled: false }
    }

    /// Adds what the user can do.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The stage noticed [`StageHost::is_cancelled`] and stopped.
    pub fn cancelled() -> Self {
        Self { message: "cancelled".into(), source: None, help: None, cancelled: true }
    }
}

/// The report of a stage about its work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Numbers that describe the result; part of the run's `metrics.json`.
    #[serde(default)]
    pub metrics: Metrics,
    /// Rows written, if the stage has rows.
    #[serde(default)]
    pub n_rows: Option<u64>,
    /// Rows that could not be used and are listed in the artifact.
    #[serde(default)]
    pub n_rejected: u64,
    /// One line for people, such as the notebook's result line.
    #[serde(default)]
    pub headline: Option<String>,
    /// The warnings of the run that computed the result, filled in by the engine: the result rests on them whenever it
    /// is reused. Absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Seconds by what they were spent on (`read`, `decode`, `tokenize`, `forward`, `write`; the engine adds `store`, the wait for
    /// files to be stored), added up over shards that were made side by side: provenance.
    #[serde(default)]
    pub seconds: BTreeMap<String, f64>,
}

/// The services of the engine to a running stage.
pub trait StageHost: Sync {
    /// Reports how many of `total` rows are done. Cheap: call it as often as there is news.
    fn progress(&self, n_done: u64, total: Option<u64>);

    /// Warns the user of something that is no error.
    fn warn(&self, message: String);

    /// Passes on a line that an external program printed.
    fn output(&self, line: &str);

    /// Shows the present text of a line that an external program redraws, such as a progress bar; kept nowhere. Cheap.
    fn redraw(&self, line: &str);

    /// True once the run is to stop; a stage looks at least once a second and returns [`StageError::cancelled`].
    fn is_cancelled(&self) -> bool;
}

/// Everything a running stage may use.
pub struct StageContext<'a> {
    /// The stage's name in its spec.
    pub stage: &'a StageId,
    /// The input artifacts by slot.
    pub inputs: &'a BTreeMap<String, InputArtifact>,
    /// The digests of the stage's sources by [`Source::name`].
    pub sources: &'a BTreeMap<String, Digest>,
    /// Where tensors live.
    pub device: Device,
    /// The threads that the stage should use. Must not change a byte of the output.
    pub n_threads: usize,
    /// Progress, warnings, cancellation.
    pub host: &'a dyn StageHost,
}

/// One stage of a spec, with its params already checked.
pub trait Stage: Send + Sync {
    /// The kind, such as `extract-text`.
    fn kind(&self) -> &'static str;

    /// The version of the code: raised whenever the same inputs give other bytes.
    fn version(&self) -> u32;

    /// Every param that can change a byte of the output, as canonical JSON text by name.
    fn params(&self) -> BTreeMap<String, String>;

    /// The files outside the store that the stage reads.
    ///
    /// # Errors
    /// When a file that must be there is not: the message names where it was looked for.
    fn sources(&self) -> Result<Vec<Source>, StageError>;

    /// Looks at what can be judged without any data, such as the configuration of a model: for `validate`. A file that
    /// is not there is no mistake.
    ///
    /// # Errors
    /// When the stage could never do its work.
    fn check(&self) -> Result<(), StageError> {
        Ok(())
    }

    /// The files and folders outside the store that the spec has the stage read, there or not: nothing may be published
    /// there.
    fn reads(&self) -> Vec<PathBuf> {
        self.sources().map(|sources| sources.into_iter().map(|source| source.path).collect()).unwrap_or_default()
    }

    /// The files and folders, there or not, that were looked at to find the sources, such as the places where a model
    /// may lie. As long as they and the sources are as they were, [`Stage::sources`] gives the same.
    fn places(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What names the sources, there or not, as absolute paths: as long as these are the same, sources that are gone are those
    /// that were read last.
    fn looked_for(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The needs of its work, from which a run chooses its lane and the stages beside it.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// True for a stage that runs programs of which nothing is known: they may write into the folders of the inputs, so
    /// that the stage gets folders of its own.
    fn runs_programs(&self) -> bool {
        false
    }

    /// How the work is done.
    fn work(&self) -> StageWork<'_>;
}

/// How the work of a stage is done.
pub enum StageWork<'a> {
    /// At once.
    Whole(&'a dyn WholeStage),
    /// Shard by shard.
    Sharded(&'a dyn ShardedStage),
}

/// A stage whose artifact is made at once.
pub trait WholeStage {
    /// Does the work. `scratch` is an empty folder; every file left below it becomes part of the artifact.
    ///
    /// # Errors
    /// Whatever stops it; the engine then keeps nothing.
    fn run(&self, context: &StageContext<'_>, scratch: &Path) -> Result<StageReport, StageError>;
}
