//! The live view: one line with a bar for each running stage; finished lines stay above.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pipeline_core::{Event, EventRecord, StageId};

use crate::printable;
use crate::render::lines::Lines;
use crate::render::rate::Rate;
use crate::render::words;
use crate::terminal::{Terminal, fit, pad};

/// The columns of a bar.
const MAX_BAR: usize = 24;

/// The least columns of a bar: a shorter one shows less than the percentage.
const MIN_BAR: usize = 6;

/// The columns of a row beside the stage's name and the bar, with room for `12,345/29,806 rows, 1,234 rows/s, ETA 15
/// s`.
const BESIDE_BAR: usize = 24 + 46;

/// Redraws the terminal.
pub struct Live {
    terminal: Terminal,
    lines: Lines,
    bars: MultiProgress,
    running: BTreeMap<StageId, Running>,
    name_width: usize,
}

struct Running {
    bar: ProgressBar,
    rate: Rate,
    /// The text before the rows: the number of shards to compute, if not all.
    shards: String,
}

impl Live {
    /// A view on stderr.
    pub fn new(terminal: &Terminal) -> Self {
        Self {
            terminal: terminal.clone(),
            lines: Lines::new(terminal),
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            running: BTreeMap::new(),
            name_width: 0,
        }
    }

    /// Draws what `record` changes.
    pub fn on_event(&mut self, record: &EventRecord) {
        self.drop_finished(&record.event);
        for line in self.lines.on_event(record) {
            // A failure to write to the terminal does not stop the run.
            let _ = self.bars.println(printable::text(&fit(&line, self.terminal.err_width())));
        }
        match &record.event {
            Event::RunStarted { stages, .. } => {
                self.name_width = stages.iter().map(|stage| stage.as_str().len()).max().unwrap_or(0);
            }
            Event::StageStarted { stage, .. } => self.start(stage, record.at_ms),
            Event::StageSharded { stage, n_shards, n_missing } => self.count_shards(stage, *n_missing, *n_shards),
            Event::StageProgress { stage, n_done, total } => self.advance(stage, record.at_ms, *n_done, *total),
            Event::StageRedraw { stage, line } => self.redraw(stage, line),
            _ => {}
        }
    }

    /// Removes the bars and leaves the finished lines.
    pub fn close(self) {
        for running in self.running.values() {
            running.bar.finish_and_clear();
        }
        let _ = self.bars.clear();
    }

    fn start(&mut self, stage: &StageId, at_ms: u64) {
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(style("  {spinner}       {prefix}  {elapsed:>4}  {wide_msg}"));
        bar.set_prefix(pad(stage.as_str(), self.name_width));
        bar.set_message(printable::text(&self.lines.reason(stage)));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running.insert(stage.clone(), Running { bar, rate: Rate::since(at_ms), shards: String::new() });
    }

    fn advance(&mut self, stage: &StageId, at_ms: u64, n_done: u64, total: Option<u64>) {
        let Some(running) = self.running.get_mut(stage) else { return };
        if let (Some(total), None) = (total, running.bar.length()) {
            running.bar.set_style(style(&with_bar(self.name_width, self.terminal.err_width())));
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
    }
}

/// The template of a row with a known total. On a narrow terminal speed and remaining time matter more than the bar.
fn with_bar(name_width: usize, columns: Option<usize>) -> String {
    let n_free = columns.map_or(MAX_BAR, |columns| columns.saturating_sub(name_width + BESIDE_BAR));
    let bar = match n_free.min(MAX_BAR) {
        0..MIN_BAR => String::new(),
        width => format!("{{bar:{width}}} "),
    };
    format!("  {{spinner}}       {{prefix}}  {{elapsed:>4}}  {bar}{{percent:>3}}%  {{wide_msg}}")
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
