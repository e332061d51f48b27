//! The messages of a run's threads to the one that owns its state, and the outcomes of their work.

use std::error::Error;

use pipeline_core::{Event, StageError, error_chain};
use pipeline_store::{Record, StoreError};

use crate::error::EngineError;
use crate::shards::Counts;
use crate::sources::ReadSource;

/// A message from a thread to the run.
pub(crate) enum Message {
    /// An event for the listener and the record of the run.
    Event(Box<Event>),
    /// The stage at `idx` has done its work; its thread only stores files from now on.
    Worked { idx: usize },
    /// The thread is done with the stage at `idx`.
    Done { idx: usize, outcome: Outcome },
}

/// The outcome of a thread's work.
pub(crate) enum Outcome {
    /// The stage ran; its record is written.
    Committed(Box<Committed>),
    /// All files were copied out.
    Published,
    /// A file could not be copied out, after this many seconds; the result itself is there.
    NotPublished(Failure, f64),
    /// Some shards of a stage that another process computes were computed.
    Helped,
    /// The inputs, by index, whose bytes are lost or damaged, each with a message; the stage must start again. It has
    /// kept the shards that it finished.
    Unreadable(Vec<(usize, String)>),
    /// The sources have changed since the decision about the stage; it did not start.
    OtherSources(Vec<ReadSource>),
    /// The stage's own bytes are lost or damaged, so that nothing could be copied out.
    Unpublishable(String),
    /// The stage failed, after this many seconds.
    Failed(Failure, f64),
    /// The stage stopped because the run was cancelled.
    Interrupted,
}

/// A stage that has run.
pub(crate) struct Committed {
    pub record: Record,
    pub counts: Counts,
    pub n_threads: usize,
}

/// The reason why a stage failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub errors: Vec<String>,
    pub help: Option<String>,
    pub is_bug: bool,
}

impl Failure {
    /// The same failure as the cause of another.
    pub fn under(mut self, message: String) -> Self {
        self.errors.insert(0, message);
        self
    }

    /// The failure of a stage on another worker.
    pub fn on_worker(worker: &str, mut errors: Vec<String>, help: Option<String>) -> Self {
        errors.push(format!("this happened on worker `{worker}`"));
        Self { errors, help, is_bug: false }
    }

    /// A failure of the engine itself, with its cause.
    pub fn because(message: &str, cause: &dyn Error) -> Self {
        let mut errors = vec![message.to_owned()];
        errors.extend(error_chain(cause));
        Self { errors, help: None, is_bug: false }
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        Self { errors: error_chain(&error), help: error.help, is_bug: false }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let help = match &error {
            EngineError::Source { source, .. } | EngineError::CannotRun { source, .. } => source.help.clone(),
            EngineError::SourceDigest { source, .. }
            | EngineError::CannotPublish { source, .. }
            | EngineError::Store(source) => source.help(),
            EngineError::UnknownStage { .. } => None,
        };
        Self { errors: error_chain(&error), help, is_bug: false }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { errors: error_chain(&error), help: error.help(), is_bug: false }
    }
}
