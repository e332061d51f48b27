//! `pipeline path`: the folder that holds a stage's artifact.
//!
//! JSON: `{stage, folder, artifact, files: {name: {digest, bytes}}}`.

use pipeline_core::StageId;
use pipeline_engine::Plan;
use pipeline_experiments::{CurrentError, Opened};
use pipeline_store::{OpenTree, Record};

use crate::again;
use crate::args::PathArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remotes;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When there is no such stage, or its artifact is missing.
pub fn run(args: &PathArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = door::open(&args.spec)?;
    let stage = opened.stage(&args.stage)?;
    let open = up_to_date(&opened, &stage).and_then(|record| open_artifact(&opened, &stage, &record));
    remotes::note_news(&opened.store, terminal);
    let open = open?;
    if args.json.json {
        let tree = open.tree();
        terminal.json(&serde_json::json!({
            "stage": stage,
            "folder": open.folder(),
            "artifact": tree.digest(),
            "files": tree,
        }))?;
    } else {
        terminal.exact(&open.folder().display().to_string())?;
    }
    if open.is_outside() {
        terminal.remark(&format!(
            "note: the store cannot be written, so `{}` has links to its files: remove it when you are done",
            open.folder().display()
        ));
        // The folder must outlive this command, and nothing else is lost with the value.
        std::mem::forget(open);
    }
    Ok(Exit::Done)
}

/// The record of a stage that is up to date.
///
/// # Errors
/// When the stage would run or depends on one that would.
pub fn up_to_date(opened: &Opened, stage: &StageId) -> Result<Record, Failure> {
    record_in(&door::plan_what_is_there(opened)?, opened, stage)
}

/// The record of a stage that is up to date in this plan.
///
/// # Errors
/// When the stage would run or depends on one that would.
pub fn record_in(plan: &Plan, opened: &Opened, stage: &StageId) -> Result<Record, Failure> {
    opened.record_in(plan, stage).map_err(|error| failure(opened, error))
}

/// Opens the files of an artifact, verified, in a folder.
///
/// # Errors
/// When its bytes were dropped, lost or damaged.
pub fn open_artifact(opened: &Opened, stage: &StageId, record: &Record) -> Result<OpenTree, Failure> {
    opened.open_artifact(stage, record).map_err(|error| failure(opened, error))
}

/// The failure for a result that cannot be read, with the command that restores it.
pub fn failure(opened: &Opened, error: CurrentError) -> Failure {
    let message = error.to_string();
    match error {
        CurrentError::Stale { .. } => Failure::new(Exit::CheckFailed, message)
            .with_help(format!("{} first", again::command("run", &opened.named))),
        CurrentError::Gone { stage, is_retained, source } => {
            let spec = opened.spec.file.display();
            let until = if is_retained { "" } else { ", and they stay until a later run: `retain: false` drops them" };
            Failure::from(source)
                .under(message)
                .with_help(format!("`pipeline run {spec} --force {stage}` makes them again{until}"))
        }
        CurrentError::Store(error) => error.into(),
    }
}
