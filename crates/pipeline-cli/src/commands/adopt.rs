//! `run --accept STAGE`: adopts the last results of stages of which only the version of their code has changed.

use pipeline_core::StageId;
use pipeline_engine::{AdoptError, Adopted, RunOptions};
use pipeline_experiments::{Opened, UnknownStage};

use crate::again;
use crate::exit::Exit;
use crate::failure::Failure;

/// Adopts the last result of each of these stages, inputs before readers, and returns what was adopted.
///
/// # Errors
/// When there is no such stage, or more than the version of one has changed; those before it stay adopted.
pub fn adopt(opened: &Opened, names: &[String], options: &RunOptions) -> Result<Vec<Adopted>, Failure> {
    let mut stages = names.iter().map(|name| opened.stage(name)).collect::<Result<Vec<StageId>, UnknownStage>>()?;
    stages.sort_by_key(|stage| opened.graph.position(stage));
    stages.dedup();
    stages.iter().map(|stage| adopt_one(opened, stage, options)).collect()
}

fn adopt_one(opened: &Opened, stage: &StageId, options: &RunOptions) -> Result<Adopted, Failure> {
    if options.plan.forced.contains(stage) {
        return Err(Failure::new(Exit::Usage, format!("stage `{stage}` cannot be both forced and accepted")));
    }
    pipeline_engine::adopt(&opened.graph, &opened.store, &opened.named.memory(), options, stage)
        .map_err(|error| failure(opened, stage, error))
}

fn failure(opened: &Opened, stage: &StageId, error: AdoptError) -> Failure {
    let failure = Failure::because(Exit::Usage, &error);
    failure.with_help(match error {
        AdoptError::Engine(error) => return Failure::of_plan(opened, error),
        AdoptError::UpToDate { .. } => format!("leave `--accept {stage}` away"),
        AdoptError::Depends { on, .. } => {
            format!("`--accept {on}` as well, or {} first", again::command("run", &opened.named))
        }
        AdoptError::NoResult { .. } => "only what this spec had in its last run can be adopted".to_owned(),
        AdoptError::OtherChanges { .. } => {
            format!("{} shows old and new values", again::command_with("why", &opened.named, stage.as_str()))
        }
    })
}
