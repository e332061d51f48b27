//! `pipeline cache`: looks after the store.
//!
//! JSON: the figures of `stats`, `verify` and `gc` under the names that the tables show, in bytes.

mod keygen;
mod recompute;
mod remote;

use std::collections::{BTreeMap, BTreeSet};

use pipeline_store::{CollectOptions, CollectReport, Holder, StoreStats, VerifyReport};
use serde_json::json;

use crate::args::{CacheArgs, CacheCommand, CacheGcArgs, CacheStatsArgs, CacheVerifyArgs};
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{bytes, count, counted, date_time};
use crate::table::Table;
use crate::terminal::Terminal;

/// The most quarantined files that are named one by one.
const MAX_NAMED: usize = 20;

/// Runs the command.
///
/// # Errors
/// When there is no store, or it cannot be read or written.
pub fn run(args: &CacheArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.command {
        CacheCommand::Stats(args) => stats(args, terminal),
        CacheCommand::Verify(args) => verify(args, terminal),
        CacheCommand::Gc(args) => gc(args, terminal),
        CacheCommand::Push(args) => remote::push(args, terminal),
        CacheCommand::Pull(args) => remote::pull(args, terminal),
        CacheCommand::Keygen(args) => keygen::run(args, terminal),
    }
}

fn stats(args: &CacheStatsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(url) = args.remote.url() {
        return remote::stats(&args.store, &url, &args.json, terminal);
    }
    let store = door::store(&args.store, terminal)?;
    let stats = store.stats()?;
    if args.json.json {
        let StoreStats { n_objects, rooted_bytes, n_records, n_runs, quarantine_bytes, scratch_bytes, .. } = stats;
        terminal.json(&json!({
            "artifacts": store.artifacts().to_string_lossy(), "n_objects": n_objects, "bytes": stats.bytes,
            "rooted_bytes": rooted_bytes, "n_records": n_records, "n_runs": n_runs,
            "quarantine_bytes": quarantine_bytes, "scratch_bytes": scratch_bytes,
            "bytes_by_stage": stats.bytes_by_stage,
        }))?;
        return Ok(Exit::Done);
    }
    let lines = [
        format!("store    {}", store.artifacts().display()),
        format!("objects  {}, {}", count(stats.n_objects as u64), bytes(stats.bytes)),
        format!("in use   {} by the last, pinned and running runs", bytes(stats.rooted_bytes)),
        format!("records  {} in {}", count(stats.n_records as u64), counted(stats.n_runs as u64, "run")),
        format!("other    {} quarantined, {} being written", bytes(stats.quarantine_bytes), bytes(stats.scratch_bytes)),
    ];
    terminal.data(&lines.join("\n"))?;
    if !stats.bytes_by_stage.is_empty() {
        let table = by_stage(stats.bytes_by_stage.iter().map(|(stage, n_bytes)| (stage, *n_bytes)));
        terminal.data(&format!("\n{}", table.render(terminal.out, terminal.out_width())))?;
    }
    Ok(Exit::Done)
}

fn verify(args: &CacheVerifyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(url) = args.remote.url() {
        return match args.recompute {
            Some(n_results) => recompute::verify(args, &url, n_results, terminal),
            None => remote::verify(&args.store, &url, args.repair, &args.json, terminal),
        };
    }
    let store = door::store(&args.store, terminal)?;
    let report = if args.repair { store.repair()? } else { store.verify()? };
    if args.json.json {
        let damaged = report.damaged_objects.iter().map(
            |object| json!({ "path": object.path.to_string_lossy(), "stage": object.stage, "bytes": object.bytes }),
        );
        let damaged_records: Vec<_> = report.damaged_records.iter().map(|path| path.to_string_lossy()).collect();
        terminal.json(&json!({
            "n_objects": report.n_objects, "bytes": report.bytes, "n_records": report.n_records,
            "n_without_bytes": report.n_without_bytes, "damaged_objects": damaged.collect::<Vec<_>>(),
            "damaged_records": damaged_records, "repaired": args.repair,
        }))?;
    } else {
        terminal.data(&verdict(&report, args.repair))?;
    }
    Ok(if report.is_clean() || args.repair { Exit::Done } else { Exit::CheckFailed })
}

fn verdict(report: &VerifyReport, repair: bool) -> String {
    let mut lines: Vec<String> = report
        .damaged_objects
        .iter()
        .map(|object| {
            let stage = object.stage.as_ref().map(|stage| format!(" of `{stage}`")).unwrap_or_default();
            format!("damaged: {}{stage}, {}", object.path.display(), bytes(object.bytes))
        })
        .collect();
    lines.extend(report.damaged_records.iter().map(|path| format!("damaged: {}", path.display())));
    let n_damaged = lines.len() as u64;
    let seen = format!(
        "{} ({}) and {} read",
        counted(report.n_objects as u64, "file"),
        bytes(report.bytes),
        counted(report.n_records as u64, "record")
    );
    lines.push(match (n_damaged, repair) {
        (0, _) => format!("{seen}: all as they were written"),
        (_, true) => {
            let stages: BTreeSet<&str> =
                report.damaged_objects.iter().filter_map(|object| Some(object.stage.as_ref()?.as_str())).collect();
            let force: String = stages.iter().map(|stage| format!(" --force {stage}")).collect();
            let force = if force.is_empty() { " --force STAGE".to_owned() } else { force };
            format!(
                "{seen}: {n_damaged} damaged, quarantined; a run computes them again once a stage that must run reads \
                 them, and `pipeline run SPEC{force}` does now"
            )
        }
        (_, false) => format!("{seen}: {n_damaged} damaged; `--repair` moves them away"),
    });
    lines.join("\n")
}

fn gc(args: &CacheGcArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if let Some(url) = args.remote.url() {
        return remote::gc(args, &url, terminal);
    }
    let store = door::store(&args.store, terminal)?;
    let options = CollectOptions {
        max_bytes: args.max_size,
        max_age: args.max_age,
        keep_missing: args.keep_missing,
        dry_run: args.dry_run,
    };
    let report = store.collect(&options)?;
    if args.json.json {
        let stages: BTreeMap<_, _> = report
            .stages
            .iter()
            .map(|(stage, collected)| (stage, json!({ "n_files": collected.n_files, "bytes": collected.bytes })))
            .collect();
        let released: Vec<_> = report.released.iter().map(|spec| spec.to_string_lossy()).collect();
        terminal.json(&json!({
            "dry_run": args.dry_run, "freed_bytes": report.freed_bytes, "kept_bytes": report.kept_bytes,
            "quarantine_bytes": report.quarantine_bytes, "quarantined": report.quarantined,
            "n_records": report.n_records, "stages": stages,
            "holders": report.holders, "released": released,
        }))?;
    } else {
        print_collected(&report, args.dry_run, terminal)?;
    }
    Ok(Exit::Done)
}

fn print_collected(report: &CollectReport, dry_run: bool, terminal: &Terminal) -> Result<(), Failure> {
    if !report.stages.is_empty() {
        let mut table = Table::new(&["stage", "files", "size"]).shorten([0]);
        for (stage, collected) in &report.stages {
            table.row(vec![name_of(stage).to_owned(), count(collected.n_files), bytes(collected.bytes)]);
        }
        terminal.data(&table.render(terminal.out, terminal.out_width()))?;
    }
    let freed = bytes(report.freed_bytes + report.quarantine_bytes);
    let word = if dry_run { "would free" } else { "freed" };
    terminal.data(&format!("{word} {freed}, {} stay", bytes(report.kept_bytes)))?;
    print_quarantined(report, dry_run, terminal)?;
    for held in &report.holders {
        terminal.data(&format!("  {} for {}", bytes(held.bytes), holder(&held.holder)))?;
    }
    for spec in &report.released {
        let word = if dry_run { "would be let go" } else { "let go" };
        terminal.data(&format!("{word}: the results of the last run of `{}`, whose file is gone", spec.display()))?;
    }
    Ok(())
}

/// Names what leaves the quarantine: a file may be the only copy of somebody's changes.
fn print_quarantined(report: &CollectReport, dry_run: bool, terminal: &Terminal) -> Result<(), Failure> {
    let word = if dry_run { "would be deleted" } else { "deleted" };
    for file in report.quarantined.iter().take(MAX_NAMED) {
        terminal.data(&format!("  {word} from the quarantine: `{}`, {}", file.name, bytes(file.bytes)))?;
    }
    match report.quarantined.len().saturating_sub(MAX_NAMED) {
        0 => Ok(()),
        n_more => Ok(terminal.data(&format!("  {word} from the quarantine: {n_more} more, which `--json` names"))?),
    }
}

/// The holder of bytes, and the end of its hold where it is not obvious.
fn holder(holder: &Holder) -> String {
    match holder {
        Holder::Spec { spec } => format!("the last run of `{}`", spec.display()),
        Holder::PinnedRun { run } => format!("the pinned run {run} (`pipeline runs {run} --unpin`)"),
        Holder::RunningRun { run } => format!("run {run}, which goes on"),
        Holder::Unreadable { path } => format!("whatever `{}` names, which cannot be read", path.display()),
        Holder::Derived => "indexes of sources, which were used in the last 30 days".to_owned(),
        Holder::Readers => "processes that have them open".to_owned(),
        Holder::Session { host, pid, since_ms, is_foreign: false, .. } => {
            format!("process {pid} of {host}, since {} UTC", date_time(*since_ms))
        }
        Holder::Session { host, pid, since_ms, lock, .. } => format!(
            "process {pid} of {host}, since {} UTC: taken to live for 7 days; if it does not, remove `{}`",
            date_time(*since_ms),
            lock.display()
        ),
    }
}

fn by_stage<'a>(stages: impl Iterator<Item = (&'a String, u64)>) -> Table {
    let mut table = Table::new(&["stage", "size"]).shorten([0]);
    for (stage, n_bytes) in stages {
        table.row(vec![name_of(stage).to_owned(), bytes(n_bytes)]);
    }
    table
}

fn name_of(stage: &str) -> &str {
    if stage.is_empty() { "(of no stage)" } else { stage }
}
