//! Lines on a stderr that is not a terminal.

use std::collections::BTreeMap;

use pipeline_core::{Event, EventRecord, StageId};

use crate::render::lines::Lines;
use crate::render::rate::Rate;
use crate::render::words;
use crate::terminal::{Terminal, Verbosity};

/// The interval at which a running stage reports its progress.
const PROGRESS_EVERY_MS: u64 = 10_000;

/// Writes one line for each event.
pub struct Plain {
    terminal: Terminal,
    lines: Lines,
    running: BTreeMap<StageId, Running>,
}

struct Running {
    shown_at_ms: u64,
    /// The time when a redrawn line of a program was last shown.
    redrawn_at_ms: Option<u64>,
    rate: Rate,
    /// The text before the rows: the finished shards, where workers report them.
    shards: String,
}

impl Plain {
    /// Lines for stderr.
    pub fn new(terminal: &Terminal) -> Self {
        Self { terminal: terminal.clone(), lines: Lines::new(terminal), running: BTreeMap::new() }
    }

    /// Writes the lines that `record` adds.
    pub fn on_event(&mut self, record: &EventRecord) {
        for line in self.lines.on_event(record) {
            self.terminal.note(&line);
        }
        match &record.event {
            Event::StageStarted { stage, .. } => self.on_started(stage, record.at_ms),
            Event::ShardsDone { stage, n_done, n_shards } => {
                if let Some(running) = self.running.get_mut(stage) {
                    running.shards = format!("{}, ", words::of_shards(*n_done, *n_shards));
                }
            }
            Event::StageProgress { stage, n_done, total } => self.on_progress(stage, record.at_ms, *n_done, *total),
            Event::StageRedraw { stage, line } => self.on_redraw(stage, record.at_ms, line),
            Event::StageFinished { stage, .. } | Event::StageFailed { stage, .. } => {
                self.running.remove(stage);
            }
            _ => {}
        }
    }

    fn on_started(&mut self, stage: &StageId, at_ms: u64) {
        let running =
            Running { shown_at_ms: at_ms, redrawn_at_ms: None, rate: Rate::since(at_ms), shards: String::new() };
        self.running.insert(stage.clone(), running);
        self.terminal.remark(&self.lines.row("runs", stage, &self.lines.reason(stage)));
    }

    fn on_progress(&mut self, stage: &StageId, at_ms: u64, n_done: u64, total: Option<u64>) {
        let Some(running) = self.running.get_mut(stage) else { return };
        running.rate.sample(at_ms, n_done);
        if at_ms < running.shown_at_ms + PROGRESS_EVERY_MS || self.terminal.verbosity == Verbosity::Quiet {
            return;
        }
        running.shown_at_ms = at_ms;
        let rows = format!("{}{}", running.shards, words::progress(n_done, total, &running.rate));
        self.terminal.note(&self.lines.row("...", stage, &rows));
    }

    /// The first text of a line at once, as a sign of life, then one per interval.
    fn on_redraw(&mut self, stage: &StageId, at_ms: u64, line: &str) {
        let Some(running) = self.running.get_mut(stage) else { return };
        let is_due = running.redrawn_at_ms.is_none_or(|redrawn_ms| at_ms >= redrawn_ms + PROGRESS_EVERY_MS);
        if is_due && self.terminal.verbosity > Verbosity::Quiet {
            running.redrawn_at_ms = Some(at_ms);
            self.terminal.note(&self.lines.row(self.terminal.err.dim("|").as_str(), stage, line));
        }
    }
}
