//! `pipeline runs RUN`: shows a run again, from its recorded events and through the renderer of `run`.

use std::collections::BTreeMap;

use pipeline_core::{Event, EventRecord, StageId};
use pipeline_spec::nearest;
use pipeline_store::{RunInfo, RunState, Store};

use crate::commands::outcome;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::Renderer;
use crate::sweep::{self, Results, Rows, SweepRecord};
use crate::terminal::Terminal;

/// The name that stands for the newest run.
const LAST: &str = "last";

/// How many runs a help text names.
const MAX_NAMED: usize = 3;

/// Shows a run as `run` showed it, but for its progress, which is not recorded.
///
/// # Errors
/// When its events cannot be read or stdout not be written.
pub fn show(store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    let events = store.runs().events(&run.id)?;
    let mut renderer = Renderer::of_the_past(terminal);
    events.iter().for_each(|record| renderer.on_event(record));
    let tally = renderer.finish();
    outcome::tell_failures(&tally, terminal);
    if let Some(sweep) = SweepRecord::of_run(store, &run.id)? {
        sweep::print(&sweep, &Results::of(&sweep, &tally), Rows::All, terminal)?;
    } else {
        let kinds = kinds(store, run)?;
        let stages = stages(&events).filter_map(|stage| Some((stage, kinds.get(stage)?.as_str())));
        outcome::print_results(stages, &tally, terminal)?;
    }
    terminal.remark(&match run.state {
        RunState::Running => format!("run {} goes on", run.id),
        RunState::Died => format!("run {} ended here without a word", run.id),
        RunState::Done | RunState::Failed | RunState::Interrupted | RunState::Damaged => tally.summary(),
    });
    Ok(())
}

/// Prints the recorded events as they were recorded, one JSON object a line.
///
/// # Errors
/// When they cannot be read or stdout not be written.
pub fn print_events(store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    let lines = store.runs().event_lines(&run.id)?;
    Ok(lines.iter().try_for_each(|line| terminal.data(line))?)
}

/// The run that `name` means: `last`, `last~1` (the one before) and so on, an id, or the beginning of one id only.
///
/// # Errors
/// When it means none or several: tells the nearest or the newest ids.
pub fn find<'a>(runs: &'a [RunInfo], name: &str) -> Result<&'a RunInfo, Failure> {
    if let Some(back) = name.strip_prefix(LAST).and_then(n_back)
        && let Some(run) = runs.iter().rev().nth(back)
    {
        return Ok(run);
    }
    if let Some(run) = runs.iter().find(|run| run.id.0 == name) {
        return Ok(run);
    }
    let candidates: Vec<_> = runs.iter().filter(|run| !name.is_empty() && run.id.0.starts_with(name)).collect();
    match candidates.as_slice() {
        [run] => Ok(run),
        [] => Err(not_found(runs, name)),
        several => {
            let message = format!("`{name}` is the beginning of {} runs", several.len());
            Err(Failure::new(Exit::Usage, message).with_help(newest(several.iter().copied())))
        }
    }
}

/// How many runs before the last `~N` means; nothing behind `last` is the last itself.
fn n_back(suffix: &str) -> Option<usize> {
    if suffix.is_empty() { Some(0) } else { suffix.strip_prefix('~')?.parse().ok() }
}

fn not_found(runs: &[RunInfo], name: &str) -> Failure {
    let failure = Failure::new(Exit::Usage, format!("there is no run `{name}`"));
    match nearest(name, runs.iter().map(|run| run.id.0.as_str())) {
        Some(near) => failure.with_help(format!("did you mean `{near}`?")),
        None if runs.is_empty() => failure.with_help("nothing has run in this store"),
        None => failure.with_help(newest(runs.iter())),
    }
}

fn newest<'a>(runs: impl DoubleEndedIterator<Item = &'a RunInfo>) -> String {
    let names: Vec<_> = runs.rev().take(MAX_NAMED).map(|run| format!("`{}`", run.id)).collect();
    format!("the newest: {}", names.join(", "))
}

/// The stages of a run in the order in which it looked at them.
fn stages(events: &[EventRecord]) -> impl Iterator<Item = &StageId> {
    events.iter().flat_map(|record| match &record.event {
        Event::RunStarted { stages, .. } => stages.as_slice(),
        _ => &[],
    })
}

/// The kinds of the stages as the recorded spec names them; none when this program cannot read that spec any more.
fn kinds(store: &Store, run: &RunInfo) -> Result<BTreeMap<StageId, String>, Failure> {
    let yaml = store.runs().spec(&run.id)?;
    let spec = yaml.and_then(|yaml| pipeline_spec::parse(&yaml, "spec.yaml".as_ref()).ok());
    let stages = spec.into_iter().flat_map(|spec| spec.stages);
    Ok(stages.map(|stage| (stage.id, stage.kind.value)).collect())
}
