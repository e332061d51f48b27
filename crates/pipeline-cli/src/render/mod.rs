//! Shows the events of a run: a live view on a terminal, plain lines elsewhere, JSON lines for machines.
//!
//! A renderer only listens. It shows only the contents of events, so that the same code can show a recorded run again.

mod forecast;
mod kept_warnings;
mod lines;
mod live;
mod past;
mod plain;
mod rate;
pub mod sweep_table;
pub mod words;

use std::io;

use pipeline_core::EventRecord;
use pipeline_experiments::recorded::RunLog;

use crate::terminal::{Terminal, Verbosity};
pub use forecast::Expected;
use live::Live;
use past::Past;
use plain::Plain;

/// Shows one run.
pub struct Renderer {
    terminal: Terminal,
    shown: Shown,
    painter: Painter,
}

/// The result of showing a run.
#[derive(Debug, Default)]
pub struct Shown {
    /// Its events, folded.
    pub log: RunLog,
    /// The reason why events are missing on stdout, where they should have been written.
    pub unwritten: Option<String>,
}

enum Painter {
    Live(Live),
    Plain(Plain),
    Past(Past),
    /// Writes nothing after the first failed line.
    Json {
        has_failed: bool,
    },
}

impl Renderer {
    /// A renderer that suits the terminal, or JSON lines on stdout.
    pub fn new(terminal: &Terminal, json: bool, expected: Expected) -> Self {
        let painter = match json {
            true => Painter::Json { has_failed: false },
            false if terminal.is_live && terminal.verbosity > Verbosity::Quiet => {
                Painter::Live(Live::new(terminal, expected))
            }
            false => Painter::Plain(Plain::new(terminal)),
        };
        Self { terminal: terminal.clone(), shown: Shown::default(), painter }
    }

    /// A renderer for the recorded events of a run: on a terminal the permanent lines, elsewhere the same as when it
    /// ran.
    pub fn of_the_past(terminal: &Terminal) -> Self {
        let painter = match terminal.is_live {
            true => Painter::Past(Past::new(terminal)),
            false => Painter::Plain(Plain::new(terminal)),
        };
        Self { terminal: terminal.clone(), shown: Shown::default(), painter }
    }

    /// Shows one event.
    pub fn on_event(&mut self, record: &EventRecord) {
        self.shown.log.add(&record.event);
        match &mut self.painter {
            Painter::Live(live) => live.on_event(record),
            Painter::Plain(plain) => plain.on_event(record),
            Painter::Past(past) => past.on_event(record),
            Painter::Json { has_failed: true } => {}
            Painter::Json { has_failed } => {
                if let Err(error) = write_json(&self.terminal, record) {
                    *has_failed = true;
                    // A reader of stdout that went away needs no message.
                    let is_lost = error.kind() != io::ErrorKind::BrokenPipe;
                    self.shown.unwritten = is_lost.then(|| error.to_string());
                }
            }
        }
    }

    /// Ends the display; returns the folded events.
    pub fn finish(self) -> Shown {
        if let Painter::Live(live) = self.painter {
            live.close();
        }
        self.shown
    }
}

/// Writes an event as one line. A failure does not stop the run.
fn write_json(terminal: &Terminal, record: &EventRecord) -> io::Result<()> {
    terminal.json_line(record)
}
