//! A flag that cancels a run, and the reaction to stages that do not stop.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The reaction to stages that do not stop.
#[derive(Clone)]
pub struct Abandon {
    /// How long stages may take to stop after the cancellation.
    pub after: Duration,
    /// Ends the process, and with it the threads of these stages. The run's history is complete by then. If it returns,
    /// the run waits for them after all.
    pub exit: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Abandon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abandon").field("after", &self.after).finish_non_exhaustive()
    }
}

/// Cancels a run; clones share the flag, so that a signal handler may hold one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the run, irrevocably.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once the run is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for signal handlers that set it.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}
