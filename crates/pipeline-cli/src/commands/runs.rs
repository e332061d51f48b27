//! `pipeline runs`: the history of the store, or one run of it.
//!
//! JSON: a list of `{id, spec, state, pinned, metrics, seconds, started_ms}`, newest last; of one run its events, one
//! JSON object a line.

use pipeline_store::{RunInfo, Store};

use crate::args::RunsArgs;
use crate::commands::replay;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{date_time, duration};
use crate::locate;
use crate::table::Table;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When there is no store, no such run, or the store cannot be read.
pub fn run(args: &RunsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let store = Store::open(&locate::artifacts_without_spec(args.store.artifacts.as_deref())?)?;
    let runs = store.runs()?;
    if let Some(name) = &args.run {
        one(args, &store, replay::find(&runs, name)?, terminal)?;
    } else if args.json.json {
        terminal.json(&runs)?;
    } else if runs.is_empty() {
        terminal.remark(&format!("no runs in `{}`", store.artifacts().display()));
    } else {
        terminal.data(&table(&runs).render(terminal.out, terminal.out_width()))?;
    }
    Ok(Exit::Done)
}

fn one(args: &RunsArgs, store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    if args.pin || args.unpin {
        store.pin_run(&run.id, args.pin)?;
        terminal.remark(&format!("run {} is {}", run.id, if args.pin { "pinned" } else { "not pinned" }));
        return Ok(());
    }
    if args.json.json {
        return replay::print_events(store, run, terminal);
    }
    replay::show(store, run, terminal)
}

fn table(runs: &[RunInfo]) -> Table {
    let mut table = Table::new(&["run", "started (UTC)", "spec", "state", "took", "pinned", "metrics"]);
    for run in runs {
        table.row(vec![
            run.id.to_string(),
            date_time(run.started_ms),
            run.spec.clone(),
            format!("{:?}", run.state).to_lowercase(),
            run.seconds.map(duration).unwrap_or_default(),
            if run.pinned { "yes".to_owned() } else { String::new() },
            metrics(run),
        ]);
    }
    table
}

/// The metrics that people compare: the means, with their stage when there are several.
fn metrics(run: &RunInfo) -> String {
    let named = run.metrics.iter().filter_map(|(stage, metrics)| Some((stage, metrics.get("mean_recall")?)));
    let named: Vec<_> = named.collect();
    match named.as_slice() {
        [(_, value)] => format!("mean_recall={value:.4}"),
        several => several.iter().map(|(stage, value)| format!("{stage}={value:.4}")).collect::<Vec<_>>().join(" "),
    }
}
