//! What a stage is: its identity, what it reads, what it needs, and how its work is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Needs, ShardedStage, StageContext, StageError, StageReport};

/// A file outside the store that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of its line in the manifest, such as `path` or `model/config.json`.
    pub name: String,
    /// Its path: provenance, never hashed. A folder stands for all files below it.
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
    /// When a required file is missing: the message names the searched places.
    fn sources(&self) -> Result<Vec<Source>, StageError>;

    /// Checks everything that needs no data, such as a model's configuration, tensors and tokens: for `validate`, and
    /// before a run that may need the stage. Must be quick. A missing file is not a mistake.
    ///
    /// # Errors
    /// When the stage could never do its work.
    fn check(&self) -> Result<(), StageError> {
        Ok(())
    }

    /// The facts that decide the outcome of [`Stage::check`], as text: of stages with the same ones, one is checked.
    /// `None` where every stage is checked.
    fn check_facts(&self) -> Option<String> {
        None
    }

    /// The files and folders outside the store that the spec makes the stage read, present or missing: nothing may be
    /// published there.
    fn reads(&self) -> Vec<PathBuf> {
        self.sources().map(|sources| sources.into_iter().map(|source| source.path).collect()).unwrap_or_default()
    }

    /// The files and folders, present or missing, that were examined to find the sources, such as the possible places
    /// of a model. As long as they and the sources are unchanged, [`Stage::sources`] returns the same.
    fn places(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The paths by which the sources are named, present or missing, as absolute paths. As long as these are the same,
    /// missing sources are those that were read last.
    fn looked_for(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The needs of its work, from which a run chooses its lane and the stages beside it.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// True for a stage that runs unknown programs, which may write into the folders of the inputs: the stage gets
    /// folders of its own.
    fn runs_programs(&self) -> bool {
        false
    }

    /// The way the work is done.
    fn work(&self) -> StageWork<'_>;
}

/// The way the work of a stage is done.
pub enum StageWork<'a> {
    /// As a whole.
    Whole(&'a dyn WholeStage),
    /// Shard by shard.
    Sharded(&'a dyn ShardedStage),
}

/// A stage whose artifact is made as a whole.
pub trait WholeStage {
    /// Does the work. `scratch` is an empty folder; every file left below it becomes part of the artifact.
    ///
    /// # Errors
    /// Any failure; the engine then keeps nothing.
    fn run(&self, context: &StageContext<'_>, scratch: &Path) -> Result<StageReport, StageError>;
}
