//! The guard process: starts a program, waits for its end, ends the processes that it leaves.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::descendants::{Descendant, descendants, signal};
use super::wire::{End, Program, Reply, Request, receive, send};

/// How long leftover processes may finish by themselves, such as the `tee` of the output, before they are ended.
const SETTLING: Duration = Duration::from_millis(200);

/// How long a program may take to stop before it is killed: a run must end within two seconds of an interrupt.
const GRACE: Duration = Duration::from_millis(800);

/// The interval of searches for processes to kill.
const AGAIN: Duration = Duration::from_millis(10);

/// How long killing may take before the guard gives up: a process may wait for a disk, or belong to another user.
const PATIENCE: Duration = Duration::from_secs(2);

/// Guards programs until the client process is gone; for [`GUARD_ARGUMENT`](super::GUARD_ARGUMENT).
pub fn guard_programs() {
    // There is no place to report an error: the client notices that the guard is gone.
    let _ = Guarding::new().and_then(|mut guarding| guarding.serve());
}

struct Guarding {
    socket: UnixStream,
    /// Readable when a child has changed.
    children: UnixStream,
    watched: Option<Watched>,
}

/// The running program, or its leftover processes.
struct Watched {
    /// The program; also the number of its group.
    program: Pid,
    /// Its exit status, once it has ended.
    status: Option<WaitStatus>,
    step: Step,
    /// The time of the next step; `None` while the program has no limit.
    due: Option<Instant>,
    /// The time when killing began.
    killing_since: Option<Instant>,
    /// The names of its leftover processes.
    left: Vec<String>,
}

/// The progress of ending a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It runs.
    Run,
    /// It has ended, and its leftover processes may finish.
    Settle,
    /// All were asked to end.
    Terminate,
    /// All are killed.
    Kill,
}

impl Guarding {
    fn new() -> io::Result<Self> {
        // Without a terminal, a program that asks there fails at once. This fails only for a session leader, which has
        // none either.
        let _ = rustix::process::setsid();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // A guard must outlive its program. Uses handlers and not `ignore`, which programs would inherit.
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
        let (children, notifier) = UnixStream::pair()?;
        children.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGCHLD, notifier)?;
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self { socket, children, watched: None })
    }

    fn serve(&mut self) -> io::Result<()> {
        let result = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.kill_all();
        result
    }

    /// Waits for the next event; false once the client is gone.
    fn turn(&mut self) -> io::Result<bool> {
        let (is_asked, has_children_news) = self.wait()?;
        if has_children_news {
            let mut bytes = [0; 64];
            while self.children.read(&mut bytes).is_ok_and(|n_bytes| n_bytes == bytes.len()) {}
        }
        if is_asked {
            match receive(&self.socket)? {
                None => return Ok(false),
                Some((Request::Start(program), Some(output))) => self.start(&program, output)?,
                Some((Request::Stop, _)) => self.stop(),
                Some((Request::Start(_), None)) => return Err(io::Error::other("no output came with a program")),
            }
        }
        self.advance()?;
        Ok(true)
    }

    fn wait(&self) -> io::Result<(bool, bool)> {
        let due = self.watched.as_ref().and_then(|watched| watched.due);
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut files = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.children, PollFlags::IN)];
        match poll(&mut files, timeout.as_ref()) {
            Ok(_) => Ok((!files[0].revents().is_empty(), !files[1].revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok((false, false)),
            Err(error) => Err(error.into()),
        }
    }

    fn start(&mut self, program: &Program, output: OwnedFd) -> io::Result<()> {
        let reply = match spawn(program, output) {
            Ok(pid) => {
                self.watched = Some(Watched::new(pid));
                Reply::Started(pid.as_raw_nonzero().get())
            }
            Err(error) => Reply::NotStarted(error.raw_os_error(), error.to_string()),
        };
        send(&self.socket, &reply, None)
    }

    fn stop(&mut self) {
        if let Some(watched) = self.watched.as_mut().filter(|watched| matches!(watched.step, Step::Run | Step::Settle))
        {
            watched.terminate(&descendants(rustix::process::getpid()));
        }
    }

    /// Reaps children that have ended, and takes the next step that is due.
    fn advance(&mut self) -> io::Result<()> {
        let has_children = self.reap()?;
        let Some(watched) = &mut self.watched else { return Ok(()) };
        let now = Instant::now();
        if watched.status.is_some() && has_children && watched.step == Step::Run {
            (watched.step, watched.due) = (Step::Settle, Some(now + SETTLING));
        }
        let mut survivors = Vec::new();
        if has_children && watched.due.is_some_and(|due| due <= now) {
            let alive = descendants(rustix::process::getpid());
            if watched.step == Step::Settle {
                watched.left = names(&alive);
                watched.terminate(&alive);
            } else if watched.killing_since.is_some_and(|since| since.elapsed() > PATIENCE) {
                survivors = names(&alive);
            } else {
                watched.kill(&alive);
            }
        }
        if has_children && survivors.is_empty() {
            return Ok(());
        }
        let Some(Watched { status, left, .. }) = self.watched.take() else { return Ok(()) };
        let (code, signal) =
            (status.and_then(WaitStatus::exit_status), status.and_then(WaitStatus::terminating_signal));
        send(&self.socket, &Reply::Ended(End { code, signal, left, survivors }), None)
    }

    /// Reaps children that have ended; false when there are none left.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Some(watched) = self.watched.as_mut().filter(|watched| watched.program == pid) {
                        watched.status = Some(status);
                    }
                }
                Ok(None) => return Ok(true),
                Err(rustix::io::Errno::CHILD) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Kills all processes, as far as possible.
    fn kill_all(&mut self) {
        let since = Instant::now();
        let Some(mut watched) = self.watched.take() else { return };
        while self.reap().unwrap_or(false) && since.elapsed() < PATIENCE {
            watched.kill(&descendants(rustix::process::getpid()));
            std::thread::sleep(AGAIN / 10);
        }
    }
}

impl Watched {
    fn new(program: Pid) -> Self {
        Self { program, status: None, step: Step::Run, due: None, killing_since: None, left: Vec::new() }
    }

    fn terminate(&mut self, alive: &[Descendant]) {
        self.signal(alive, Signal::TERM);
        (self.step, self.due) = (Step::Terminate, Some(Instant::now() + GRACE));
    }

    fn kill(&mut self, alive: &[Descendant]) {
        self.signal(alive, Signal::KILL);
        self.killing_since.get_or_insert_with(Instant::now);
        (self.step, self.due) = (Step::Kill, Some(Instant::now() + AGAIN));
    }

    /// Signals all; where /proc is not mounted, only the group is known.
    fn signal(&self, alive: &[Descendant], number: Signal) {
        if alive.is_empty() {
            let _gone = rustix::process::kill_process_group(self.program, number);
        }
        signal(alive, number);
    }
}

/// Starts the program in its own group, with its standard output and error in one file, so that lines keep their order.
fn spawn(program: &Program, output: OwnedFd) -> io::Result<Pid> {
    let [name, args @ ..] = program.args.as_slice() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let child = Command::new(&program.path)
        .arg0(name)
        .args(args)
        .current_dir(&program.folder)
        .env_clear()
        .envs(program.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("the system gave a process no number"))
}

fn names(processes: &[Descendant]) -> Vec<String> {
    processes.iter().map(|process| process.name.clone()).collect()
}
