//! The reasons why a spec cannot be opened, or one of its stages not be run.

use pipeline_core::{StageError, StageId};
use pipeline_engine::GraphError;
use pipeline_spec::{Span, SpecError};
use pipeline_store::StoreError;

use crate::locate::LocateError;

/// The reason why a spec cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It was not found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// It contains a mistake.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Its stages do not form a graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Its store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A name that is not a stage of the spec.
#[derive(Debug, thiserror::Error)]
#[error("the spec has no stage `{name}`")]
pub struct UnknownStage {
    /// The name.
    pub name: String,
    /// The stage whose name is nearest.
    pub nearest: Option<String>,
    /// All stages, in the order of the spec.
    pub known: Vec<StageId>,
}

/// The most stages that a help text lists.
const MAX_STAGES: usize = 20;

impl UnknownStage {
    /// Advice with the nearest stage, else with all of them.
    pub fn help(&self) -> Option<String> {
        if let Some(near) = &self.nearest {
            return Some(format!("did you mean `{near}`?"));
        }
        let names: Vec<_> = self.known.iter().take(MAX_STAGES).map(|stage| format!("`{stage}`")).collect();
        let more = if self.known.len() > MAX_STAGES { ", …" } else { "" };
        (!names.is_empty()).then(|| format!("its stages are {}{more}", names.join(", ")))
    }
}

/// A stage that could never do its work.
#[derive(Debug, thiserror::Error)]
#[error("stage `{stage}` cannot run")]
pub struct CannotRun {
    /// The stage.
    pub stage: StageId,
    /// The place of the mistake in the spec.
    pub span: Option<Span>,
    /// The cause.
    #[source]
    pub source: Box<StageError>,
}
