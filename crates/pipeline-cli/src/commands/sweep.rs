//! `pipeline sweep`: runs a spec at every point of its sweep, as one run, and compares the results.
//!
//! stdout carries the table of results. JSON: `{run, spec, file, axes: [{key, name, values}], evaluations: [STAGE],
//! points: [{point, overrides: {KEY: VALUE}, stages: {STAGE: STAGE OF THE GRAPH}, state, failed: [STAGE], metrics:
//! {STAGE: {METRIC: VALUE}}, measured_on?}], groups: [{overrides, points: [POINT], metrics: {STAGE: {METRIC: {mean, sd,
//! n}}}}], best, best_group}`, where `state` is `done`, `failed` or `skipped`, `best` a point and `best_group` an
//! index; `measured_on` says that a point had another pool, other queries or other k than the first. With `--dry-run`
//! the plan, as of `run --dry-run`.

use std::collections::BTreeSet;

use pipeline_core::{Device, RunId, StageId};
use pipeline_engine::{PlanOptions, SpecInfo};
use pipeline_experiments::recorded::RunLog;
use pipeline_experiments::sweep::{Results, Sweep, SweepRecord};
use pipeline_experiments::{ALL_STAGES, Opened, UnknownStage};
use pipeline_spec::{Axis, SpecError};
use pipeline_store::{Store, path_of_sweeps};
use serde_json::json;

use crate::args::{ExecutorArg, SweepArgs};
use crate::commands::{planned, run};
use crate::commit;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{count, counted};
use crate::render::sweep_table::{self, Rows};
use crate::render::{Renderer, words};
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When the sweep cannot begin, or its history or stdout cannot be written.
pub fn run(args: &SweepArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let device = run::probe(args.execution.device)?;
    let named = door::spec(&args.spec)?;
    let store = Store::open(&named.store.folder)?;
    let axes: Vec<Axis> = args.axes.iter().map(|text| text.parse()).collect::<Result<_, SpecError>>()?;
    let Sweep { spec, graph, settings, yaml, record, unpublished, trial } =
        Sweep::load(&named, &axes, &door::surroundings())?;
    let mut options = run::options(&args.execution, plan_options(&record, &args.execution.force.forced, device)?);
    let info = SpecInfo {
        path: path_of_sweeps(&spec.file),
        name: spec.name.clone(),
        yaml,
        attachments: vec![record.attachment()],
        files: spec.files.clone(),
        circumstances: None,
        left_out: BTreeSet::new(),
    };
    let (left_out, arithmetic) = (BTreeSet::new(), door::arithmetic());
    let opened = Opened { spec, graph, settings, unpublished: trial, store, named, left_out, arithmetic };
    opened.protected().check_published(&opened.spec)?;
    door::note_other_stores(&opened.named.store, terminal);
    announce(&opened, &record, &unpublished, terminal);
    run::note_trial(&opened.unpublished, terminal);
    if args.execution.dry_run {
        let plan_options = PlanOptions { counts_shards: true, ..options.plan };
        let plan = pipeline_engine::plan(&opened.graph, &opened.store, &info.path, &plan_options);
        planned::show(&opened, &plan.map_err(|error| Failure::of_plan(&opened, error))?, args.json.json, terminal)?;
        return Ok(Exit::Done);
    }
    options.origin.commit = opened.spec.file.parent().and_then(commit::of);
    let ExecutorArg::Local = args.execution.executor;
    let (exit, run, shown) = run::carry_out(&opened, &info, &options, Renderer::new(terminal, false), terminal)?;
    show_results(args, &opened, &record, &run, &shown.log, terminal)?;
    Ok(exit)
}

/// A forced stage has its name in the spec: all its copies are forced.
fn plan_options(record: &SweepRecord, forced: &[String], device: Device) -> Result<PlanOptions, UnknownStage> {
    let mut options = PlanOptions { device, arithmetic: door::arithmetic(), ..PlanOptions::default() };
    if forced.iter().any(|name| name == ALL_STAGES) {
        options.forced.extend(record.points.iter().flat_map(|point| point.stages.values().cloned()));
        return Ok(options);
    }
    for name in forced {
        let copies = name.parse().map(|stage| record.copies_of(&stage)).unwrap_or_default();
        if copies.is_empty() {
            let stages = record.points.iter().take(1).flat_map(|point| point.stages.keys());
            return Err(UnknownStage::among(name, stages));
        }
        options.forced.extend(copies);
    }
    Ok(options)
}

fn announce(opened: &Opened, record: &SweepRecord, unpublished: &[StageId], terminal: &Terminal) {
    let axes: Vec<_> = record.axes.iter().map(|axis| format!("{} ({})", axis.name, axis.values.len())).collect();
    let n_apart: usize = record.points.iter().map(|point| point.stages.len()).sum();
    terminal.remark(&format!(
        "{} of {}: {} instead of {}",
        counted(record.points.len() as u64, "point"),
        axes.join(" × "),
        counted(opened.graph.n_stages() as u64, "stage"),
        count(n_apart as u64),
    ));
    if !unpublished.is_empty() {
        let names: Vec<_> = unpublished.iter().map(|stage| format!("`{stage}`")).collect();
        terminal.remark(&format!(
            "note: a sweep does not publish the files of {}, since its points would overwrite each other's",
            names.join(", ")
        ));
    }
}

fn show_results(
    args: &SweepArgs,
    opened: &Opened,
    record: &SweepRecord,
    run: &RunId,
    log: &RunLog,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let results = Results::of(record, log);
    if args.json.json {
        return Ok(terminal.json(&json!({
            "run": run,
            "spec": opened.spec.name,
            "file": opened.spec.file.to_string_lossy(),
            "axes": record.axes,
            "evaluations": record.evaluations,
            "points": results.points,
            "groups": results.groups,
            "best": results.best,
            "best_group": results.best_group,
        }))?);
    }
    let rows = if args.all { Rows::All } else { Rows::Groups };
    sweep_table::print(record, &results, rows, terminal)?;
    terminal.remark(&format!("{}; {}", sweep_table::summary(&results), words::summary(log)));
    Ok(())
}
