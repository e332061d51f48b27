//! `pipeline cache verify SPEC --remote --recompute N`: computes results of the remote again, and compares.
//!
//! The work is done in a store of its own, which is removed afterwards: it reads from the remote all but what it
//! computes, and publishes nothing. JSON: `{remote, n_results, different}`, with the names of stages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use pipeline_core::{Device, Digest, Key, ShardReport, StageReport, Tree};
use pipeline_engine::{PerLane, PlanOptions, Remembered, RunOptions};
use pipeline_experiments::{Loaded, Opened, SpecRef, connect};
use pipeline_store::{Record, Store, StoreError};
use serde_json::json;

use crate::args::{CacheVerifyArgs, RemoteArgs, SpecArgs};
use crate::commands::run;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::remotes;
use crate::render::{Expected, Renderer};
use crate::terminal::Terminal;

/// Computes `n_results` results of the spec again, which chance chooses among those that the remote has.
///
/// # Errors
/// When there is no such spec, the remote cannot be used, or a stage fails.
pub fn verify(args: &CacheVerifyArgs, url: &str, n_results: usize, terminal: &Terminal) -> Result<Exit, Failure> {
    let spec = args.spec.clone().ok_or_else(|| {
        Failure::new(Exit::Usage, "`--recompute` needs a spec, whose results it computes again")
            .with_help("`pipeline cache verify SPEC --remote --recompute 20`")
    })?;
    let remote = RemoteArgs { remote: Some(url.to_owned()) };
    let named = door::spec(&SpecArgs { spec, overrides: Vec::new(), store: args.store.clone(), remote })?;
    let store = Store::open(&named.store.folder)?;
    let scratch = store.workspace().scratch()?;
    let known = opened(&named, &scratch.folder().join("known"), url)?;
    let mut options = known.plan_options(&[], Device::Cpu)?;
    // Other arithmetic may differ in the last bits, which is no forgery.
    options.arithmetic.is_exclusive = true;
    let mut results = pipeline_engine::remembered(&known.graph, &known.store, &known.spec.file, &options)
        .map_err(|error| Failure::of_plan(&known, error))?;
    remotes::note_news(&known.store, terminal);
    choose(&mut results, n_results);
    let different = if results.is_empty() {
        Vec::new()
    } else {
        compute(&named, &known, url, &results, options, scratch.folder(), terminal)?
    };
    show(args, url, results.len(), &different, terminal)?;
    Ok(if different.is_empty() { Exit::Done } else { Exit::CheckFailed })
}

/// The spec with an empty store of its own; it publishes nothing.
fn opened(named: &SpecRef, artifacts: &Path, url: &str) -> Result<Opened, Failure> {
    let mut loaded = Loaded::load(named, &door::surroundings(), false)?;
    loaded.spec.stages.iter_mut().for_each(|stage| stage.publish.clear());
    loaded.graph = connect(&loaded.spec, pipeline_stages::build(&loaded.spec, &loaded.settings)?)?;
    let store = remotes::attach_for_reading(Store::open(artifacts)?, url)?;
    remotes::needed(&store)?;
    Ok(Opened::of(named, loaded, store))
}

/// Keeps `n_results` of them by chance: their writer cannot foresee which.
fn choose(results: &mut Vec<Remembered>, n_results: usize) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = format!("{} {}", now.as_nanos(), std::process::id());
    results.sort_by_cached_key(|result| Digest::of(format!("{seed} {}", result.key.0.hex()).as_bytes()));
    results.truncate(n_results);
}

/// Computes these results again. Returns the names of those that are different.
fn compute(
    named: &SpecRef,
    known: &Opened,
    url: &str,
    results: &[Remembered],
    plan: PlanOptions,
    scratch: &Path,
    terminal: &Terminal,
) -> Result<Vec<String>, Failure> {
    let stages: BTreeSet<String> = results.iter().map(|result| result.stage.to_string()).collect();
    let again = opened(named, &scratch.join("again"), url)?.only(&stages.into_iter().collect::<Vec<_>>())?;
    let remote = remotes::needed(&again.store)?;
    // With a shard, the result of its stage: otherwise the stage would not run.
    let keys: Vec<Key> = results.iter().flat_map(|result| [result.key, result.stage_key]).collect();
    remote.pass_over(&keys);
    let jobs = door::n_threads().min(4);
    let options = RunOptions {
        plan,
        n_jobs: PerLane { cpu: jobs, gpu: 1 },
        n_threads: door::n_threads(),
        ..RunOptions::default()
    };
    let renderer = Renderer::new(terminal, false, Expected::default());
    let (exit, ..) = run::carry_out(&again, &again.info(None), &options, renderer, terminal)?;
    if exit != Exit::Done {
        return Err(Failure::new(exit, "not all results could be computed again"));
    }
    let mut different = Vec::new();
    for result in results {
        if self::result(&known.store, result)? != self::result(&again.store, result)? {
            let shard = if result.is_shard() { format!(", shard {}", result.key.0.short()) } else { String::new() };
            different.push(format!("{}{shard}", result.stage));
        }
    }
    Ok(different)
}

/// A result as a store remembers it, without times: its files, and all that other results and gates take from its
/// report.
fn result(store: &Store, result: &Remembered) -> Result<Option<(Tree, Reported)>, StoreError> {
    if result.is_shard() {
        let record = store.records().get_shard(&result.key)?;
        // The digest of the file is that of the tree.
        return Ok(
            record.map(|Record { tree, report, .. }| (tree, Reported::Shard(ShardReport { digest: None, ..report })))
        );
    }
    let record = store.records().get(&result.key)?;
    let without_times = |report: StageReport| StageReport { seconds: BTreeMap::new(), ..report };
    Ok(record.map(|Record { tree, report, .. }| (tree, Reported::Stage(without_times(report)))))
}

/// The report of a result.
#[derive(PartialEq)]
enum Reported {
    Stage(StageReport),
    Shard(ShardReport),
}

fn show(
    args: &CacheVerifyArgs,
    url: &str,
    n_results: usize,
    different: &[String],
    terminal: &Terminal,
) -> Result<(), Failure> {
    if args.json.json {
        terminal.json(&json!({ "remote": url, "n_results": n_results, "different": different }))?;
        return Ok(());
    }
    let mut lines: Vec<String> = different.iter().map(|name| format!("different: {name}")).collect();
    let computed = format!("{} of {url} computed again", counted(n_results as u64, "result"));
    lines.push(match different.len() {
        _ if n_results == 0 => format!("nothing of {url} can be computed again here: it has no result of this spec"),
        0 => format!("{computed}: all are the same"),
        n => format!("{computed}: {n} different; `pipeline run --force STAGE` with write access replaces them"),
    });
    terminal.data(&lines.join("\n"))?;
    Ok(())
}
