//! The error of plans and runs that cannot begin, or cannot be recorded.

use pipeline_core::{StageError, StageId};
use pipeline_store::StoreError;

/// The reason why a plan or a run could not be carried out at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A stage cannot find what it reads.
    #[error("the sources of stage `{stage}` cannot be used")]
    Source {
        /// The stage.
        stage: StageId,
        /// The missing source.
        #[source]
        source: StageError,
    },
    /// A stage that must run could never do its work.
    #[error("stage `{stage}` cannot run")]
    CannotRun {
        /// The stage.
        stage: StageId,
        /// The cause.
        #[source]
        source: StageError,
    },
    /// A file of another program lies where a stage would publish.
    #[error("stage `{stage}` cannot publish `{file}`")]
    CannotPublish {
        /// The stage.
        stage: StageId,
        /// The file or folder of its artifact.
        file: String,
        /// The cause.
        #[source]
        source: StoreError,
    },
    /// A source cannot be read.
    #[error("source `{name}` of stage `{stage}` cannot be read")]
    SourceDigest {
        /// The stage.
        stage: StageId,
        /// The name of the source.
        name: String,
        /// The cause.
        #[source]
        source: StoreError,
    },
    /// The user named a stage that is not in the spec.
    #[error("the spec has no stage `{stage}`")]
    UnknownStage {
        /// The name.
        stage: StageId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
