//! Decisions: what becomes of a stage, and of the copies of its files outside the store.

use std::path::PathBuf;

use pipeline_core::{ArtifactDigest, Key, RunReason, StageId, StageReport};

/// The decision about a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Its result is remembered.
    Reuse {
        /// The key under which it was found.
        key: Key,
        /// The artifact. Its bytes may be gone if no reader needs them.
        artifact: ArtifactDigest,
        /// The stage's report from when it ran.
        report: StageReport,
    },
    /// It runs.
    Run {
        /// The key under which the result will be remembered.
        key: Key,
        /// The reason.
        why: RunReason,
    },
    /// An input will be computed first, and the decision depends on its artifact.
    Depends {
        /// The inputs that run or depend on others, in the order of the slots.
        on: Vec<StageId>,
    },
    /// Its result is remembered, but its bytes are gone; they are recomputed if `reader` runs, which is not known yet.
    MayBeDemanded {
        /// A stage that reads the artifact and depends on others.
        reader: StageId,
    },
}

/// A decision, with the published files that must be restored if it is to reuse.
#[derive(Debug)]
pub(crate) struct Decided {
    pub decision: Decision,
    pub unpublished: Vec<Unpublished>,
}

/// A published file that is missing, altered, or not in the artifact.
#[derive(Debug)]
pub(crate) enum Unpublished {
    Stale { path: PathBuf },
    NotInArtifact { file: String, names: Vec<String> },
}

impl Unpublished {
    /// The path that must be written again, if that helps.
    pub fn stale(&self) -> Option<&PathBuf> {
        match self {
            Self::Stale { path } => Some(path),
            Self::NotInArtifact { .. } => None,
        }
    }

    /// Like [`Unpublished::stale`], by value.
    pub fn into_stale(self) -> Option<PathBuf> {
        match self {
            Self::Stale { path } => Some(path),
            Self::NotInArtifact { .. } => None,
        }
    }
}
