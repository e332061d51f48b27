//! Signals that end the program: the first asks the run to stop, the second ends it at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use pipeline_engine::{Abandon, Cancel};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::terminal::Terminal;

/// How long stages may take to stop after a signal, so that the program ends within two seconds of it.
const GRACE: Duration = Duration::from_millis(1200);

/// Makes a write beyond the limit of file sizes an error like any other, instead of a signal that kills without a word.
/// Programs of stages begin with the default again.
pub fn survive_large_files() {
    // Without the handler everything else works.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Remembers the first signal.
#[derive(Debug, Clone)]
pub struct SignalWatch(Arc<AtomicI32>);

impl SignalWatch {
    /// Cancels the run at the first signal and ends the program at the second.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn start(cancel: &Cancel, terminal: &Terminal) -> io::Result<Self> {
        let mut signals = listen()?;
        let watch = Self(Arc::new(AtomicI32::new(0)));
        let (first, cancel, terminal) = (watch.0.clone(), cancel.clone(), terminal.clone());
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                    signal_hook::low_level::exit(Exit::of_signal(signal).code().into());
                }
                cancel.cancel();
                terminal.note("stopping; finished shards are kept (signal again to stop at once)");
            }
        })?;
        Ok(watch)
    }

    /// The reaction to stages that do not stop: ends the program.
    pub fn abandon(&self, terminal: &Terminal) -> Abandon {
        let (watch, terminal) = (self.clone(), terminal.clone());
        let exit = move || {
            terminal.note("stopped in the middle of a stage; its finished shards are kept");
            signal_hook::low_level::exit(watch.exit().unwrap_or(Exit::Interrupted).code().into());
        };
        Abandon { after: GRACE, exit: Arc::new(exit) }
    }

    /// The exit code if a signal came.
    pub fn exit(&self) -> Option<Exit> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(Exit::of_signal(signal)),
        }
    }
}

/// The signals that end the program. Under `nohup` a closed terminal does not count.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn listen() -> io::Result<Signals> {
    let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
    Signals::new(all.into_iter().filter(|signal| *signal != SIGHUP || !is_ignored(SIGHUP)))
}

/// True if the program was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
