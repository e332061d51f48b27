//! Results that are up to date, and their files.

use pipeline_core::StageId;
use pipeline_engine::{Decision, Plan};
use pipeline_stages::Format;
use pipeline_store::{OpenTree, OpenTreeError, Record, StoreError};

use crate::open::Opened;

/// The reason why a stage has no readable result.
#[derive(Debug, thiserror::Error)]
pub enum CurrentError {
    /// It would run, or depends on a stage that would.
    #[error("stage `{stage}` is not up to date")]
    Stale {
        /// The stage.
        stage: StageId,
    },
    /// Its bytes were dropped, lost or damaged.
    #[error("the files of stage `{stage}` are not there")]
    Gone {
        /// The stage.
        stage: StageId,
        /// True if the spec keeps its bytes after a run.
        is_retained: bool,
        /// The cause.
        #[source]
        source: OpenTreeError,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reason why a spec has no evaluation to choose.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The named stage is of another kind.
    #[error("stage `{stage}` is not an evaluation")]
    OtherKind {
        /// The stage.
        stage: StageId,
    },
    /// The spec has no evaluation.
    #[error("the spec has no evaluation")]
    Absent,
    /// The spec has several evaluations, and the user named none of them.
    #[error(
        "the spec has several evaluations: {}",
        stages.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
    )]
    Several {
        /// The evaluations.
        stages: Vec<StageId>,
    },
}

impl Opened {
    /// The record of a stage that is up to date in this plan.
    ///
    /// # Errors
    /// When the stage would run or depends on one that would.
    pub fn record_in(&self, plan: &Plan, stage: &StageId) -> Result<Record, CurrentError> {
        let planned = plan.stages.iter().find(|planned| planned.id == *stage);
        let stale = || CurrentError::Stale { stage: stage.clone() };
        let Some(Decision::Reuse { key, .. }) = planned.map(|planned| &planned.decision) else { return Err(stale()) };
        self.store.records().get(key)?.ok_or_else(stale)
    }

    /// Opens the files of an artifact, verified, in a folder.
    ///
    /// # Errors
    /// When its bytes were dropped, lost or damaged.
    pub fn open_artifact(&self, stage: &StageId, record: &Record) -> Result<OpenTree, CurrentError> {
        self.store.cas().open(&record.tree).map_err(|source| {
            let is_retained = self.graph.node(stage).is_some_and(|node| node.retain);
            CurrentError::Gone { stage: stage.clone(), is_retained, source }
        })
    }

    /// The stage that fills a slot of another.
    pub fn input(&self, stage: &StageId, slot: &str) -> Option<&StageId> {
        self.graph.node(stage)?.inputs.get(slot)
    }

    /// The format of the artifact of a stage.
    pub fn format_of(&self, stage: &StageId) -> Format {
        self.spec.stage(stage).map_or(Format::Files, pipeline_stages::format_of)
    }

    /// The chosen evaluation; without a choice the only one of the spec.
    ///
    /// # Errors
    /// When there is none, or several and no choice.
    pub fn evaluation(&self, chosen: Option<StageId>) -> Result<StageId, EvaluationError> {
        let ids = self.graph.nodes().iter().map(|node| &node.id);
        let mut stages: Vec<StageId> = ids.filter(|id| self.format_of(id) == Format::Evaluation).cloned().collect();
        match (stages.len(), chosen) {
            (_, Some(chosen)) if stages.contains(&chosen) => Ok(chosen),
            (_, Some(stage)) => Err(EvaluationError::OtherKind { stage }),
            (1, None) => Ok(stages.remove(0)),
            (0, None) => Err(EvaluationError::Absent),
            (_, None) => Err(EvaluationError::Several { stages }),
        }
    }
}
