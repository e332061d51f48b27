//! `pipeline cache push`, `cache pull`, and the commands that look after the remote.
//!
//! JSON: the figures of each under the names that the text shows, in bytes.

use std::path::PathBuf;

use pipeline_core::{Key, StageId};
use pipeline_engine::Decision;
use pipeline_experiments::recorded::find_run;
use pipeline_experiments::{SpecRef, StoreRef};
use pipeline_store::{PulledTree, RemoteLink, Store};
use serde_json::json;

use crate::again;
use crate::args::{CacheGcArgs, CachePullArgs, CachePushArgs, JsonArgs, SpecArgs, StoreArgs};
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{bytes, count, counted};
use crate::remotes;
use crate::spec_or_run::{RunsOfStore, SpecOrRun};
use crate::terminal::Terminal;

/// Uploads the last results of a spec or the results of a run, or what earlier runs have left.
///
/// # Errors
/// When there is no such spec or run, or the remote does not take the results.
pub fn push(args: &CachePushArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (store, keys) = match &args.subject {
        None => (door::store(&args.store, terminal)?, Vec::new()),
        Some(subject) => recorded(subject, &args.overrides, &args.store, terminal)?,
    };
    let store = remotes::attach(store, args.remote.remote.as_deref())?;
    let remote = remotes::needed(&store)?;
    let keys = store.with_shards(&keys)?;
    let pushed = remote.push(&keys).map_err(|error| remotes::failure(remote, &error))?;
    if args.json.json {
        terminal.json(&json!({
            "remote": remote.url(), "n_records": pushed.n_records, "n_objects": pushed.n_objects,
            "bytes": pushed.bytes, "n_there": pushed.n_there, "n_without_objects": pushed.n_without_objects,
        }))?;
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "{}: {} and {} uploaded, {}; {} there already",
        remote.url(),
        counted(pushed.n_records as u64, "result"),
        counted(pushed.n_objects as u64, "file"),
        bytes(pushed.bytes),
        count(pushed.n_there as u64),
    );
    if pushed.n_without_objects > 0 {
        text.push_str(&format!(
            "\n{} without files: the spec does not retain them, or they are not in this store",
            counted(pushed.n_without_objects as u64, "result")
        ));
    }
    terminal.data(&text)?;
    Ok(Exit::Done)
}

/// The store of a spec or a run that has run here, and the keys of its results.
fn recorded(
    subject: &str,
    overrides: &[String],
    args: &StoreArgs,
    terminal: &Terminal,
) -> Result<(Store, Vec<Key>), Failure> {
    match SpecOrRun::find(subject, args, terminal)? {
        SpecOrRun::Spec(spec) => {
            let named = SpecRef::at(&spec, overrides, args.artifacts.as_deref())?;
            let (store, spec) = (Store::open(&named.store.folder)?, &named.absolute);
            // With overrides, those runs alone: another trial's results are not what was asked for.
            let specs = store.specs();
            let last = if overrides.is_empty() { specs.newest_last(spec) } else { specs.last(&named.memory()) };
            let last = last.ok_or_else(|| {
                Failure::new(Exit::Usage, format!("`{}` has not run in this store", spec.display()))
                    .with_help(format!("`pipeline run {}` first", again::quoted(&again::spec_word(spec))))
            })?;
            terminal.remark(&format!("the results of run {}", last.run));
            Ok((store, last.stages.values().map(|stage| stage.key).collect()))
        }
        SpecOrRun::Runs(named) => of_run(named, subject, overrides),
    }
}

/// The store of a run, and the keys of its results.
fn of_run(named: RunsOfStore, name: &str, overrides: &[String]) -> Result<(Store, Vec<Key>), Failure> {
    let run = match find_run(&named.runs, name) {
        Ok(run) => run.id.clone(),
        Err(no_run) => return Err(named.neither(name, no_run)),
    };
    if !overrides.is_empty() {
        let message = format!("`--set` is about a spec, and `{name}` is a run");
        return Err(Failure::new(Exit::Usage, message).with_help("a run has the results of its own settings"));
    }
    let keys = named.store.keys_of_run(&run)?;
    Ok((named.store, keys))
}

/// Fetches the files of all retained results of a spec or of a run, for work without the remote.
///
/// # Errors
/// When there is no such spec or run, or the store cannot be written.
pub fn pull(args: &CachePullArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (store, keys, unknown) = match SpecOrRun::find(&args.subject, &args.store, terminal)? {
        SpecOrRun::Spec(spec) => planned(args, spec)?,
        SpecOrRun::Runs(named) => {
            let (store, keys) = of_run(named, &args.subject, &args.overrides)?;
            (remotes::attach(store, args.remote.remote.as_deref())?, keys, Vec::new())
        }
    };
    let remote = remotes::needed(&store)?;
    let mut n_results = 0;
    let mut missing: Vec<StageId> = unknown;
    for key in &keys {
        match store.pull(key)? {
            PulledTree::Here => n_results += 1,
            PulledTree::Incomplete(stage) => missing.push(stage),
            PulledTree::NotRetained => {}
        }
    }
    remotes::note_news(&store, terminal);
    let n_bytes = remote.counts().bytes_down;
    if args.json.json {
        terminal.json(&json!({
            "remote": remote.url(), "n_results": n_results, "bytes_down": n_bytes, "missing": missing,
        }))?;
    } else {
        let results = counted(n_results as u64, "result");
        terminal.data(&format!("{}: all files of {results} are here, {} received", remote.url(), bytes(n_bytes)))?;
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|stage| format!("`{stage}`")).collect();
            terminal.data(&format!("not there: {}; a run computes them", names.join(", ")))?;
        }
    }
    Ok(if missing.is_empty() { Exit::Done } else { Exit::CheckFailed })
}

/// The keys of the results that a run of the spec would reuse, and the other stages.
fn planned(args: &CachePullArgs, spec: PathBuf) -> Result<(Store, Vec<Key>, Vec<StageId>), Failure> {
    let overrides = args.overrides.clone();
    let spec = SpecArgs { spec, overrides, store: args.store.clone(), remote: args.remote.clone() };
    let opened = door::open(&spec)?;
    let plan = door::plan_what_is_there(&opened)?;
    let (mut keys, mut unknown) = (Vec::new(), Vec::new());
    for stage in plan.stages {
        match stage.decision {
            Decision::Reuse { key, .. } => keys.push(key),
            _ => unknown.push(stage.id),
        }
    }
    Ok((opened.store, keys, unknown))
}

/// Opens the remote of a command that looks after it; it needs no store.
fn only_remote(args: &StoreArgs, url: &str) -> Result<Store, Failure> {
    let folder = StoreRef::above(&door::here(), args.artifacts.as_deref())
        .map_or_else(|_| door::here().join("artifacts"), |store| store.folder);
    let store = remotes::attach(Store::open(&folder)?, Some(url))?;
    remotes::needed(&store)?;
    Ok(store)
}

fn in_remote<T>(
    args: &StoreArgs,
    url: &str,
    act: impl FnOnce(&RemoteLink) -> Result<T, pipeline_store::RemoteError>,
) -> Result<(String, T), Failure> {
    let store = only_remote(args, url)?;
    let remote = remotes::needed(&store)?;
    let done = act(remote).map_err(|error| remotes::failure(remote, &error))?;
    Ok((remote.url().to_owned(), done))
}

/// Counts the files of the remote.
///
/// # Errors
/// When they cannot be listed.
pub fn stats(store: &StoreArgs, url: &str, json: &JsonArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (url, stats) = in_remote(store, url, RemoteLink::stats)?;
    if json.json {
        terminal.json(&json!({
            "remote": url, "n_objects": stats.n_objects, "bytes": stats.bytes, "n_records": stats.n_records,
            "record_bytes": stats.record_bytes,
        }))?;
    } else {
        let lines = [
            format!("remote   {url}"),
            format!("objects  {}, {}", count(stats.n_objects as u64), bytes(stats.bytes)),
            format!("records  {}, {}", count(stats.n_records as u64), bytes(stats.record_bytes)),
        ];
        terminal.data(&lines.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// Reads every file of the remote and compares it with its name.
///
/// # Errors
/// When they cannot be listed, read or, with `repair`, removed.
pub fn verify(
    store: &StoreArgs,
    url: &str,
    repair: bool,
    json: &JsonArgs,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let (url, report) = in_remote(store, url, |remote| remote.verify(repair))?;
    if json.json {
        terminal.json(&json!({
            "remote": url, "n_objects": report.n_objects, "bytes": report.bytes, "n_records": report.n_records,
            "n_untrusted": report.n_untrusted, "damaged": report.damaged, "repaired": repair,
        }))?;
    } else {
        let mut lines: Vec<String> = report.damaged.iter().map(|name| format!("damaged: {url}/{name}")).collect();
        let seen = format!(
            "{} ({}) and {} read",
            counted(report.n_objects as u64, "file"),
            bytes(report.bytes),
            counted(report.n_records as u64, "record")
        );
        lines.push(match (lines.len(), repair) {
            (0, _) => format!("{seen}: all as their names say"),
            (n, true) => format!("{seen}: {n} damaged, removed; runs that need them compute them again"),
            (n, false) => format!("{seen}: {n} damaged; `pipeline cache verify --remote --repair` removes them"),
        });
        if report.n_untrusted > 0 {
            lines.push(remotes::untrusted(&url, report.n_untrusted as u64));
        }
        terminal.data(&lines.join("\n"))?;
    }
    let is_sound = report.n_untrusted == 0 && (report.damaged.is_empty() || repair);
    Ok(if is_sound { Exit::Done } else { Exit::CheckFailed })
}

/// Removes old files from the remote.
///
/// # Errors
/// When no age is given, or the files cannot be listed or removed.
pub fn gc(args: &CacheGcArgs, url: &str, terminal: &Terminal) -> Result<Exit, Failure> {
    let older_than = args.older_than.ok_or_else(|| {
        Failure::new(Exit::Usage, "`cache gc --remote` needs an age")
            .with_help("`--older-than 90d` removes results that were uploaded before that")
    })?;
    let (url, report) = in_remote(&args.store, url, |remote| remote.collect(older_than, args.dry_run))?;
    if args.json.json {
        terminal.json(&json!({
            "remote": url, "dry_run": args.dry_run, "n_records": report.n_records, "n_objects": report.n_objects,
            "freed_bytes": report.freed_bytes, "kept_bytes": report.kept_bytes,
        }))?;
    } else {
        let word = if args.dry_run { "would free" } else { "freed" };
        terminal.data(&format!(
            "{url}: {word} {} of {} and {}, {} stay",
            bytes(report.freed_bytes),
            counted(report.n_records as u64, "record"),
            counted(report.n_objects as u64, "file"),
            bytes(report.kept_bytes)
        ))?;
    }
    Ok(Exit::Done)
}
