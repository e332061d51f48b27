//! One connection: a request arrives, its answer is sent, the client leaves. No step waits for anything.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::arrival::{Arrival, Step};
use super::connections::{Feed, MIN_BYTES_PER_MS, Patience};
use super::response::Response;

/// How long the server waits for a client to close after its answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection.
pub struct Connection<'a> {
    /// Its socket, which never waits.
    pub stream: TcpStream,
    /// Its state.
    pub state: State<'a>,
    /// Whether it has an image in memory.
    pub is_upload: bool,
}

/// The state of a connection.
pub enum State<'a> {
    /// The request arrives.
    Arriving(Arrival),
    /// A thread computes the answer.
    Working,
    /// The answer is sent.
    Sending {
        /// The whole answer.
        bytes: Vec<u8>,
        /// The number of bytes that are sent.
        n_sent: usize,
        /// When it must be sent.
        deadline: Instant,
    },
    /// Events are sent as they come.
    Streaming {
        /// The source of events.
        feed: Feed<'a>,
        /// What its reader has not got; nothing is taken from the source before that is sent.
        bytes: Vec<u8>,
        /// The number of these bytes that are sent.
        n_sent: usize,
        /// When something was sent last.
        moved: Instant,
    },
    /// The answer is sent, and the client has not left: closing with unread bytes would reset the connection.
    Leaving {
        /// When it ends without the client.
        deadline: Instant,
    },
    /// It ends.
    Over,
}

impl Connection<'_> {
    /// Whether nobody has looked for its bytes yet.
    pub fn is_new(&self) -> bool {
        matches!(&self.state, State::Arriving(arrival) if arrival.is_new())
    }

    /// The changes that it waits for; `None` while it waits for its answer.
    pub fn wanted(&self) -> Option<PollFlags> {
        match &self.state {
            State::Arriving(_) | State::Leaving { .. } => Some(PollFlags::IN),
            State::Sending { .. } => Some(PollFlags::OUT),
            State::Streaming { bytes, .. } if bytes.is_empty() => Some(PollFlags::IN),
            State::Streaming { .. } => Some(PollFlags::IN | PollFlags::OUT),
            State::Working | State::Over => None,
        }
    }

    /// Begins to send a response.
    pub fn send(&mut self, response: Response, is_head: bool, patience: &Patience) {
        let bytes = response.into_bytes(is_head);
        let size = Duration::from_millis(bytes.len() as u64 / MIN_BYTES_PER_MS);
        self.state = State::Sending { bytes, n_sent: 0, deadline: Instant::now() + patience.patience + size };
    }

    /// Does what it can without waiting; returns what has arrived.
    pub fn step(&mut self, uploads: &[&str], patience: &Patience) -> Option<Step> {
        let now = Instant::now();
        match &mut self.state {
            State::Arriving(arrival) => match arrival.step(&self.stream, uploads, now) {
                Ok(step) => return step,
                Err(_) => self.state = State::Over,
            },
            State::Working | State::Over => {}
            State::Sending { bytes, n_sent, deadline } => match send(&self.stream, bytes, n_sent) {
                Ok(true) => {
                    let leaves = self.stream.shutdown(Shutdown::Write).is_ok();
                    self.state = if leaves { State::Leaving { deadline: now + FAREWELL } } else { State::Over };
                }
                Ok(false) if now < *deadline => {}
                Ok(false) | Err(_) => self.state = State::Over,
            },
            State::Streaming { feed, bytes, n_sent, moved } => {
                if bytes.is_empty() {
                    *bytes = feed();
                    if bytes.is_empty() && now.duration_since(*moved) >= patience.heartbeat {
                        *bytes = b": nothing new\n\n".to_vec();
                    }
                    if !bytes.is_empty() {
                        *moved = now;
                    }
                }
                let before = *n_sent;
                let sent = send(&self.stream, bytes, n_sent);
                if *n_sent > before {
                    *moved = now;
                }
                match sent {
                    Ok(true) => (*bytes, *n_sent) = (Vec::new(), 0),
                    Ok(false) if now.duration_since(*moved) < patience.patience => {}
                    Ok(false) | Err(_) => return self.over(),
                }
                if has_left(&self.stream) {
                    self.state = State::Over;
                }
            }
            State::Leaving { deadline } => {
                if now >= *deadline || has_left(&self.stream) {
                    self.state = State::Over;
                }
            }
        }
        None
    }

    fn over(&mut self) -> Option<Step> {
        self.state = State::Over;
        None
    }
}

/// Sends what can be sent at once; true when that was all.
fn send(mut stream: &TcpStream, bytes: &[u8], n_sent: &mut usize) -> io::Result<bool> {
    while *n_sent < bytes.len() {
        match stream.write(&bytes[*n_sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n_bytes) => *n_sent += n_bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Discards what the client sends, a bounded number of bytes; true once it has closed.
fn has_left(mut stream: &TcpStream) -> bool {
    let mut chunk = [0; 16 << 10];
    for _ in 0..64 {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            }
        }
    }
    false
}
