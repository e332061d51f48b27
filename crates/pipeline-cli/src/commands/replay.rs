//! `pipeline runs RUN`: shows a run again, from its recorded events and through the renderer of `run`.

use std::collections::BTreeMap;

use pipeline_core::{Event, EventRecord, StageId};
use pipeline_experiments::sweep::{Results, SweepRecord};
use pipeline_store::{RunInfo, RunState, Store};

use crate::commands::outcome;
use crate::failure::Failure;
use crate::render::sweep_table::{self, Rows};
use crate::render::{Renderer, words};
use crate::terminal::Terminal;

/// Shows a run as `run` showed it, but for its progress, which is not recorded.
///
/// # Errors
/// When its events cannot be read or stdout not be written.
pub fn show(store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    let events = store.runs().events(&run.id)?;
    let mut renderer = Renderer::of_the_past(terminal);
    events.iter().for_each(|record| renderer.on_event(record));
    let log = renderer.finish().log;
    outcome::tell_failures(&log, terminal);
    if let Some(sweep) = SweepRecord::of_run(store, &run.id)? {
        sweep_table::print(&sweep, &Results::of(&sweep, &log), Rows::All, terminal)?;
    } else {
        let kinds = kinds(store, run)?;
        let stages = stages(&events).filter_map(|stage| Some((stage, kinds.get(stage)?.as_str())));
        outcome::print_results(stages, &log, terminal)?;
    }
    terminal.remark(&match run.state {
        RunState::Running => format!("run {} goes on", run.id),
        RunState::Died => format!("run {} ended here without a word", run.id),
        RunState::Done | RunState::Failed | RunState::Interrupted | RunState::Damaged => words::summary(&log),
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
