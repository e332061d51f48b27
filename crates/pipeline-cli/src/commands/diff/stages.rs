//! Which stages of two runs are the same, and what differs in the others.

use std::collections::BTreeSet;

use pipeline_core::{LineChange, StageId};
use serde::Serialize;

use super::past::{PastRun, PastStage};

/// How a stage of one run stands to that of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Everything that could change its result is the same.
    Same,
    /// Something differs, but not the result.
    SameResult,
    /// The results differ.
    Differs,
    /// Only the earlier run has it.
    OnlyEarlier,
    /// Only the later run has it.
    OnlyLater,
}

/// A stage of two runs.
#[derive(Debug, Serialize)]
pub struct StageDifference {
    /// The stage.
    pub stage: StageId,
    /// How they stand to each other.
    pub state: State,
    /// The lines of the manifests that differ; none is known where a record is gone.
    pub changes: Vec<LineChange>,
}

/// Compares all stages of two runs, by name.
pub fn compare(earlier: &PastRun, later: &PastRun) -> Vec<StageDifference> {
    let names: BTreeSet<&StageId> = earlier.stages.keys().chain(later.stages.keys()).collect();
    let difference = |stage: &StageId| {
        let (state, changes) = match (earlier.stages.get(stage), later.stages.get(stage)) {
            (Some(earlier), Some(later)) => (state(earlier, later), changes(earlier, later)),
            (Some(_), None) => (State::OnlyEarlier, Vec::new()),
            (None, _) => (State::OnlyLater, Vec::new()),
        };
        StageDifference { stage: stage.clone(), state, changes }
    };
    names.into_iter().map(difference).collect()
}

fn state(earlier: &PastStage, later: &PastStage) -> State {
    match (earlier.key == later.key, earlier.artifact == later.artifact) {
        (true, true) => State::Same,
        (_, true) => State::SameResult,
        (_, false) => State::Differs,
    }
}

fn changes(earlier: &PastStage, later: &PastStage) -> Vec<LineChange> {
    match (&earlier.record, &later.record) {
        (Some(earlier), Some(later)) => later.manifest.changes_since(&earlier.manifest),
        _ => Vec::new(),
    }
}

impl State {
    /// The state for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::SameResult => "same result",
            Self::Differs => "differs",
            Self::OnlyEarlier => "only earlier",
            Self::OnlyLater => "only later",
        }
    }
}
