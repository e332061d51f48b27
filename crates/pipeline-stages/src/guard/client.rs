//! The side of the process that has programs guarded.

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

/// The argument with which this program is to call [`guard_programs`](super::guard_programs) and nothing else.
pub const GUARD_ARGUMENT: &str = "guard-programs";

/// The guards that wait for work. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    /// What is started as a guard; `None` where no program can be guarded, and so none be started.
    this_program: Option<PathBuf>,
    idle: Arc<Mutex<Vec<Guard>>>,
}

impl Guards {
    /// Guards of a program that calls [`guard_programs`](super::guard_programs) where its only argument is
    /// [`GUARD_ARGUMENT`].
    pub fn of(this_program: PathBuf) -> Self {
        Self { this_program: Some(this_program), idle: Arc::default() }
    }

    /// A guard without work.
    pub(crate) fn take(&self) -> io::Result<Guard> {
        match self.idle().pop() {
            Some(guard) => Ok(guard),
            None => Guard::start(self.this_program.as_deref().ok_or(io::ErrorKind::Unsupported)?),
        }
    }

    /// Keeps a guard whose program has ended for another one.
    pub(crate) fn give_back(&self, guard: Guard) {
        self.idle().push(guard);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Guard>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guard. Dropped while a program runs, it kills that.
#[derive(Debug)]
pub(crate) struct Guard {
    process: Child,
    socket: UnixStream,
    /// The group of the program that runs.
    group: Option<Pid>,
}

/// What a guard has to say of its program.
#[derive(Debug)]
pub(crate) enum News {
    /// It has ended, and all that it has started.
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
    /// When it cannot be started; the guard is of no use any more only if it is gone itself.
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

    /// Where to wait for [`Guard::news`].
    pub(crate) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// What the guard has to say; waits for it.
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

    /// Asks for the end of the program, politely first, then by force.
    pub(crate) fn stop(&self) {
        // A guard that is gone is noticed where its news are awaited.
        let _ = send(&self.socket, &Request::Stop, None);
    }
}

impl Drop for Guard {
    /// Waits for the end of the guard, and so of all that it guards.
    fn drop(&mut self) {
        // Neither fails but for a guard that is gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.process.wait();
    }
}
