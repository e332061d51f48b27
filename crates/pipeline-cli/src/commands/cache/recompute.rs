//! `pipeline cache verify SPEC --remote --recompute N`: computes results of the remote again, and compares.
//!
//! The work is done in a store of its own, which is removed afterwards: it reads from the remote all but what it
//! computes, and publishes nothing. JSON: `{remote, n_results, different, not_compared}`, with the names of stages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use pipeline_core::{Device, Digest, Key, Metrics, ShardReport, StageId, StageReport, Tree};
use pipeline_engine::{PerLane, PlanOptions, Remembered, RunOptions};
use pipeline_experiments::{Loaded, Opened, SpecRef, connect};
use pipeline_store::{Record, Store, StoreError};
use serde_json::json;

use crate::again;
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
pub fn verify(args: &CacheVerifyArgs, url: &str, n_results: u32, terminal: &Terminal) -> Result<Exit, Failure> {
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
    let found = pipeline_engine::remembered(&known.graph, &known.store, &known.spec.file, &options)
        .map_err(|error| Failure::of_plan(&known, error))?;
    remotes::note_news(&known.store, terminal);
    let mut results = found.results;
    choose(&mut results, n_results as usize);
    let cannot = |stage: StageId| NotCompared { name: stage.to_string(), why: Why::Unknown };
    let mut outcome = Outcome { not_compared: found.unknown.into_iter().map(cannot).collect(), ..Outcome::default() };
    if !results.is_empty() {
        let again = compute(&named, url, &results, options, scratch.folder(), terminal)?;
        outcome.compare(&results, &known.store, &again)?;
    }
    show(args, url, &named, &outcome, terminal)?;
    Ok(if outcome.is_fine() { Exit::Done } else { Exit::CheckFailed })
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

/// Computes these results again. Returns the store that has them.
fn compute(
    named: &SpecRef,
    url: &str,
    results: &[Remembered],
    plan: PlanOptions,
    scratch: &Path,
    terminal: &Terminal,
) -> Result<Store, Failure> {
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
    match exit {
        Exit::Done => Ok(again.store),
        _ => Err(Failure::new(exit, "not all results could be computed again")),
    }
}

/// The outcome of the comparison.
#[derive(Default)]
struct Outcome {
    /// The chosen results that were computed again.
    n_results: usize,
    different: Vec<Remembered>,
    not_compared: Vec<NotCompared>,
}

/// A stage or shard of which nothing can be said.
struct NotCompared {
    name: String,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A source or an input is missing.
    Unknown,
    /// Its result here is that of another key.
    OtherInput,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::Unknown => "a source or an input of it is missing here",
            Self::OtherInput => "not computed again, since an input came out different",
        }
    }
}

impl Outcome {
    /// Compares the chosen results, and with each shard the result of its stage: readers use that one.
    fn compare(&mut self, chosen: &[Remembered], known: &Store, again: &Store) -> Result<(), StoreError> {
        let shards = chosen.iter().filter(|result| result.is_shard());
        let stages = shards.map(|shard| (shard.stage_key, Remembered { key: shard.stage_key, ..shard.clone() }));
        let stages: BTreeMap<Key, Remembered> = stages.collect();
        for result in chosen.iter().chain(stages.values()) {
            let Some(computed) = facts(again, result)? else {
                self.not_compared.push(NotCompared { name: name(result), why: Why::OtherInput });
                continue;
            };
            if facts(known, result)?.as_ref() != Some(&computed) {
                self.different.push(result.clone());
            }
            self.n_results += usize::from(!stages.contains_key(&result.key));
        }
        Ok(())
    }

    /// True if something was compared, all of that is the same, and nothing hangs on what is not. A machine that lacks
    /// the sources has found nothing.
    fn is_fine(&self) -> bool {
        let is_partial = self.not_compared.iter().any(|left| left.why == Why::OtherInput || self.n_results == 0);
        self.different.is_empty() && !is_partial
    }
}

/// The name of a result, for people.
fn name(result: &Remembered) -> String {
    let shard = if result.is_shard() { format!(", shard {}", result.key.0.short()) } else { String::new() };
    format!("{}{shard}", result.stage)
}

/// The facts of a result that other results and gates rest on.
#[derive(PartialEq)]
enum Facts {
    Stage { tree: Tree, shard_rows: Vec<u64>, metrics: Metrics, n_rows: Option<u64>, n_rejected: u64 },
    Shard { tree: Tree, report: ShardReport },
}

/// The facts of a result in a store. Headlines and warnings are left out: they name paths, and the work of one run.
fn facts(store: &Store, result: &Remembered) -> Result<Option<Facts>, StoreError> {
    if result.is_shard() {
        let record = store.records().get_shard(&result.key)?;
        // The digest of the file is that of the tree.
        return Ok(record
            .map(|Record { tree, report, .. }| Facts::Shard { tree, report: ShardReport { digest: None, ..report } }));
    }
    let record = store.records().get(&result.key)?;
    Ok(record.map(|Record { tree, shard_rows, report, .. }| {
        let StageReport { metrics, n_rows, n_rejected, .. } = report;
        Facts::Stage { tree, shard_rows, metrics, n_rows, n_rejected }
    }))
}

fn show(
    args: &CacheVerifyArgs,
    url: &str,
    named: &SpecRef,
    outcome: &Outcome,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let Outcome { n_results, different, not_compared } = outcome;
    if args.json.json {
        let different: Vec<String> = different.iter().map(name).collect();
        let not_compared: Vec<&String> = not_compared.iter().map(|left| &left.name).collect();
        terminal.json(
            &json!({ "remote": url, "n_results": n_results, "different": different, "not_compared": not_compared }),
        )?;
        return Ok(());
    }
    let mut lines: Vec<String> = different.iter().map(|result| format!("different: {}", name(result))).collect();
    lines.extend(not_compared.iter().map(|left| format!("not compared: {}: {}", left.name, left.why.words())));
    let computed = format!("{} of {url} computed again", counted(*n_results as u64, "result"));
    lines.push(match (different.len(), *n_results) {
        (0, 0) if not_compared.is_empty() => {
            format!("nothing of {url} can be computed again here: it has no result of this spec")
        }
        (0, 0) => format!("nothing of {url} was compared"),
        (0, _) => format!("{computed}: all are the same"),
        (n, _) => {
            format!("{computed}: {n} different; {} with write access replaces them", remedy(named, url, different))
        }
    });
    terminal.data(&lines.join("\n"))?;
    Ok(())
}

/// The command that computes the stages of these results anew.
fn remedy(named: &SpecRef, url: &str, different: &[Remembered]) -> String {
    let stages: BTreeSet<&StageId> = different.iter().map(|result| &result.stage).collect();
    let mut more: Vec<String> = stages.into_iter().map(|stage| format!("--force {stage}")).collect();
    if std::env::var_os(remotes::URL).is_none_or(|known| known != *url) {
        more.push(format!("--remote {}", again::quoted(url)));
    }
    again::command_with("run", named, &more.join(" "))
}
