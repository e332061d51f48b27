//! The lines that a live view leaves behind, for a finished run.

use pipeline_core::{Event, EventRecord};

use crate::render::lines::Lines;
use crate::terminal::{Terminal, fit};

/// Writes the finished lines of a recorded run to a terminal.
pub struct Past {
    terminal: Terminal,
    lines: Lines,
}

impl Past {
    /// Lines on stderr.
    pub fn new(terminal: &Terminal) -> Self {
        Self { terminal: terminal.clone(), lines: Lines::new(terminal) }
    }

    /// Writes the lines that `record` adds.
    pub fn on_event(&mut self, record: &EventRecord) {
        let lines = self.lines.on_event(record);
        if matches!(record.event, Event::RunStarted { .. }) {
            self.lines.fit_into(self.terminal.err_width());
        }
        for line in lines {
            self.terminal.note(&fit(&line, self.terminal.err_width()));
        }
    }
}
