//! `pipeline runs --prune`: removes old runs from the history, and without `--yes` only says which.
//!
//! JSON: `{dry_run, removed: [RUN], spared: [{run, why}]}`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline_experiments::table::Experiment;
use pipeline_store::{Needed, Store};
use serde_json::json;

use super::list::{Listed, number};
use crate::args::RunsArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::{counted, date_time};
use crate::table::Table;
use crate::terminal::Terminal;

/// Removes the runs among these, oldest first, that the arguments select and that nothing needs.
///
/// # Errors
/// When nothing is selected by a limit, or the store cannot be read or written.
pub fn prune(args: &RunsArgs, store: &Store, listed: &Listed, terminal: &Terminal) -> Result<(), Failure> {
    if args.prune.keep.is_none() && args.prune.older_than.is_none() && args.filters.is_empty() {
        return Err(Failure::new(Exit::Usage, "which runs are to be removed is not said").with_help(
            "`--keep 20` keeps the newest, `--older-than 30d` the younger ones, `--filter` selects others",
        ));
    }
    let old = old(args, &listed.experiments);
    let infos: Vec<_> = old.iter().map(|run| run.info.clone()).collect();
    let needed = store.needed_runs(&infos)?;
    let (spared, removed): (Vec<_>, Vec<_>) = old.into_iter().partition(|run| needed.contains_key(&run.info.id));
    if args.prune.yes {
        removed.iter().try_for_each(|run| store.runs().remove(&run.info.id))?;
    }
    if args.json.json {
        let spared = spared.iter().map(|run| json!({ "run": run.info.id, "why": why(&needed[&run.info.id]) }));
        return Ok(terminal.json(&json!({
            "dry_run": !args.prune.yes,
            "removed": removed.iter().map(|run| &run.info.id).collect::<Vec<_>>(),
            "spared": spared.collect::<Vec<_>>(),
        }))?);
    }
    if !removed.is_empty() {
        let mut table = Table::new(&["run", "when (UTC)", "spec", "result"]).shorten([2]);
        for run in &removed {
            let cells = [number(&run.info), date_time(run.info.started_ms), listed.titles[&run.info.id].clone()];
            table.row(cells.into_iter().chain([run.result().to_owned()]).collect());
        }
        terminal.data(&table.render(terminal.out, terminal.out_width()))?;
    }
    let word = if args.prune.yes { "removed" } else { "would remove" };
    terminal.data(&format!("{word} {}", counted(removed.len() as u64, "run")))?;
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    spared.iter().for_each(|run| *reasons.entry(why(&needed[&run.info.id])).or_default() += 1);
    for (reason, n_runs) in reasons {
        terminal.data(&format!("  spares {}: {reason}", counted(n_runs, "run")))?;
    }
    if !args.prune.yes && !removed.is_empty() {
        terminal.remark("`--yes` removes them; results stay cached until `pipeline cache gc`");
    }
    Ok(())
}

/// The runs beyond the newest that are kept, and older than the limit.
fn old<'a>(args: &RunsArgs, runs: &'a [Experiment]) -> Vec<&'a Experiment> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let is_old = |run: &Experiment| {
        let age = now.saturating_sub(Duration::from_millis(run.info.started_ms));
        args.prune.older_than.is_none_or(|limit| age > limit)
    };
    let mut n_left = args.prune.keep.unwrap_or(0);
    let mut old: Vec<&Experiment> = Vec::new();
    for run in runs.iter().rev() {
        if !run.info.is_no_op && n_left > 0 {
            n_left -= 1;
        } else if is_old(run) {
            old.push(run);
        }
    }
    old.reverse();
    old
}

fn why(needed: &Needed) -> String {
    match needed {
        Needed::Running => "it has not ended".to_owned(),
        Needed::Pinned => "pinned".to_owned(),
        Needed::Labelled => "with a name, a note or a tag".to_owned(),
        Needed::Foreign => "its folder does not have the name of a run".to_owned(),
        Needed::Last => "the last of a spec or of its sweeps".to_owned(),
        Needed::Unknown(path) => format!("`{}` cannot be read, and may name it", path.display()),
    }
}
