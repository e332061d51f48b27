//! The client side of guards: the process that has programs guarded.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal};

use super::wire::{End, Program, Reply, Request, receive, send};

/// The only argument with which this program must call [`guard_programs`](super::guard_programs).
pub const GUARD_ARGUMENT: &str = "guard-programs";

/// The idle guards. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    /// The program to start as a guard; `None` where guards are impossible, and so are programs.
    this_program: Option<PathBuf>,
    idle: Arc<Mutex<Vec<Guard>>>,
}

impl Guards {
    /// Guards run by a program that calls [`guard_programs`](super::guard_programs) when its only argument is
    /// [`GUARD_ARGUMENT`].
    pub fn of(this_program: PathBuf) -> Self {
        Self { this_program: Some(this_program), idle: Arc::default() }
    }

    /// Takes an idle guard, or starts one.
    pub(crate) fn take(&self) -> io::Result<Guard> {
        match self.idle().pop() {
            Some(guard) => Ok(guard),
            None => Guard::start(self.this_program.as_deref().ok_or(io::ErrorKind::Unsupported)?),
        }
    }

    /// Returns a guard whose program has ended.
    pub(crate) fn give_back(&self, guard: Guard) {
        self.idle().push(guard);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Guard>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guard. When it is dropped while a program runs, it kills the program.
#[derive(Debug)]
pub(crate) struct Guard {
    process: Child,
    socket: UnixStream,
    /// The process group of the running program.
    group: Option<Pid>,
}

/// News from a guard about its program.
#[derive(Debug)]
pub(crate) enum News {
    /// The program has ended, with all its processes.
    Ended(End),
    /// The guard itself is gone.
    Lost,
}

impl Guard {
    fn start(this_program: &Path) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let process = Command::new(this_program)
            .arg0("pipeline")
            .arg(GUARD_ARGUMENT)
            .current_dir("/")
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, socket, group: None })
    }

    /// Starts a program that prints to `output`.
    ///
    /// # Errors
    /// When it cannot be started; the guard stays usable unless it is gone itself.
    pub(crate) fn run(&mut self, program: Program, output: OwnedFd) -> io::Result<()> {
        send(&self.socket, &Request::Start(program), Some(output.as_fd()))?;
        match receive(&self.socket)? {
            Some((Reply::Started(group), _)) => self.group = Pid::from_raw(group),
            Some((Reply::NotStarted(Some(number), _), _)) => return Err(io::Error::from_raw_os_error(number)),
            Some((Reply::NotStarted(None, words), _)) => return Err(io::Error::other(words)),
            Some((Reply::Ended(_), _)) | None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        Ok(())
    }

    /// The socket on which to wait for [`Guard::news`].
    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// The next news of the guard; waits for it.
    pub(crate) fn news(&mut self) -> News {
        if let Ok(Some((Reply::Ended(end), _))) = receive(&self.socket) {
            self.group = None;
            return News::Ended(end);
        }
        // Without its guard only the group is known.
        if let Some(group) = self.group.take() {
            let _gone = rustix::process::kill_process_group(group, Signal::KILL);
        }
        News::Lost
    }

    /// Requests the end of the program, first politely, then by force.
    pub(crate) fn stop(&self) {
        // Waiting for news detects a guard that is gone.
        let _ = send(&self.socket, &Request::Stop, None);
    }
}

impl Drop for Guard {
    /// Waits for the end of the guard and of everything that it guards.
    fn drop(&mut self) {
        // Both fail only for a guard that is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.process.wait();
    }
}
