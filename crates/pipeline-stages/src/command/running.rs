//! A program while it runs: its output, its end, and how it is stopped.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use pipeline_core::{StageContext, StageError};
use rustix::process::Signal;

/// How long a program may take to stop before it is killed: a run must end within two seconds of an interrupt.
const GRACE: Duration = Duration::from_millis(800);

/// How often a silent program is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The lines of a program's output that an error quotes.
const N_QUOTED_LINES: usize = 20;

/// A started program and what it prints.
pub(super) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// The last lines that it printed.
    pub(super) quoted: VecDeque<String>,
}

impl Running {
    /// Starts `command`, its standard output and error in one pipe so that their lines keep their order.
    pub(super) fn start(mut command: Command) -> std::io::Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n_bytes| n_bytes > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines, quoted: VecDeque::new() })
    }

    /// Waits for the end of the program, passes its output on, and stops it when the run is to stop.
    pub(super) fn finish(&mut self, context: &StageContext<'_>) -> Result<ExitStatus, StageError> {
        let failed = |error| StageError::because("the program cannot be waited for", error);
        let mut stopping: Option<Instant> = None;
        let mut exited: Option<Instant> = None;
        // The pipe closes when the program and all that it has started are gone; a daemon that keeps it open is not
        // waited for.
        while exited.is_none_or(|at| at.elapsed() < GRACE) {
            match self.lines.recv_timeout(POLL) {
                Ok(line) => self.keep(context, line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if exited.is_none() && self.child.try_wait().map_err(failed)?.is_some() {
                exited = Some(Instant::now());
            }
            match stopping {
                None if context.host.is_cancelled() => {
                    self.signal(Signal::TERM);
                    stopping = Some(Instant::now());
                }
                Some(since) if since.elapsed() > GRACE => self.signal(Signal::KILL),
                _ => {}
            }
        }
        let status = self.wait(context, stopping).map_err(failed)?;
        if stopping.is_some() { Err(StageError::cancelled()) } else { Ok(status) }
    }

    /// Waits for a program that has closed its output, which it may do long before it ends.
    fn wait(&mut self, context: &StageContext<'_>, mut stopping: Option<Instant>) -> std::io::Result<ExitStatus> {
        let mut pause = Duration::from_micros(50);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if stopping.is_none() && context.host.is_cancelled() {
                self.signal(Signal::TERM);
                stopping = Some(Instant::now());
            }
            if stopping.is_some_and(|since| since.elapsed() > GRACE) {
                self.signal(Signal::KILL);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(POLL);
        }
    }

    fn keep(&mut self, context: &StageContext<'_>, line: String) {
        context.host.output(&line);
        if self.quoted.len() == N_QUOTED_LINES {
            self.quoted.pop_front();
        }
        self.quoted.push_back(line);
    }

    /// Signals the program and what it has started; they may be gone already.
    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _gone = rustix::process::kill_process_group(group, signal);
        }
    }
}

pub(super) fn failure(program: &str, status: ExitStatus, quoted: &[String]) -> StageError {
    use std::os::unix::process::ExitStatusExt as _;
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    };
    StageError::new(format!("`{program}` {how}{}", quote(quoted)))
}

pub(super) fn quote(lines: &[String]) -> String {
    if lines.is_empty() { "; it printed nothing".to_owned() } else { format!("; it printed\n{}", lines.join("\n")) }
}
