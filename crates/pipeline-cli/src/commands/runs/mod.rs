//! `pipeline runs`: the history of the store as a table of experiments, or one run of it.
//!
//! JSON: a list of `{id, number, name, spec, state, no_op, pinned, started_ms, seconds, params, metrics, n_points,
//! note, tags, commit: {id, dirty}, command, host, version, instruction_set}`, newest last, with a `problem` for a
//! damaged run. `params` has those that differ between the listed runs of one spec. For one run its events, one JSON
//! object per line. For a point of a sweep `{run, spec, point, overrides: {KEY: VALUE}, stages: {STAGE: {key, artifact,
//! metrics, params}}}`.

mod labels;
mod list;
mod prune;

use std::collections::BTreeMap;

use pipeline_core::Manifest;
use pipeline_experiments::recorded::{self, RecordedRun, StageResult, find_run};
use pipeline_store::{RunInfo, Store};
use serde_json::json;

use crate::args::RunsArgs;
use crate::commands::replay;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
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
        if args.pin || args.unpin || !args.labels.is_empty() {
            return Err(Failure::new(Exit::Usage, "a run is pinned, named and tagged as a whole")
                .with_help("leave the point away"));
        }
        show_point(&RecordedRun::find(&store, &runs, name)?, args.json.json, terminal)?;
    } else if let Some(name) = &args.run {
        one(args, &store, find_run(&runs, name)?, terminal)?;
    } else if runs.is_empty() && !args.json.json && !args.csv {
        terminal.remark(&format!("no runs in `{}`", store.artifacts().display()));
    } else {
        let listed = list::select(args, &store, runs)?;
        if args.prune.prune {
            prune::prune(args, &store, &listed, terminal)?;
        } else {
            list::print(args, &listed, terminal)?;
        }
    }
    Ok(Exit::Done)
}

fn one(args: &RunsArgs, store: &Store, run: &RunInfo, terminal: &Terminal) -> Result<(), Failure> {
    if !args.labels.is_empty() {
        labels::change(&args.labels, store, run, terminal)?;
    }
    if args.pin || args.unpin {
        if args.pin {
            store.pin_run(&run.id)?
        } else {
            store.runs().unpin(&run.id)?
        }
        terminal.remark(&format!("run {} is {}", run.id, if args.pin { "pinned" } else { "not pinned" }));
        return Ok(());
    }
    if !args.labels.is_empty() {
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
    let mut table = Table::new(&["stage", "artifact", "metrics"]).shorten([0]);
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
