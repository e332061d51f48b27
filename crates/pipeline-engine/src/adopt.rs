//! Adopts a result after a change of a stage's version that is known to change no byte.

use std::path::Path;

use pipeline_core::{LineChange, Manifest, RunReason, StageId};
use pipeline_store::{Record, Store};

use crate::Graph;
use crate::decision::Decision;
use crate::error::EngineError;
use crate::options::{Adopted, RunOptions};
use crate::plan::decide_all;
use crate::provenance::{Machines, Origin};
use crate::resolver::Resolver;

/// The reason why the last result of a stage cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Planning failed, or the record could not be written.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The stage is up to date.
    #[error("stage `{stage}` is up to date")]
    UpToDate {
        /// The stage.
        stage: StageId,
    },
    /// The stage's inputs are not known yet.
    #[error("stage `{stage}` depends on `{on}`, which is about to run")]
    Depends {
        /// The stage.
        stage: StageId,
        /// Its first input that is not up to date.
        on: StageId,
    },
    /// The stage has no last result.
    #[error("no result of stage `{stage}` is remembered")]
    NoResult {
        /// The stage.
        stage: StageId,
    },
    /// More than the version of the stage's code differs, so the bytes may differ, too.
    #[error("more than the version of stage `{stage}` has changed: {}", names(.changes))]
    OtherChanges {
        /// The stage.
        stage: StageId,
        /// The lines of the manifest that differ.
        changes: Vec<LineChange>,
    },
}

/// Remembers the last artifact of `stage` under its present key, if only the version of its code has changed, and
/// names the key under which it was computed. The record says that it was adopted.
///
/// # Errors
/// When anything else has changed, nothing has, or no result is remembered.
pub fn adopt(
    graph: &Graph,
    store: &Store,
    spec: &Path,
    options: &RunOptions,
    stage: &StageId,
) -> Result<Adopted, AdoptError> {
    let unknown = || EngineError::UnknownStage { stage: stage.clone() };
    let idx = graph.position(stage).ok_or_else(unknown)?;
    let mut resolver = Resolver::new(graph, store, spec, &options.plan)?;
    let mut decided = decide_all(&mut resolver).map_err(EngineError::Store)?;
    check_change(stage, decided.swap_remove(idx).decision)?;
    let no_result = || AdoptError::NoResult { stage: stage.clone() };
    let from = resolver.last_stage(idx).map(|last| last.key).ok_or_else(no_result)?;
    let record = store.records().get(&from).map_err(EngineError::Store)?.ok_or_else(no_result)?;
    let version = |manifest: &Manifest| manifest.get("version").unwrap_or_default().to_owned();
    let old_version = version(&record.manifest);
    let (manifest, key) = resolver.resolved(idx).cloned().expect("a stage that would run has a manifest");
    let (numerics, machines) = (record.provenance.numerics.clone(), Machines::of(&record.provenance));
    let mut provenance = Origin::of(options).provenance(stage, numerics, machines);
    provenance.adopted_from = Some(from);
    let new_version = version(&manifest);
    store.records().put(&Record { key, manifest, provenance, ..record }).map_err(EngineError::Store)?;
    Ok(Adopted { stage: stage.clone(), key, from, old_version, new_version })
}

fn check_change(stage: &StageId, decision: Decision) -> Result<(), AdoptError> {
    let stage = stage.clone();
    match decision {
        Decision::Run { why: RunReason::Changed { changes }, .. } => {
            let is_version = |change: &LineChange| change.name == "version";
            if changes.iter().all(is_version) { Ok(()) } else { Err(AdoptError::OtherChanges { stage, changes }) }
        }
        Decision::Run { why: RunReason::New, .. } => Err(AdoptError::NoResult { stage }),
        Decision::Run { .. } | Decision::Reuse { .. } | Decision::MayBeDemanded { .. } => {
            Err(AdoptError::UpToDate { stage })
        }
        Decision::Depends { mut on } => Err(AdoptError::Depends { stage, on: on.swap_remove(0) }),
    }
}

fn names(changes: &[LineChange]) -> String {
    changes.iter().map(|change| format!("`{}`", change.name)).collect::<Vec<_>>().join(", ")
}
