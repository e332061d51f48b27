//! `pipeline runs`: the history of the store, or one run of it.
//!
//! JSON: a list of `{id, spec, state, pinned, metrics, seconds, started_ms}`, newest last, with a `problem` for a
//! damaged run. For one run its events, one JSON object per line. For a point of a sweep `{run, spec, point, overrides:
//! {KEY: VALUE}, stages: {STAGE: {key, artifact, metrics, params}}}`.

use std::collections::BTreeMap;

use pipeline_core::Manifest;
use pipeline_experiments::recorded::{self, RecordedRun, StageResult, find_run};
use pipeline_experiments::sweep::COMPARED;
use pipeline_store::{RunInfo, Store};
use serde_json::json;

use crate::args::RunsArgs;
use crate::commands::replay;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{date_time, duration};
use crate::table::Table;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When there is no store, no such run, or the store cannot be read.
pub fn run(args: &RunsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let store = door::store(&args.store, terminal)?;
    let runs = store.runs().list()?;
    if let Some(name) = args.run.as_deref().filter(|name| recorded::split(name).is_some()) {
        if args.pin || args.unpin {
            return Err(Failure::new(Exit::Usage, "a run is pinned as a whole").with_help("leave the point away"));
        }
        show_point(&RecordedRun::find(&store, &runs, name)?, args.json.json, terminal)?;
    } else if let Some(name) = &args.run {
        one(args, &store, find_run(&runs, name)?, terminal)?;
    } else if args.json.json {
        terminal.json(&runs)?;
    } else if runs.is_empty() {
        terminal.remark(&format!("no runs in `{}`", store.artifacts().display()));
    } else {
        terminal.data(&table(&runs).render(terminal.out, terminal.out_width()))?;
        for run in &runs {
            if let Some(problem) = &run.problem {
                terminal.remark(&format!("run {} cannot be believed: {problem}", run.id));
            }
        }
    }
    Ok(Exit::Done)
}

fn one(args: &RunsArgs, store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    if args.pin || args.unpin {
        if args.pin {
            store.pin_run(&run.id)?
        } else {
            store.runs().unpin(&run.id)?
        }
        terminal.remark(&format!("run {} is {}", run.id, if args.pin { "pinned" } else { "not pinned" }));
        return Ok(());
    }
    if args.json.json {
        return replay::print_events(store, run, terminal);
    }
    replay::show(store, run, terminal)
}

fn show_point(run: &RecordedRun, json: bool, terminal: &Terminal) -> Result<(), Failure> {
    if json {
        let stages = run.results().into_iter().map(|(stage, result)| {
            let params = result.manifest().into_iter().flat_map(Manifest::params);
            let params: BTreeMap<_, _> = params.map(|(name, json)| (name, value_of(json))).collect();
            let StageResult { key, artifact, metrics, .. } = result;
            (stage, json!({ "key": key, "artifact": artifact, "metrics": metrics, "params": params }))
        });
        let stages: BTreeMap<_, _> = stages.collect();
        return Ok(terminal.json(&json!({
            "run": run.info.id,
            "spec": run.info.spec,
            "point": run.point.as_ref().map(|point| point.point),
            "overrides": run.point.as_ref().map(|point| &point.overrides),
            "stages": stages,
        }))?);
    }
    let mut table = Table::new(&["stage", "artifact", "metrics"]);
    for (stage, result) in run.results() {
        let metrics: Vec<_> = result.metrics.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.row(vec![stage.to_string(), result.artifact.short().to_string(), metrics.join(" ")]);
    }
    Ok(terminal.data(&table.render(terminal.out, terminal.out_width()))?)
}

/// A param of a manifest, which is canonical JSON.
fn value_of(json: &str) -> serde_json::Value {
    serde_json::from_str(json).unwrap_or_else(|_| json.into())
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

/// The most evaluations that a line shows; a sweep has more.
const MAX_SHOWN: usize = 4;

/// The metrics for comparisons: the means, with their stage when there are several; the best if there are many.
fn metrics(run: &RunInfo) -> String {
    let named = run.metrics.iter().filter_map(|(stage, metrics)| Some((stage, COMPARED.value_in(metrics)?)));
    let named: Vec<_> = named.collect();
    match named.as_slice() {
        [(_, value)] => format!("{COMPARED}={value:.4}"),
        many if many.len() > MAX_SHOWN => {
            let best = many.iter().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
            format!("{COMPARED}={best:.4}, the best of {}", many.len())
        }
        several => several.iter().map(|(stage, value)| format!("{stage}={value:.4}")).collect::<Vec<_>>().join(" "),
    }
}
