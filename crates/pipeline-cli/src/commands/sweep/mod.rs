//! `pipeline sweep`: runs a spec at every point of its sweep, as one run or rung by rung, and compares the results.
//!
//! stdout carries the table of results. JSON: `{run, spec, file, axes: [{key, name, values, range?}], evaluations:
//! [STAGE], points: [{point, overrides: {KEY: VALUE}, stages: {STAGE: STAGE OF THE GRAPH}, rungs?: [STAGE OF THE
//! GRAPH], state, failed: [STAGE], metrics: {STAGE: {METRIC: VALUE}}, measured?: [VALUE], measured_on?}], groups:
//! [{overrides, points: [POINT], metrics: {STAGE: {METRIC: {mean, sd, n}}}}], best, best_group, halving?: {resource,
//! rungs: [VALUE], factor, stage, metric, n_begun}, importance?: {metric, rung?, n_points, axes: [{key, name, share,
//! chance, n_groups}], unknown?}}`. `state` is `done`, `stopped`, `failed` or `skipped`, `best` a point and
//! `best_group` an index; `measured_on` says that a point had another pool, other queries or other k than the first.
//! `measured` is the metric that promotes points, by rung. With `--dry-run` the plan, as of `run --dry-run`.

mod rung;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use pipeline_core::RunId;
use pipeline_experiments::recorded::RunLog;
use pipeline_experiments::sweep::{Results, SweepOptions, SweepPlan, importance, promoted};
use pipeline_spec::{Axis, SpecError};
use pipeline_store::Store;
use serde_json::json;

use crate::advice;
use crate::args::{ExecutorArg, SweepArgs};
use crate::card;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remotes;
use crate::render::sweep_table::{self, Rows};
use crate::render::words;
use crate::terminal::Terminal;
use rung::{Forced, Rung};

/// Runs the command.
///
/// # Errors
/// When the sweep cannot begin, or its history or stdout cannot be written.
pub fn run(args: &SweepArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.execution.executor == ExecutorArg::Slurm {
        return Err(Failure::new(Exit::Usage, "a sweep has no executor for Slurm").with_help(
            "let the tasks of a job run it together: `srun --ntasks 8 bash -c 'pipeline sweep SPEC --share \
             $SLURM_PROCID/$SLURM_NTASKS'`",
        ));
    }
    let named = door::spec(&args.spec)?;
    let store = remotes::attach(Store::open(&named.store.folder)?, args.spec.remote.remote.as_deref())?;
    let opened = card::open(args.execution.device.clone(), Some(&store).filter(|_| !args.execution.dry_run))?;
    let device = opened.device;
    let of_axes = |failure: Failure| advice::of_axes(&args.axes, &args.spec.spec, failure);
    let options = options(args).map_err(of_axes)?;
    let plan = SweepPlan::load(&named, options, &door::surroundings());
    let plan = plan.map_err(|error| of_axes(error.into()))?;
    let mut forced = Forced::among(&plan.stages, &args.execution.force.forced)?;
    let mut reached = plan.start();
    let mut rung = Rung::open(&plan, &reached, &named, &store, &mut forced, device)?;
    door::note_other_stores(&named.store, terminal);
    rung.announce_sweep(&plan, terminal);
    let mut worst = Exit::Done;
    loop {
        if let Some(log) = rung.remembered()? {
            // A rung that is remembered as a whole needs no run: it promotes what it promoted.
            if let Some(next) = promoted(&rung.record, &Results::of(&rung.record, &log)) {
                reached = next;
                rung = Rung::open(&plan, &reached, &named, &store, &mut forced, device)?;
                continue;
            }
        }
        rung.announce(terminal);
        if args.execution.dry_run {
            rung.show_plan(args.json.json, terminal)?;
            return Ok(Exit::Done);
        }
        let (exit, run, log) = rung.carry_out(&args.execution, &opened, terminal)?;
        worst = if exit == Exit::Done { worst } else { exit };
        let goes_on = exit == Exit::Done || exit == Exit::StageFailed && args.execution.keep_going;
        let next = promoted(&rung.record, &Results::of(&rung.record, &log)).filter(|_| goes_on);
        let Some(next) = next else {
            show_results(args, &rung, &run, &log, terminal)?;
            return if exit == Exit::Done { rung.must_be_last().map(|()| worst) } else { Ok(worst) };
        };
        reached = next;
        rung = Rung::open(&plan, &reached, &named, &store, &mut forced, device)?;
    }
}

/// The sweep as the arguments change it.
fn options(args: &SweepArgs) -> Result<SweepOptions, Failure> {
    let axes = args.axes.iter().map(|text| text.parse()).collect::<Result<Vec<Axis>, SpecError>>()?;
    let mut seen = BTreeSet::new();
    if let Some(twice) = axes.iter().find(|axis| !seen.insert(axis.target())) {
        let message = format!("`--axis` names `{}` twice", twice.target());
        return Err(Failure::new(Exit::Usage, message).with_help("write all its values in one list"));
    }
    Ok(SweepOptions {
        axes,
        draw: args.draw.map(Into::into),
        points: args.points.map(NonZeroUsize::get),
        seed: args.seed,
        max_points: args.max_points.map(NonZeroUsize::get),
    })
}

fn show_results(args: &SweepArgs, rung: &Rung, run: &RunId, log: &RunLog, terminal: &Terminal) -> Result<(), Failure> {
    let (spec, record) = (&rung.opened.spec, &rung.record);
    let results = Results::of(record, log);
    let importance = importance(record, &results);
    if args.json.json {
        let mut json = json!({
            "run": run,
            "spec": spec.name,
            "file": spec.file.to_string_lossy(),
            "axes": record.axes,
            "evaluations": record.evaluations,
            "points": results.points,
            "groups": results.groups,
            "best": results.best,
            "best_group": results.best_group,
        });
        if let Some(halving) = &record.halving {
            json["halving"] = json!(halving);
        }
        if let Some(importance) = &importance {
            json["importance"] = json!(importance);
        }
        return Ok(terminal.json(&json)?);
    }
    let rows = if args.all { Rows::All } else { Rows::Groups };
    sweep_table::print(record, &results, rows, terminal)?;
    if let Some(line) = importance.as_ref().and_then(sweep_table::importance) {
        terminal.remark(&line);
    }
    terminal.remark(&format!("{}; {}", sweep_table::summary(&results), words::summary(log)));
    Ok(())
}
