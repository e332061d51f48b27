//! The arguments of `pipeline runs`, and the labels that people give to runs.

use std::time::Duration;

use clap::Args;
use pipeline_experiments::recorded::{InvalidLabel, check_label};
use pipeline_experiments::table::{RunFilter, SortOrder};
use pipeline_store::RunLabels;

use super::cache::parse_age;
use super::{JsonArgs, StoreArgs};
use crate::completing;

/// The labels of a run that begins.
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// Give the run a name: a word that stands for it wherever a run is named.
    #[arg(long, value_name = "NAME", value_parser = check_label, conflicts_with = "dry_run")]
    pub name: Option<String>,
    /// Give the run a note.
    #[arg(long, value_name = "TEXT", conflicts_with = "dry_run")]
    pub note: Option<String>,
    /// Give the run a tag (repeatable).
    #[arg(long = "tag", value_name = "TAG", value_parser = check_label, conflicts_with = "dry_run")]
    pub tags: Vec<String>,
}

impl LabelArgs {
    /// The labels.
    pub fn labels(&self) -> RunLabels {
        let note = self.note.as_deref().map(str::trim).filter(|note| !note.is_empty()).map(str::to_owned);
        RunLabels { name: self.name.clone(), note, tags: self.tags.iter().cloned().collect() }
    }
}

/// Arguments of `runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// The run to show again: its number, its name, its id, the beginning of that, `last`, or `last~1` for the one
    /// before; RUN:POINT for a point of a sweep.
    #[arg(add = completing::runs())]
    pub run: Option<String>,
    /// The labels to change.
    #[command(flatten)]
    pub labels: RelabelArgs,
    /// Pin the run: `cache gc` spares its results.
    #[arg(long, requires = "run", conflicts_with_all = ["unpin", "json"])]
    pub pin: bool,
    /// Unpin the run.
    #[arg(long, requires = "run", conflicts_with = "json")]
    pub unpin: bool,
    /// Also list runs in which nothing ran.
    #[arg(long, conflicts_with_all = ["run", "prune"])]
    pub all: bool,
    /// List only runs with this property (repeatable): KEY=VALUE, or with `!=`, `<`, `<=`, `>`, `>=`. KEY is `spec`
    /// (its name or the end of its path), `name`, `tag`, `note`, `result`, a metric, STAGE.METRIC or STAGE.params.NAME;
    /// `*` stands for any characters.
    #[arg(long = "filter", value_name = "CONDITION", conflicts_with = "run")]
    pub filters: Vec<RunFilter>,
    /// List the highest last, by a metric, STAGE.METRIC or STAGE.params.NAME; `-KEY` lists it first [default: date].
    #[arg(long, value_name = "KEY", allow_hyphen_values = true, conflicts_with_all = ["run", "prune"])]
    pub sort: Option<SortOrder>,
    /// List only the N newest, or the N highest of `--sort`.
    #[arg(long, value_name = "N", conflicts_with_all = ["run", "prune"])]
    pub limit: Option<usize>,
    /// Print CSV on stdout.
    #[arg(long, conflicts_with_all = ["run", "prune", "json"])]
    pub csv: bool,
    /// The runs to remove.
    #[command(flatten)]
    pub prune: PruneArgs,
    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub json: JsonArgs,
}

/// The labels of a recorded run, and how they change.
#[derive(Debug, Args)]
pub struct RelabelArgs {
    /// Give the run a name; an empty text takes it away.
    #[arg(long, value_name = "NAME", value_parser = label_or_nothing, requires = "run", conflicts_with = "json")]
    pub name: Option<String>,
    /// Give the run a note; an empty text takes it away.
    #[arg(long, value_name = "TEXT", requires = "run", conflicts_with = "json")]
    pub note: Option<String>,
    /// Give the run a tag (repeatable).
    #[arg(long = "tag", value_name = "TAG", value_parser = check_label, requires = "run", conflicts_with = "json")]
    pub tags: Vec<String>,
    /// Take a tag away (repeatable).
    #[arg(long = "untag", value_name = "TAG", requires = "run", conflicts_with = "json")]
    pub untagged: Vec<String>,
}

impl RelabelArgs {
    /// True if nothing changes.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.note.is_none() && self.tags.is_empty() && self.untagged.is_empty()
    }
}

/// The runs to remove from the history.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Show which old runs would be removed from the history: those that `--keep`, `--older-than` and `--filter`
    /// select.
    ///
    /// Spares running, pinned and labelled runs, and the last run and sweep of each spec. Results stay cached.
    #[arg(long, conflicts_with = "run")]
    pub prune: bool,
    /// Keep the N newest runs in which something ran.
    #[arg(long, value_name = "N", requires = "prune")]
    pub keep: Option<usize>,
    /// Remove only runs that began longer ago than this, such as `30d`.
    #[arg(long, value_name = "AGE", value_parser = parse_age, requires = "prune")]
    pub older_than: Option<Duration>,
    /// Remove the runs that `--prune` selects.
    #[arg(long, requires = "prune")]
    pub yes: bool,
}

fn label_or_nothing(text: &str) -> Result<String, InvalidLabel> {
    if text.is_empty() { Ok(String::new()) } else { check_label(text) }
}
