//! `pipeline path`: the folder that holds a stage's artifact.
//!
//! JSON: `{stage, folder, artifact, files: {name: {digest, bytes}}}`.

use pipeline_core::StageId;
use pipeline_engine::{Decision, Plan};
use pipeline_store::{OpenTree, Record};

use crate::args::PathArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::opened::Opened;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When there is no such stage, or its artifact is not there.
pub fn run(args: &PathArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let opened = Opened::open(&args.spec)?;
    let stage = opened.stage(&args.stage)?;
    let record = up_to_date(&opened, &stage)?;
    let open = open_artifact(&opened, &stage, &record)?;
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
    Ok(Exit::Done)
}

/// The record of a stage that needs no run.
///
/// # Errors
/// When the stage would run or depends on one that would.
pub fn up_to_date(opened: &Opened, stage: &StageId) -> Result<Record, Failure> {
    let plan = opened.plan_what_is_there()?;
    record_in(&plan, opened, stage)
}

/// The record of a stage that needs no run by this plan.
///
/// # Errors
/// When the stage would run or depends on one that would.
pub fn record_in(plan: &Plan, opened: &Opened, stage: &StageId) -> Result<Record, Failure> {
    let planned =
        plan.stages.iter().find(|planned| planned.id == *stage).expect("the plan has all stages of the graph");
    let stale = || {
        Failure::new(Exit::CheckFailed, format!("stage `{stage}` is not up to date"))
            .with_help(format!("{} first", opened.again.command("run")))
    };
    let Decision::Reuse { key, .. } = &planned.decision else { return Err(stale()) };
    opened.store.records().get(key)?.ok_or_else(stale)
}

/// The verified files of an artifact, in a folder.
///
/// # Errors
/// When its bytes were dropped, are lost or damaged.
pub fn open_artifact(opened: &Opened, stage: &StageId, record: &Record) -> Result<OpenTree, Failure> {
    opened.store.cas().open(&record.tree).map_err(|error| {
        let spec = opened.spec.file.display();
        let is_retained = opened.graph.nodes().iter().any(|node| node.id == *stage && node.retain);
        let until = if is_retained { "" } else { ", and they stay until a later run: `retain: false` drops them" };
        let failure = Failure::from(error).under(format!("the files of stage `{stage}` are not there"));
        failure.with_help(format!("`pipeline run {spec} --force {stage}` makes them again{until}"))
    })
}
