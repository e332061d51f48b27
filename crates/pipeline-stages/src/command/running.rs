//! A running program: its output is passed on, and it is stopped on request.

use std::io::{self, PipeReader, Read as _};
use std::time::{Duration, Instant};

use pipeline_core::{StageError, StageHost};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::output::{LastLines, Output};
use crate::guard::{End, Guard, Guards, News, Program};

/// The interval of checks for cancellation.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The number of bytes per read of the output.
const CHUNK_BYTES: usize = 64 << 10;

/// The end of a program, with its last lines.
pub(super) struct Ended {
    pub(super) how: How,
    /// The last lines that it printed.
    pub(super) printed: LastLines,
}

/// The way a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It was stopped after its time limit.
    TimedOut,
}

/// Runs a program to its end; afterwards none of its processes is left.
///
/// # Errors
/// When it cannot be started, with `advice`, or contained, and when the run is cancelled.
pub(super) fn run(
    program: Program,
    guards: &Guards,
    timeout: Option<Duration>,
    advice: &dyn Fn(&io::Error) -> String,
    host: &dyn StageHost,
) -> Result<Ended, StageError> {
    let name = program.args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (mut running, reader) = start(program, guards, &name, advice)?;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let (end, printed) = running.follow(reader, deadline, host)?;
    let stopped = running.stopped;
    if end.survivors.is_empty() {
        guards.give_back(running.guard);
    }
    match stopped {
        Some(Stopped::Cancelled) => return Err(StageError::cancelled()),
        _ if !end.survivors.is_empty() => {
            return Err(StageError::new(format!(
                "`{name}` has left {} running, which cannot be killed",
                list(&end.survivors)
            )));
        }
        None if !end.left.is_empty() => {
            host.warn(format!("`{name}` ended and left {} running, which was ended, too", list(&end.left)));
        }
        _ => {}
    }
    let how = match (stopped, end.code, end.signal) {
        (Some(_), ..) => How::TimedOut,
        (None, Some(code), _) => How::Exited(code),
        (None, None, signal) => How::Signalled(signal.unwrap_or_default()),
    };
    Ok(Ended { how, printed })
}

/// A program and its guard.
struct Running {
    guard: Guard,
    stopped: Option<Stopped>,
}

/// The reason why a program was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Cancelled,
    TimedOut,
}

fn start(
    program: Program,
    guards: &Guards,
    name: &str,
    advice: &dyn Fn(&io::Error) -> String,
) -> Result<(Running, PipeReader), StageError> {
    let unguarded = |error| StageError::because(format!("nothing can be started that guards `{name}`"), error);
    let mut guard = guards.take().map_err(unguarded)?;
    let (reader, writer) = io::pipe().map_err(unguarded)?;
    rustix::io::ioctl_fionbio(&reader, true).map_err(|error| unguarded(error.into()))?;
    if let Err(error) = guard.run(program, writer.into()) {
        let help = advice(&error);
        return Err(StageError::because(format!("`{name}` cannot be started"), error).with_help(help));
    }
    Ok((Running { guard, stopped: None }, reader))
}

impl Running {
    /// Waits for the end of the program, passes its output on, and stops it on request.
    fn follow(
        &mut self,
        mut reader: PipeReader,
        deadline: Option<Instant>,
        host: &dyn StageHost,
    ) -> Result<(End, LastLines), StageError> {
        let mut output = Output::new(host);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut is_open = true;
        loop {
            let (is_printing, has_news) = self.wait(is_open.then_some(&reader), deadline)?;
            if is_printing {
                is_open = read(&mut reader, &mut chunk, &mut output) != Some(0);
            }
            if has_news {
                let News::Ended(end) = self.guard.news() else {
                    return Err(StageError::new("the process that guards the program was ended")
                        .with_help("the program was killed with it; run again"));
                };
                // No process that could print is left: nothing more enters the pipe.
                while read(&mut reader, &mut chunk, &mut output).is_some_and(|n_bytes| n_bytes > 0) {}
                return Ok((end, output.finish()));
            }
            self.stop_if_due(deadline, host);
        }
    }

    /// Waits for output, for news, or for an interval.
    fn wait(&self, reader: Option<&PipeReader>, deadline: Option<Instant>) -> Result<(bool, bool), StageError> {
        let until_deadline = deadline
            .filter(|_| self.stopped.is_none())
            .map_or(LOOK_EVERY, |deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = Timespec::try_from(until_deadline.min(LOOK_EVERY)).ok();
        let mut files = vec![PollFd::new(self.guard.socket(), PollFlags::IN)];
        files.extend(reader.map(|reader| PollFd::new(reader, PollFlags::IN)));
        match poll(&mut files, timeout.as_ref()) {
            Ok(_) => Ok((files.get(1).is_some_and(|file| !file.revents().is_empty()), !files[0].revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok((false, false)),
            Err(error) => Err(StageError::because("the program cannot be waited for", io::Error::from(error))),
        }
    }

    fn stop_if_due(&mut self, deadline: Option<Instant>, host: &dyn StageHost) {
        let is_late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        let reason = match self.stopped {
            Some(Stopped::Cancelled) => return,
            _ if host.is_cancelled() => Stopped::Cancelled,
            None if is_late() => Stopped::TimedOut,
            _ => return,
        };
        self.stopped = Some(reason);
        self.guard.stop();
    }
}

/// Reads the available output into `output`. Returns the number of bytes, 0 at the end, or `None` when there is nothing
/// yet.
fn read(reader: &mut PipeReader, chunk: &mut [u8], output: &mut Output<'_>) -> Option<usize> {
    loop {
        match reader.read(chunk) {
            Ok(n_bytes) => {
                output.push(&chunk[..n_bytes]);
                return Some(n_bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => return Some(0),
        }
    }
}

/// `sleep` and `python`, each name once.
fn list(names: &[String]) -> String {
    let mut names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}
