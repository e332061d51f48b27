//! The permanent lines: one for each stage with a final state, in columns, like a growing table.
//!
//! Lines about reused stages are withheld until another event, so that a no-op run stays silent.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{Event, EventRecord, RunReason, StageId};

use crate::format::{bytes, count, counted, duration};
use crate::remotes;
use crate::render::kept_warnings::KeptWarnings;
use crate::render::words;
use crate::terminal::{Palette, Terminal, Verbosity, pad, shorten};

/// The number of stages up to which reused ones are named; above it only the summary counts them.
const NAMED_STAGES: usize = 40;

/// The least seconds of a stage that shows its times by kind of work; `--verbose` shows those of all.
const SHOWN_SECONDS: f64 = 1.0;

/// The interval of lines about uploads at the end of a run, in seconds.
const UPLOADING_EVERY_S: u64 = 10;

/// Turns events into lines.
#[derive(Debug)]
pub struct Lines {
    palette: Palette,
    verbosity: Verbosity,
    /// The columns of the longest name.
    longest: usize,
    name_width: usize,
    n_stages: usize,
    held: Vec<String>,
    kept_warnings: KeptWarnings,
    reasons: BTreeMap<StageId, RunReason>,
    /// Stages whose headline is a result and goes to stdout.
    results: BTreeSet<StageId>,
}

impl Lines {
    /// Lines for stderr.
    pub fn new(terminal: &Terminal) -> Self {
        Self {
            palette: terminal.err,
            verbosity: terminal.verbosity,
            longest: 0,
            name_width: 0,
            n_stages: 0,
            held: Vec::new(),
            kept_warnings: KeptWarnings::new(terminal.verbosity),
            reasons: BTreeMap::new(),
            results: BTreeSet::new(),
        }
    }

    /// The lines that `record` adds.
    pub fn on_event(&mut self, record: &EventRecord) -> Vec<String> {
        match &record.event {
            Event::StageWarning { stage, message } => self.on_warning(stage, message),
            Event::StageReused { stage, report, .. } => self.on_reused(stage, &report.warnings),
            Event::RunFinished { .. } => self.on_run_finished(),
            Event::RemoteOff { url, reason } => self.on_remote(&remotes::off(url, reason)),
            Event::RemoteUntrusted { url, n_records } => self.on_remote(&remotes::untrusted(url, *n_records)),
            Event::RemoteTooLarge { url, file, bytes, free_bytes } => {
                self.on_remote(&remotes::too_large(url, file, *bytes, *free_bytes))
            }
            Event::RemoteDamaged { url, file } => self.on_remote(&remotes::damaged(url, file)),
            _ if self.verbosity == Verbosity::Quiet => Vec::new(),
            Event::RunStarted { .. } => self.on_started(&record.event),
            Event::StageAdopted { stage, from, old_version, new_version, .. } => {
                let detail = words::adoption(&from.0, old_version, new_version);
                self.released(Some(self.row(&self.palette.notable("adopted"), stage, &detail)))
            }
            Event::StageStarted { stage, kind, why, .. } => {
                self.reasons.insert(stage.clone(), why.clone());
                if words::has_result_line(kind) {
                    self.results.insert(stage.clone());
                }
                self.released(None)
            }
            Event::StageWaiting { stage, owner } => {
                self.released(Some(self.row(&self.palette.notable("waits"), stage, &format!("for {owner}"))))
            }
            Event::StageSharded { stage, n_shards, n_missing, .. } if (1..*n_shards).contains(n_missing) => {
                let detail = format!("{} to compute", words::of_shards(*n_missing, *n_shards));
                self.released(Some(self.row(&self.palette.dim("|"), stage, &detail)))
            }
            Event::StageHelping { stage, n_shards, n_missing } => {
                let detail = format!("{} to compute, some of them here", words::of_shards(*n_missing, *n_shards));
                self.released(Some(self.row(&self.palette.notable("helps"), stage, &detail)))
            }
            Event::StageHelped { stage, n_shards_computed, seconds } => {
                let detail =
                    format!("{}  {} computed", pad(&duration(*seconds), 6), counted(*n_shards_computed, "shard"));
                self.released(Some(self.row(&self.palette.good("helped"), stage, &detail)))
            }
            Event::StageOutput { stage, line } => self.released(Some(self.row(&self.palette.dim("|"), stage, line))),
            Event::StageFinished { .. } => self.on_finished(&record.event),
            Event::FilePublished { stage, file, path } => {
                vec![self.row(&self.palette.good("wrote"), stage, &format!("{file} to {path}"))]
            }
            Event::ArtifactDropped { stage, bytes: freed } if self.verbosity == Verbosity::Verbose => {
                vec![self.row(&self.palette.dim("dropped"), stage, &bytes(*freed))]
            }
            Event::StageFailed { stage, errors, seconds, .. } => self.on_failed(stage, errors, *seconds),
            Event::StageSkipped { stage, because } => {
                let detail = because.as_ref().map_or("interrupted".to_owned(), |failed| format!("`{failed}` failed"));
                self.released(Some(self.row(&self.palette.notable("skipped"), stage, &detail)))
            }
            Event::RemoteUploading { n_results, bytes: n_bytes, seconds }
                if *seconds as u64 % UPLOADING_EVERY_S == 1 =>
            {
                let (left, sent) = (counted(*n_results, "result"), bytes(*n_bytes));
                let speed = bytes((*n_bytes as f64 / seconds.max(1e-3)) as u64);
                vec![format!(
                    "  {}  {left} left, {sent} sent, {speed}/s; Ctrl-C leaves them for later",
                    self.palette.dim("uploads")
                )]
            }
            Event::ExecutorNoted { message } => {
                self.released(Some(format!("  {}  {message}", pad(&self.palette.notable("slurm"), 7))))
            }
            Event::WorkerStarted { worker, host, instruction_set, .. } if self.verbosity == Verbosity::Verbose => {
                let line = format!("{worker} began on {host} ({instruction_set})");
                self.released(Some(format!("  {}  {line}", pad(&self.palette.dim("worker"), 7))))
            }
            Event::WorkerEnded { worker, seconds, .. } if self.verbosity == Verbosity::Verbose => {
                let line = format!("{worker} ended after {}", duration(*seconds));
                self.released(Some(format!("  {}  {line}", pad(&self.palette.dim("worker"), 7))))
            }
            Event::WorkerStarted { .. }
            | Event::WorkerEnded { .. }
            | Event::ShardComputed { .. }
            | Event::ShardsDone { .. }
            | Event::StageSharded { .. }
            | Event::RemoteUploading { .. }
            | Event::StageProgress { .. }
            | Event::StageRedraw { .. }
            | Event::ArtifactDropped { .. } => Vec::new(),
        }
    }

    /// A warning that is no stage's.
    fn on_remote(&mut self, message: &str) -> Vec<String> {
        self.released(Some(format!("  {}  {message}", self.palette.notable("warning"))))
    }

    /// A line in the columns of the table: the event, the stage, and details.
    pub fn row(&self, word: &str, stage: &StageId, detail: &str) -> String {
        format!("  {}  {}  {detail}", pad(word, 7), self.name(stage)).trim_end().to_owned()
    }

    /// The name of a stage as wide as its column; a long one is cut in its middle where a terminal is narrow.
    pub fn name(&self, stage: &StageId) -> String {
        pad(&shorten(stage.as_str(), self.name_width), self.name_width)
    }

    /// Lets names take two fifths of a terminal, at most.
    pub fn fit_into(&mut self, columns: Option<usize>) {
        self.name_width = self.longest.min(columns.map_or(usize::MAX, |columns| columns * 2 / 5));
    }

    /// The columns of names.
    pub fn name_width(&self) -> usize {
        self.name_width
    }

    /// The reason why a running stage runs, in words.
    pub fn reason(&self, stage: &StageId) -> String {
        self.reasons.get(stage).map(words::reason).unwrap_or_default()
    }

    fn on_started(&mut self, event: &Event) -> Vec<String> {
        let Event::RunStarted { run, spec, stages, n_jobs, n_threads, .. } = event else { return Vec::new() };
        self.n_stages = stages.len();
        self.longest = stages.iter().map(|stage| stage.as_str().len()).max().unwrap_or(0);
        self.name_width = self.longest;
        let facts = format!(
            "{}, {} at once, {}; run {run}",
            counted(stages.len() as u64, "stage"),
            n_jobs,
            counted(*n_threads as u64, "thread"),
        );
        self.held.push(format!("{}: {}", self.palette.bold(spec), self.palette.dim(&facts)));
        Vec::new()
    }

    /// A reused stage, and the warnings of the run that computed it: its result still rests on them.
    fn on_reused(&mut self, stage: &StageId, warnings: &[String]) -> Vec<String> {
        let mut lines = self.reused_line(stage);
        let shown = self.kept_warnings.shown(warnings);
        lines.extend(shown.iter().map(|message| self.warning(stage.as_str(), message)));
        lines
    }

    fn reused_line(&mut self, stage: &StageId) -> Vec<String> {
        if self.verbosity == Verbosity::Quiet || self.n_stages > NAMED_STAGES && self.verbosity < Verbosity::Verbose {
            return Vec::new();
        }
        let line = self.row(&self.palette.dim("reused"), stage, "");
        if self.verbosity == Verbosity::Verbose {
            return self.released(Some(line));
        }
        if self.held.is_empty() {
            return vec![line];
        }
        self.held.push(line);
        Vec::new()
    }

    fn on_finished(&mut self, event: &Event) -> Vec<String> {
        let Event::StageFinished {
            stage,
            bytes: n_bytes,
            n_shards_reused,
            n_shards_computed,
            n_shards_by_others,
            n_rows_computed,
            n_threads,
            seconds,
            unchanged,
            report,
            ..
        } = event
        else {
            return Vec::new();
        };
        let mut details = vec![pad(&duration(*seconds), 6)];
        if let Some(n_rows) = report.n_rows {
            details.push(counted(n_rows, "row"));
        }
        if report.n_rejected > 0 {
            details.push(self.palette.notable(&format!("{} rejected", count(report.n_rejected))));
        }
        let n_shards = n_shards_reused + n_shards_computed + n_shards_by_others;
        if *n_shards_reused > 0 {
            details.push(format!("{} reused", words::of_shards(*n_shards_reused, n_shards)));
        }
        if *n_shards_by_others > 0 {
            details.push(format!("{} computed by others", words::of_shards(*n_shards_by_others, n_shards)));
        }
        details.push(bytes(*n_bytes));
        if *unchanged {
            details.push("same result as before".to_owned());
        }
        let reason = self.reasons.remove(stage).map(|why| words::reason(&why)).unwrap_or_default();
        let detail = format!("{}  {}", details.join("  "), self.palette.dim(&reason));
        let mut lines = self.released(Some(self.row(&self.palette.good("ran"), stage, &detail)));
        let is_shown = *seconds >= SHOWN_SECONDS || self.verbosity == Verbosity::Verbose;
        if is_shown && let Some(spent) = words::spent(&report.seconds, *n_rows_computed, *seconds, *n_threads) {
            lines.push(self.row(&self.palette.dim("|"), stage, &self.palette.dim(&spent)));
        }
        if let Some(headline) = report.headline.as_ref().filter(|_| !self.results.contains(stage)) {
            lines.push(self.row(&self.palette.dim("|"), stage, headline));
        }
        lines
    }

    fn on_failed(&mut self, stage: &StageId, errors: &[String], seconds: f64) -> Vec<String> {
        let message = errors.first().and_then(|message| message.lines().next()).unwrap_or_default();
        let detail = format!("{}  {message}", pad(&duration(seconds), 6));
        self.released(Some(self.row(&self.palette.bad("failed"), stage, &detail)))
    }

    /// The withheld lines, then `line`.
    fn released(&mut self, line: Option<String>) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.held);
        lines.extend(line);
        lines
    }

    /// A warning is shown even with `--quiet`.
    fn on_warning(&mut self, stage: &StageId, message: &str) -> Vec<String> {
        let line = self.warning(stage.as_str(), message);
        self.released(Some(line))
    }

    fn on_run_finished(&mut self) -> Vec<String> {
        let left_out = self.kept_warnings.left_out();
        left_out.map(|message| self.warning("reused stages", &message)).into_iter().collect()
    }

    fn warning(&self, who: &str, message: &str) -> String {
        format!("{}: {who}: {message}", self.palette.notable("warning"))
    }
}
