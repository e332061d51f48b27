//! The live view: one line for the whole run, below it one with a bar for each running stage; finished lines stay
//! above.
//!
//! A screen that is too low for all of them shows the first, and their number has a place in the line of the run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use pipeline_core::{Event, EventRecord, StageId};

use crate::format::count;
use crate::printable;
use crate::render::forecast::{self, Expected, Forecast};
use crate::render::lines::Lines;
use crate::render::rate::Rate;
use crate::render::words;
use crate::terminal::{Terminal, fit};

/// The columns of a bar.
const MAX_BAR: usize = 24;

/// The least columns of a bar: a shorter one shows less than the percentage.
const MIN_BAR: usize = 6;

/// The columns of a row beside the stage's name and the bar, with room for `12,345/29,806 rows, 1,234 rows/s, ETA 15
/// s`.
const BESIDE_BAR: usize = 24 + 46;

/// The columns of a terminal that has room for more than the name and the rows of a stage.
const LEAST_COLUMNS: usize = 60;

/// The template of a row on a narrower terminal.
const NARROW: &str = "  {prefix}  {wide_msg}";

/// The rows of a screen that bars never take: for the line of the run, a finished stage and the cursor.
const OTHER_ROWS: usize = 3;

/// The rows of a screen whose height is unknown.
const SOME_ROWS: usize = 24;

/// The interval at which lines are drawn anew, for times that pass.
const TICK: Duration = Duration::from_millis(120);

/// Redraws the terminal.
pub struct Live {
    terminal: Terminal,
    lines: Lines,
    bars: MultiProgress,
    whole: Whole,
    running: BTreeMap<StageId, Running>,
    /// The columns for which the bars were last laid out.
    columns: Option<usize>,
}

/// The line of the whole run.
struct Whole {
    forecast: Forecast,
    /// `None` until the first stage runs: a run that only reuses results shows no more than its end.
    bar: Option<ProgressBar>,
    /// When the run ends, in milliseconds since 1970-01-01 UTC; 0 where that is unknown.
    ends_ms: Arc<AtomicU64>,
}

struct Running {
    bar: ProgressBar,
    /// Whether the screen has a row for it.
    is_shown: bool,
    rate: Rate,
    /// The text before the rows: the number of shards to compute, if not all.
    shards: String,
}

impl Live {
    /// A view on stderr.
    pub fn new(terminal: &Terminal, expected: Expected) -> Self {
        Self {
            terminal: terminal.clone(),
            lines: Lines::new(terminal),
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            whole: Whole { forecast: Forecast::new(expected), bar: None, ends_ms: Arc::default() },
            running: BTreeMap::new(),
            columns: terminal.err_width(),
        }
    }

    /// Draws what `record` changes.
    pub fn on_event(&mut self, record: &EventRecord) {
        self.drop_finished(&record.event);
        let lines = self.lines.on_event(record);
        if matches!(record.event, Event::RunStarted { .. }) {
            self.lines.fit_into(self.columns);
        }
        for line in lines {
            // A failure to write to the terminal does not stop the run.
            let _ = self.bars.println(printable::text(&fit(&line, self.terminal.err_width())));
        }
        match &record.event {
            Event::StageStarted { stage, .. } => self.start(stage, record.at_ms),
            Event::StageSharded { stage, n_shards, n_missing, .. } => self.count_shards(stage, *n_missing, *n_shards),
            Event::ShardsDone { stage, n_done, n_shards } => {
                if let Some(running) = self.running.get_mut(stage) {
                    running.shards = format!("{}, ", words::of_shards(*n_done, *n_shards));
                }
            }
            Event::StageProgress { stage, n_done, total } => self.advance(stage, record.at_ms, *n_done, *total),
            Event::StageRedraw { stage, line } => self.redraw(stage, line),
            _ => {}
        }
        self.lay_out();
        let n_hidden = self.running.values().filter(|running| !running.is_shown).count();
        self.whole.on_event(record, n_hidden);
    }

    /// Removes the bars and leaves the finished lines.
    pub fn close(self) {
        for running in self.running.values() {
            running.bar.finish_and_clear();
        }
        if let Some(bar) = &self.whole.bar {
            bar.finish_and_clear();
        }
        let _ = self.bars.clear();
    }

    fn start(&mut self, stage: &StageId, at_ms: u64) {
        self.whole.show(&self.bars);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style(&without_rows(self.columns)));
        bar.set_prefix(self.lines.name(stage));
        bar.set_message(printable::text(&self.lines.reason(stage)));
        let running = Running { bar, is_shown: false, rate: Rate::since(at_ms), shards: String::new() };
        self.running.insert(stage.clone(), running);
        self.show_hidden();
    }

    /// Shows as many bars as the screen has rows for.
    fn show_hidden(&mut self) {
        let n_rows = self.terminal.err_height().unwrap_or(SOME_ROWS).saturating_sub(OTHER_ROWS).max(1);
        let n_shown = self.running.values().filter(|running| running.is_shown).count();
        let hidden = self.running.values_mut().filter(|running| !running.is_shown);
        for running in hidden.take(n_rows.saturating_sub(n_shown)) {
            running.bar = self.bars.add(running.bar.clone());
            running.bar.enable_steady_tick(TICK);
            running.is_shown = true;
        }
    }

    /// Lays the bars out anew after the terminal has become wider or narrower.
    fn lay_out(&mut self) {
        let columns = self.terminal.err_width();
        if columns == self.columns {
            return;
        }
        self.columns = columns;
        self.lines.fit_into(columns);
        for (stage, running) in &self.running {
            let template = match running.bar.length() {
                Some(_) => with_bar(self.lines.name_width(), columns),
                None => without_rows(columns),
            };
            running.bar.set_style(style(&template));
            running.bar.set_prefix(self.lines.name(stage));
        }
    }

    fn advance(&mut self, stage: &StageId, at_ms: u64, n_done: u64, total: Option<u64>) {
        let Some(running) = self.running.get_mut(stage) else { return };
        if let (Some(total), None) = (total, running.bar.length()) {
            running.bar.set_style(style(&with_bar(self.lines.name_width(), self.columns)));
            running.bar.set_length(total);
        }
        running.rate.sample(at_ms, n_done);
        running.bar.set_position(n_done);
        let rows = words::progress(n_done, total, &running.rate);
        running.bar.set_message(format!("{}{rows}", running.shards));
    }

    fn count_shards(&mut self, stage: &StageId, n_missing: u64, n_shards: u64) {
        let Some(running) = self.running.get_mut(stage) else { return };
        if (1..n_shards).contains(&n_missing) {
            running.shards = format!("{}, ", words::of_shards(n_missing, n_shards));
        }
    }

    /// Shows the line of a program in place of the reason why the stage runs.
    fn redraw(&mut self, stage: &StageId, line: &str) {
        if let Some(running) = self.running.get(stage) {
            running.bar.set_message(line.trim().to_owned());
        }
    }

    fn drop_finished(&mut self, event: &Event) {
        let (Event::StageFinished { stage, .. } | Event::StageFailed { stage, .. }) = event else { return };
        if let Some(running) = self.running.remove(stage) {
            running.bar.finish_and_clear();
            self.bars.remove(&running.bar);
        }
        self.show_hidden();
    }
}

impl Whole {
    fn show(&mut self, bars: &MultiProgress) {
        if self.bar.is_some() || self.forecast.n_stages() < 2 {
            return;
        }
        let bar = bars.insert(0, ProgressBar::no_length());
        let ends_ms = self.ends_ms.clone();
        let eta = move |_: &ProgressState, line: &mut dyn Write| {
            let ends_ms = ends_ms.load(Ordering::Relaxed);
            // Writing to a line in memory does not fail.
            let _ = line.write_str(&forecast::eta((ends_ms > 0).then_some(ends_ms), now_ms()));
        };
        bar.set_style(style("  {msg}{eta_of_run}").with_key("eta_of_run", eta));
        bar.enable_steady_tick(TICK);
        self.bar = Some(bar);
    }

    fn on_event(&mut self, record: &EventRecord, n_hidden: usize) {
        self.forecast.on_event(record);
        self.ends_ms.store(self.forecast.ends_ms().unwrap_or(0), Ordering::Relaxed);
        let Some(bar) = &self.bar else { return };
        let hidden = if n_hidden == 0 { String::new() } else { format!(", {} more running", count(n_hidden as u64)) };
        bar.set_message(format!("{}{hidden}", self.forecast.done()));
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64)
}

/// The template of a row with a known total. On a narrow terminal speed and remaining time matter more than the bar.
fn with_bar(name_width: usize, columns: Option<usize>) -> String {
    if is_narrow(columns) {
        return NARROW.to_owned();
    }
    let n_free = columns.map_or(MAX_BAR, |columns| columns.saturating_sub(name_width + BESIDE_BAR));
    let bar = match n_free.min(MAX_BAR) {
        0..MIN_BAR => String::new(),
        width => format!("{{bar:{width}}} "),
    };
    format!("  {{spinner}}       {{prefix}}  {{elapsed:>4}}  {bar}{{percent:>3}}%  {{wide_msg}}")
}

/// The template of a row without a known total.
fn without_rows(columns: Option<usize>) -> String {
    if is_narrow(columns) { NARROW } else { "  {spinner}       {prefix}  {elapsed:>4}  {wide_msg}" }.to_owned()
}

fn is_narrow(columns: Option<usize>) -> bool {
    columns.is_some_and(|columns| columns < LEAST_COLUMNS)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed").progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_gives_way_to_the_numbers() {
        assert!(with_bar(20, Some(120)).contains("{bar:24} "));
        assert!(with_bar(20, Some(100)).contains("{bar:10} "));
        assert!(!with_bar(20, Some(80)).contains("bar"));
        assert!(with_bar(20, None).contains("{bar:24} "));
    }
}
