//! SIGINT and SIGTERM: the first asks the run to stop, the second ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use pipeline_engine::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::terminal::Terminal;

/// Remembers which signal came first.
#[derive(Debug, Clone)]
pub struct SignalWatch(Arc<AtomicI32>);

impl SignalWatch {
    /// Cancels the run at the first signal and ends the program at the second.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn start(cancel: &Cancel, terminal: &Terminal) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let watch = Self(Arc::new(AtomicI32::new(0)));
        let (first, cancel, terminal) = (watch.0.clone(), cancel.clone(), terminal.clone());
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                    signal_hook::low_level::exit(Exit::of_signal(signal).code().into());
                }
                cancel.cancel();
                terminal.note("stopping; finished shards are kept (once more to stop at once)");
            }
        })?;
        Ok(watch)
    }

    /// How the program ends if a signal came.
    pub fn exit(&self) -> Option<Exit> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(Exit::of_signal(signal)),
        }
    }
}
