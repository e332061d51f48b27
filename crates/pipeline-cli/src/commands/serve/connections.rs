//! The connections of the server: one thread moves all bytes, a few others compute answers, everything is bounded.
//!
//! Knows no route. A client that sends or receives slowly occupies a connection and never a thread. Each connection
//! carries one request; a stream of events lasts until its client leaves, or does not keep up.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::arrival::{Arrival, Step};
use super::connection::{Connection, State};
use super::request::{Method, Request};
use super::response::{Response, stream_head};

/// The number of answers that are computed at once.
const N_THREADS: usize = 4;
/// The most requests that wait for a thread; more are turned away.
const N_WAITING: usize = 64;
/// The most connections; a new one takes the place of the one that has been silent for longest.
const MAX_CONNECTIONS: usize = 256;
/// The most images that are in memory at once.
const MAX_UPLOADS: usize = 4;
/// The most streams of events.
const MAX_STREAMS: usize = 16;
/// A client may take longer for a large body, such as over a slow tunnel, but must send or receive this many bytes per
/// millisecond.
pub const MIN_BYTES_PER_MS: u64 = 128;
/// The interval at which deadlines and streams are looked at.
const TICK: Duration = Duration::from_millis(100);
/// The bytes of a stream that wait in the system: a slow reader must be noticed.
const STREAM_BUFFER_BYTES: usize = 64 << 10;

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To send a request, to receive a small answer, or to take what a stream has for them.
    pub patience: Duration,
    /// A stream without news says that it lives.
    pub heartbeat: Duration,
    /// How long answers may take after the server was stopped.
    pub end: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { patience: Duration::from_secs(5), heartbeat: Duration::from_secs(15), end: Duration::from_secs(2) }
    }
}

/// The answer to a request.
pub enum Answer<'a> {
    /// A response.
    Response(Response),
    /// A stream of events.
    Stream(Feed<'a>),
}

/// Returns the next bytes of a stream, empty when there is nothing new. It must not wait for anything.
pub type Feed<'a> = Box<dyn FnMut() -> Vec<u8> + Send + 'a>;

/// Computes the answer to a request.
pub type Answering<'a> = &'a (dyn Fn(Request) -> Answer<'a> + Sync);

/// Ends a server.
#[derive(Debug, Clone)]
pub struct Stop {
    is_stopped: Arc<AtomicBool>,
    bell: Arc<UnixStream>,
}

impl Stop {
    /// Ends the server: requests that have arrived are answered.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        ring(&self.bell);
    }
}

/// Wakes the thread that moves bytes. A full pipe wakes it, too.
fn ring(mut bell: &UnixStream) {
    let _ = bell.write(&[1]);
}

/// A server that listens, but does not answer yet.
pub struct Connections {
    listener: TcpListener,
    patience: Patience,
    stop: Stop,
    bell: UnixStream,
}

impl Connections {
    /// A server on these connections.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn new(listener: TcpListener, patience: Patience) -> io::Result<Self> {
        let (bell, to_bell) = UnixStream::pair()?;
        listener.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        to_bell.set_nonblocking(true)?;
        let stop = Stop { is_stopped: Arc::new(AtomicBool::new(false)), bell: Arc::new(to_bell) };
        Ok(Self { listener, patience, stop, bell })
    }

    /// What ends it.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Answers requests until it is stopped. Only the paths in `uploads` take a body.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn serve<'a>(&self, uploads: &'a [&'a str], answering: Answering<'a>) -> io::Result<()> {
        let (tasks, queue) = sync_channel(N_WAITING);
        let (to_done, done) = channel();
        let queue = Mutex::new(queue);
        std::thread::scope(|scope| {
            for _ in 0..N_THREADS {
                let worker = Worker { queue: &queue, done: to_done.clone(), bell: &self.stop.bell, answering };
                std::thread::Builder::new().name("answer".into()).spawn_scoped(scope, move || worker.work())?;
            }
            // The workers end once the sender of tasks is gone, which belongs to the loop.
            Loop { server: self, uploads, tasks, done, all: BTreeMap::new(), n_accepted: 0 }.run();
            Ok(())
        })
    }
}

/// A request with the number of its connection.
type Task = (u64, Request);

/// An answer with the number of its connection, and whether the request wants no body.
type Done<'a> = (u64, Answer<'a>, bool);

/// A thread that computes answers.
struct Worker<'a, 'b> {
    queue: &'b Mutex<Receiver<Task>>,
    done: Sender<Done<'a>>,
    bell: &'b UnixStream,
    answering: Answering<'a>,
}

impl Worker<'_, '_> {
    fn work(self) {
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((number, request)) = next else { return };
            let is_head = request.method == Method::Head;
            // A panic in a request must not end the thread.
            let answer = catch_unwind(AssertUnwindSafe(|| (self.answering)(request)));
            let answer = answer.unwrap_or_else(|_| Answer::Response(Response::text(500, "the program is at fault")));
            if self.done.send((number, answer, is_head)).is_err() {
                return;
            }
            ring(self.bell);
        }
    }
}

/// The thread that moves bytes.
struct Loop<'a, 'b> {
    server: &'b Connections,
    uploads: &'a [&'a str],
    tasks: SyncSender<Task>,
    done: Receiver<Done<'a>>,
    /// The connections, by number and so by age.
    all: BTreeMap<u64, Connection<'a>>,
    n_accepted: u64,
}

impl<'a> Loop<'a, '_> {
    fn run(mut self) {
        let mut accepts = true;
        loop {
            let (rings, may_accept) = self.wait(accepts);
            if rings {
                let mut bell = &self.server.bell;
                while bell.read(&mut [0; 64]).is_ok_and(|n_bytes| n_bytes > 0) {}
            }
            if self.server.stop.is_stopped.load(Ordering::SeqCst) {
                return self.end();
            }
            // Too many open files, for example, is temporary: a tick without accepting lets others end.
            accepts = !may_accept || self.accept().is_ok();
            self.take_answers();
            self.move_bytes();
        }
    }

    /// Waits until something can be done; returns whether the bell has rung and whether somebody connects.
    fn wait(&self, accepts: bool) -> (bool, bool) {
        let mut fds = vec![PollFd::new(&self.server.bell, PollFlags::IN)];
        if accepts {
            fds.push(PollFd::new(&self.server.listener, PollFlags::IN));
        }
        let connections = self.all.values().filter_map(|connection| {
            let wanted = connection.wanted()?;
            Some(PollFd::new(&connection.stream, wanted))
        });
        fds.extend(connections);
        let is_idle = accepts && fds.len() == 2;
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as i64 };
        let ready = poll(&mut fds, if is_idle { None } else { Some(&tick) });
        // Interrupted by a signal: nobody is ready, and the loop looks again.
        let is_ready = |fd: Option<&PollFd<'_>>| ready.is_ok() && fd.is_some_and(|fd| !fd.revents().is_empty());
        (is_ready(fds.first()), accepts && is_ready(fds.get(1)))
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let is_full = self.all.len() >= MAX_CONNECTIONS;
            let silent = if is_full { self.oldest_silent() } else { None };
            if is_full && silent.is_none() && self.all.values().any(Connection::is_new) {
                // First it must be seen what they send.
                return Ok(());
            }
            let stream = match self.server.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A client that has given up.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            if let Some(number) = silent {
                self.all.remove(&number);
            } else if is_full {
                // The server does not wait for a client that does not receive these few bytes at once.
                let full = Response::text(503, "too many connections at once");
                let _ = (&stream).write(&full.into_bytes(false));
                continue;
            }
            self.n_accepted += 1;
            let state = State::Arriving(Arrival::new(self.server.patience.patience));
            self.all.insert(self.n_accepted, Connection { stream, state, is_upload: false });
        }
    }

    /// The oldest connection that has sent no request although it was looked at.
    fn oldest_silent(&self) -> Option<u64> {
        let is_silent = |connection: &Connection<'_>| {
            matches!(&connection.state, State::Arriving(_)) && !connection.is_upload && !connection.is_new()
        };
        self.all.iter().find(|(_, connection)| is_silent(connection)).map(|(number, _)| *number)
    }

    /// Takes the answers that were computed.
    fn take_answers(&mut self) {
        while let Ok((number, answer, is_head)) = self.done.try_recv() {
            let n_streams = self.all.values().filter(|one| matches!(one.state, State::Streaming { .. })).count();
            let patience = &self.server.patience;
            let Some(connection) = self.all.get_mut(&number) else { continue };
            connection.is_upload = false;
            match answer {
                Answer::Response(response) => connection.send(response, is_head, patience),
                Answer::Stream(_) if n_streams >= MAX_STREAMS => {
                    connection.send(Response::text(503, "too many pages follow the runs"), is_head, patience);
                }
                Answer::Stream(feed) => {
                    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&connection.stream, STREAM_BUFFER_BYTES);
                    let (bytes, moved) = (stream_head(), Instant::now());
                    connection.state = State::Streaming { feed, bytes, n_sent: 0, moved };
                }
            }
        }
    }

    /// Lets every connection do what it can without waiting.
    fn move_bytes(&mut self) {
        let mut n_uploads = self.all.values().filter(|connection| connection.is_upload).count();
        let numbers: Vec<u64> = self.all.keys().copied().collect();
        for number in numbers {
            let Some(connection) = self.all.get_mut(&number) else { continue };
            let patience = &self.server.patience;
            // A body that has come with its head is taken at once.
            while let Some(step) = connection.step(self.uploads, patience) {
                match step {
                    Step::BodyBegins if n_uploads < MAX_UPLOADS => {
                        connection.is_upload = true;
                        n_uploads += 1;
                        continue;
                    }
                    Step::BodyBegins => {
                        connection.send(Response::text(503, "too many images at once"), false, patience)
                    }
                    Step::Arrived(request) => {
                        connection.state = State::Working;
                        if self.tasks.try_send((number, request)).is_err() {
                            connection.is_upload = false;
                            connection.send(Response::text(503, "too many requests at once"), false, patience);
                        }
                    }
                    Step::Refused(response) => {
                        connection.is_upload = false;
                        connection.send(response, false, patience);
                    }
                }
                break;
            }
        }
        self.all.retain(|_, connection| !matches!(connection.state, State::Over));
    }

    /// Answers what has arrived, and forgets all others.
    fn end(mut self) {
        let deadline = Instant::now() + self.server.patience.end;
        while Instant::now() < deadline {
            self.take_answers();
            self.move_bytes();
            self.all.retain(|_, one| matches!(one.state, State::Working | State::Sending { .. }));
            if self.all.is_empty() {
                return;
            }
            self.wait(false);
            let mut bell = &self.server.bell;
            while bell.read(&mut [0; 64]).is_ok_and(|n_bytes| n_bytes > 0) {}
        }
    }
}

#[cfg(test)]
mod tests;
