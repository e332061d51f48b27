//! A flag that asks a run to stop, and what to do when it does not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to do when stages do not stop.
#[derive(Clone)]
pub struct Abandon {
    /// How long stages may take to stop once the run was asked to.
    pub after: Duration,
    /// Ends the process, so that the threads of such stages end. The run's history is complete by then. If it returns,
    /// the run waits for them after all.
    pub exit: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Abandon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abandon").field("after", &self.after).finish_non_exhaustive()
    }
}

/// Asks a run to stop; clones share the flag, so that a signal handler may hold one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop. There is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once the run was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for signal handlers that want to set it.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}
