//! Compares the stages of two runs: which are the same, and how the others differ.

use std::collections::BTreeSet;

use pipeline_core::{LineChange, StageId};
use serde::Serialize;

use crate::recorded::{RecordedRun, StageResult};

/// The relation of two runs' stages with the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likeness {
    /// Everything that determines its result is the same.
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

/// A stage of two runs, compared.
#[derive(Debug, Serialize)]
pub struct StageDifference {
    /// The stage.
    pub stage: StageId,
    /// The relation of the two.
    pub state: Likeness,
    /// The lines of the manifests that differ; empty where a record is lost.
    pub changes: Vec<LineChange>,
}

/// Compares all stages of two runs, by name.
pub fn compare_stages(earlier: &RecordedRun, later: &RecordedRun) -> Vec<StageDifference> {
    let (earlier, later) = (earlier.results(), later.results());
    let names: BTreeSet<&StageId> = earlier.keys().chain(later.keys()).copied().collect();
    let difference = |stage: &StageId| {
        let (state, changes) = match (earlier.get(stage), later.get(stage)) {
            (Some(earlier), Some(later)) => (state(earlier, later), changes(earlier, later)),
            (Some(_), None) => (Likeness::OnlyEarlier, Vec::new()),
            (None, _) => (Likeness::OnlyLater, Vec::new()),
        };
        StageDifference { stage: stage.clone(), state, changes }
    };
    names.into_iter().map(difference).collect()
}

fn state(earlier: &StageResult<'_>, later: &StageResult<'_>) -> Likeness {
    match (earlier.key == later.key, earlier.artifact == later.artifact) {
        (true, true) => Likeness::Same,
        (_, true) => Likeness::SameResult,
        (_, false) => Likeness::Differs,
    }
}

fn changes(earlier: &StageResult<'_>, later: &StageResult<'_>) -> Vec<LineChange> {
    match (earlier.manifest(), later.manifest()) {
        (Some(earlier), Some(later)) => later.changes_since(earlier),
        _ => Vec::new(),
    }
}
