//! What a stage is: its identity, what it reads, what it needs, and how its work is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Needs, ShardedStage, StageContext, StageError, StageReport};

/// A file outside the store that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of its line in the manifest, such as `path` or `model/config.json`.
    pub name: String,
    /// Where it is: provenance, never hashed. A folder stands for all files below it.
    pub path: PathBuf,
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
