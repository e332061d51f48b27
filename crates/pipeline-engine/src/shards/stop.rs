//! How workers end: why, and what must happen even if they panic.

use std::thread;

use pipeline_core::OpenRows;

use super::queue::Queue;

/// Why a worker stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// No shard is left for it.
    NothingLeft,
    /// Another stage wants its card.
    CardIsWanted,
}

/// Stops all workers if one of them panics.
pub(super) struct ClosesOnPanic<'a>(pub(super) &'a Queue);

impl Drop for ClosesOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

/// Takes what lies on a card away when its work there ends.
pub(super) struct Leaves<'a> {
    pub(super) rows: &'a dyn OpenRows,
    pub(super) card: Option<u16>,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.rows.leave(self.card);
    }
}
