//! `pipeline runs RUN`: shows a run again, from its recorded events and through the renderer of `run`.

use pipeline_experiments::recorded;
use pipeline_experiments::sweep::{Results, SweepRecord, importance};
use pipeline_store::{RunInfo, RunState, Store};

use crate::commands::outcome;
use crate::failure::Failure;
use crate::render::sweep_table::{self, Rows};
use crate::render::{Renderer, words};
use crate::terminal::Terminal;

/// Shows a run as `run` did, except for its progress.
///
/// # Errors
/// When its events cannot be read or stdout not be written.
pub fn show(store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    let events = store.runs().events(&run.id)?;
    let mut renderer = Renderer::of_the_past(terminal);
    let shown = events.iter().filter(|record| !record.event.is_passing());
    shown.for_each(|record| renderer.on_event(record));
    renderer.finish();
    let log = recorded::log_of(store, &run.id, &events)?;
    outcome::report_failures(&log, terminal);
    if let Some(sweep) = SweepRecord::of_run(store, &run.id)? {
        let results = Results::of(&sweep, &log);
        sweep_table::print(&sweep, &results, Rows::All, terminal)?;
        if let Some(line) = importance(&sweep, &results).as_ref().and_then(sweep_table::importance) {
            terminal.remark(&line);
        }
    } else {
        outcome::print_results(&log, terminal)?;
    }
    terminal.remark(&match run.state {
        RunState::Running => format!("run {} goes on", run.id),
        RunState::Died => format!("run {} ended here without a word", run.id),
        RunState::Done | RunState::Failed | RunState::Interrupted | RunState::Damaged => words::summary(&log),
    });
    Ok(())
}

/// Prints the recorded events verbatim, one JSON object per line.
///
/// # Errors
/// When they cannot be read or stdout not be written.
pub fn print_events(store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    let lines = store.runs().event_lines(&run.id)?;
    Ok(lines.iter().try_for_each(|line| terminal.data(line))?)
}
