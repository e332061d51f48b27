//! `pipeline run`: brings every stage of a spec up to date.
//!
//! stdout carries the result line of each evaluation, or with `--json` the events; stderr has the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pipeline_core::{Device, Event, EventRecord, Outcome, RemoteCounts, RunId, StageId};
use pipeline_engine::{Cancel, PerLane, PlanOptions, RunOptions, RunRole, SpecInfo};
use pipeline_experiments::{Loaded, Opened, SpecRef};
use pipeline_store::{Circumstances, Store};

use crate::advice;
use crate::again;
use crate::args::{ExecutionArgs, ExecutorArg, PoolArg, RunArgs};
use crate::card;
use crate::circumstances;
use crate::commands::{adopt, on_slurm, outcome, planned};
use crate::commit;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::memory;
use crate::origin;
use crate::remotes;
use crate::render::{Expected, Renderer, Shown, words};
use crate::signals::SignalWatch;
use crate::terminal::Terminal;

/// The most stages at once without `--jobs`, since each may hold a model in memory.
const MAX_DEFAULT_JOBS: usize = 4;

/// Runs the command.
///
/// # Errors
/// When the run cannot begin, or its history cannot be written.
pub fn run(args: &RunArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    // Only a machine that computes on the device must have it.
    let computes_on_device = args.slurm.pool != Some(PoolArg::Cpu) && !is_on_slurm(args);
    on_slurm::check_arguments(args)?;
    let named = door::spec(&args.spec)?;
    let store = remotes::attach(Store::open(&named.store.folder)?, args.spec.remote.remote.as_deref())?;
    let device = args.execution.device.clone();
    // A plan alone writes nothing.
    let of_kernels = Some(&store).filter(|_| !args.execution.dry_run);
    let card = if computes_on_device { card::open(device, of_kernels)? } else { card::Opened::elsewhere(device) };
    let device = card.device;
    if let Some(exit) = run_unchanged(args, &named, &store, &card, terminal)? {
        return Ok(exit);
    }
    let loaded = Loaded::load(&named, &door::surroundings(), args.publish);
    let loaded = loaded.map_err(|error| advice::of_spec(&args.spec, error))?;
    let whole = Opened::of(&named, loaded, store);
    let asked = whole.settings.environment.asked();
    let circumstances = circumstances::now(&whole.spec.file, &circumstances::options(&named, args.publish), asked);
    let opened = only_targets(whole, args)?;
    // The next run of the whole spec must look at the stages that are left out.
    let circumstances = circumstances.filter(|_| args.stages.is_empty());
    if !args.json && args.slurm.join.is_none() {
        door::note_other_stores(&named.store, terminal);
        note_trial(&opened.unpublished, terminal);
        note_sweep(&named, !opened.spec.sweep.is_empty(), terminal);
        if device == Device::Cuda {
            note_precision(&opened, terminal);
        }
    }
    let plan = opened.plan_options(&args.execution.force.forced, device)?;
    let mut options = options(&args.execution, plan, &card, &named.absolute);
    if args.execution.dry_run {
        options.plan.counts_shards = true;
        let plan = opened.plan(&options.plan).map_err(|error| Failure::of_plan(&opened, error))?;
        planned::show(&opened, &plan, args.json, terminal)?;
        remotes::note_news(&opened.store, terminal);
        return Ok(Exit::Done);
    }
    options.origin.commit = opened.spec.file.parent().and_then(commit::of);
    options.overwrite = args.overwrite;
    on_slurm::let_work(args, &opened, &mut options);
    options.adopted = adopt::adopt(&opened, &args.accept.accepted, &options)?;
    match args.execution.executor {
        ExecutorArg::Local => run_here(args, &opened, circumstances, &options, terminal),
        ExecutorArg::Slurm => on_slurm::run(args, &opened, circumstances, &options, terminal),
    }
}

fn is_on_slurm(args: &RunArgs) -> bool {
    args.execution.executor == ExecutorArg::Slurm
}

/// The spec with the stages that are to run, and those that they need.
fn only_targets(whole: Opened, args: &RunArgs) -> Result<Opened, Failure> {
    let opened = whole.only(&args.stages)?;
    let is_left_out = |name: &&String| opened.left_out.iter().any(|stage| stage.as_str() == name.as_str());
    match args.execution.force.forced.iter().find(is_left_out) {
        Some(name) => {
            Err(Failure::new(Exit::Usage, format!("`{name}` is forced, and no stage that is to run needs it"))
                .with_help(format!("name `{name}` among the stages that are to run")))
        }
        None => Ok(opened),
    }
}

/// Answers without a plan when nothing has changed since the last run; `None` when something may have.
fn run_unchanged(
    args: &RunArgs,
    named: &SpecRef,
    store: &Store,
    card: &card::Opened,
    terminal: &Terminal,
) -> Result<Option<Exit>, Failure> {
    let execution = &args.execution;
    let is_plain = args.stages.is_empty() && execution.force.forced.is_empty() && args.accept.accepted.is_empty();
    if execution.dry_run || args.slurm.join.is_some() || !is_plain {
        return Ok(None);
    }
    let (spec, memory) = (&named.absolute, named.memory());
    let plan = PlanOptions { device: card.device, arithmetic: door::arithmetic(), ..PlanOptions::default() };
    let options = options(&args.execution, plan, card, spec);
    let given = circumstances::options(named, args.publish);
    let is_now = |then: &Circumstances| circumstances::are_now(then, spec, &given);
    // Created with the first event: until then it is open whether this is the answer.
    let mut renderer = None;
    let mut listen = |record: &EventRecord| {
        renderer.get_or_insert_with(|| Renderer::new(terminal, args.json, Expected::default())).on_event(record);
    };
    let run = pipeline_engine::run_unchanged(store, &memory, &options, &is_now, &mut listen);
    let shown = renderer.map(Renderer::finish).unwrap_or_default();
    if run?.is_none() {
        return Ok(None);
    }
    conclude(&shown, Exit::Done, args.json, terminal).map(Some)
}

/// Notes on stderr that a run of a spec with a sweep computes none of its points.
fn note_sweep(named: &SpecRef, has_sweep: bool, terminal: &Terminal) {
    if has_sweep {
        let sweep = again::command("sweep", named);
        terminal
            .remark(&format!("note: the spec has a `sweep`, whose points {sweep} runs; this runs the spec as it is"));
    }
}

/// Notes on stderr that a card is faster where products may round.
fn note_precision(opened: &Opened, terminal: &Terminal) {
    let stages = opened.graph.nodes().iter().filter(|node| node.stage.needs().device);
    let single = stages.filter(|node| is_single(&node.stage.params())).map(|node| format!("`{}`", node.id));
    let single: Vec<String> = single.collect();
    if !single.is_empty() {
        terminal.remark(&format!(
            "note: products of {} are in f32; tensor cores are faster with the param `precision: tf32`",
            single.join(", ")
        ));
    }
}

/// Whether the params of a stage allow no rounding of products.
fn is_single(params: &BTreeMap<String, String>) -> bool {
    params.get("precision").is_none_or(|precision| precision == "\"f16\"")
}

/// Notes on stderr which stages publish nothing.
pub(super) fn note_trial(unpublished: &[StageId], terminal: &Terminal) {
    if !unpublished.is_empty() {
        let names: Vec<_> = unpublished.iter().map(|stage| format!("`{stage}`")).collect();
        terminal.remark(&format!(
            "note: `--set` changes {}, so their files are not published; `--publish` publishes them",
            names.join(", ")
        ));
    }
}

pub(super) fn run_here(
    args: &RunArgs,
    opened: &Opened,
    circumstances: Option<Circumstances>,
    options: &RunOptions,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let info = opened.info(circumstances);
    let expected = expected(&opened.store, &info.path, Vec::new());
    let renderer = Renderer::new(terminal, args.json, expected);
    let (exit, _, shown) = carry_out(opened, &info, options, renderer, terminal)?;
    conclude(&shown, exit, args.json, terminal)
}

/// Prints the results and the summary of a run, unless its events alone are asked for; returns its exit code.
pub(super) fn conclude(
    shown: &Shown,
    exit: Exit,
    has_events_alone: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if !has_events_alone {
        outcome::print_results(&shown.log, terminal)?;
        terminal.remark(&words::summary(&shown.log));
    }
    Ok(unwritten(shown, exit, terminal))
}

/// The run to expect: the stages of a spec, or of its sweeps, take as long as they did last.
pub(super) fn expected(store: &Store, spec: &Path, points: Vec<BTreeSet<StageId>>) -> Expected {
    let stages = store.specs().nearest(spec).map(|last| last.stages).unwrap_or_default();
    Expected { seconds: stages.into_iter().map(|(stage, last)| (stage, last.seconds)).collect(), points }
}

/// The exit code of a run whose events could not all be written to stdout: their reader must learn that some are lost.
fn unwritten(shown: &Shown, exit: Exit, terminal: &Terminal) -> Exit {
    let Some(error) = &shown.unwritten else { return exit };
    let errors = vec!["cannot write to stdout".to_owned(), error.clone()];
    let failure = Failure { errors, ..Failure::new(Exit::Usage, "") };
    failure.with_help("the run itself went on; `pipeline runs last --json` prints its events").report(terminal);
    if exit == Exit::Done { Exit::Usage } else { exit }
}

/// Brings all stages up to date, shown by `renderer`, reports failures, and returns the log.
///
/// # Errors
/// When the run cannot begin, or its history cannot be written.
pub(super) fn carry_out(
    opened: &Opened,
    info: &SpecInfo,
    options: &RunOptions,
    renderer: Renderer,
    terminal: &Terminal,
) -> Result<(Exit, RunId, Shown), Failure> {
    carry_out_with(opened, info, options, renderer, terminal, &Cancel::new(), &mut |_| {})
}

/// The same, with a reaction to every event.
pub(super) fn carry_out_with(
    opened: &Opened,
    info: &SpecInfo,
    options: &RunOptions,
    mut renderer: Renderer,
    terminal: &Terminal,
    cancel: &Cancel,
    on_event: &mut dyn FnMut(&EventRecord),
) -> Result<(Exit, RunId, Shown), Failure> {
    let signals = SignalWatch::start(cancel, terminal)?;
    let options = &RunOptions { abandon: Some(signals.abandon(terminal)), ..options.clone() };
    let mut listen = |record: &EventRecord| {
        if matches!(record.event, Event::StageFinished { .. } | Event::StageFailed { .. }) {
            memory::give_back();
        }
        on_event(record);
        renderer.on_event(record);
    };
    let result = pipeline_engine::run(&opened.graph, &opened.store, info, options, cancel, &mut listen);
    let shown = renderer.finish();
    outcome::report_failures(&shown.log, terminal);
    let summary = result.map_err(|error| {
        let exit = if shown.log.n_stages == 0 { Exit::Usage } else { Exit::StageFailed };
        Failure { exit, ..Failure::of_plan(opened, error) }
    })?;
    if let Some(counts) = summary.remote.filter(|counts| *counts != RemoteCounts::default()) {
        terminal.remark(&format!("remote: {}", remotes::traffic(&counts)));
    }
    let exit = match summary.outcome {
        _ if summary.has_bug => Exit::Bug,
        Outcome::Done => Exit::Done,
        Outcome::Failed => Exit::StageFailed,
        Outcome::Interrupted => signals.exit().unwrap_or(Exit::Interrupted),
    };
    Ok((exit, summary.run, shown))
}

/// The options of a run of the spec in the file at `spec`, on these cards if on any.
pub(super) fn options(args: &ExecutionArgs, plan: PlanOptions, card: &card::Opened, spec: &Path) -> RunOptions {
    let n_threads = args.threads.map_or_else(door::n_threads, usize::from);
    RunOptions {
        adopted: Vec::new(),
        plan,
        n_jobs: PerLane {
            cpu: args.jobs.map_or(n_threads.min(MAX_DEFAULT_JOBS), usize::from),
            gpu: args.gpu_jobs.map_or(card.cards.len().max(1), usize::from),
        },
        cards: card.cards.clone(),
        lost: card.lost.clone(),
        n_threads,
        share: args.share,
        role: RunRole::Work,
        pool: None,
        keep_going: args.keep_going,
        overwrite: false,
        origin: origin::of(spec),
        labels: args.labels.labels(),
        abandon: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_that_allow_no_rounding_are_those_that_a_card_could_speed_up() {
        let with = |precision: Option<&str>| {
            let json = precision.map(|name| ("precision".to_owned(), format!("\"{name}\"")));
            is_single(&json.into_iter().collect())
        };
        assert_eq!([None, Some("f16"), Some("tf32"), Some("bf16")].map(with), [true, true, false, false]);
    }
}
