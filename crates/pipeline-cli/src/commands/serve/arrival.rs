//! The arrival of a request on a connection, head and body, as its bytes come.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::connections::MIN_BYTES_PER_MS;
use super::request::{self, Head, Request};
use super::response::Response;

/// The most bytes of a request line with its headers.
const MAX_HEAD_BYTES: usize = 8 << 10;

/// The most bytes that one connection takes before it is the turn of the next.
const TURN_BYTES: usize = 1 << 20;

/// A request that arrives.
pub struct Arrival {
    bytes: Vec<u8>,
    head: Option<Head>,
    deadline: Instant,
    is_new: bool,
}

/// A change in the arrival of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The head is there, and a body is to come.
    BodyBegins,
    /// The whole request is there.
    Arrived(Request),
    /// It is refused.
    Refused(Response),
}

impl Arrival {
    /// A request that may take so long to arrive.
    pub fn new(patience: Duration) -> Self {
        Self { bytes: Vec::new(), head: None, deadline: Instant::now() + patience, is_new: true }
    }

    /// Whether nobody has looked for its bytes yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Takes the bytes that are there; `None` when nothing has changed by them.
    ///
    /// # Errors
    /// When the client has gone.
    pub fn step(&mut self, stream: &TcpStream, uploads: &[&str], now: Instant) -> io::Result<Option<Step>> {
        self.is_new = false;
        let n_before = self.bytes.len();
        let is_open = self.read(stream)?;
        let step = match &self.head {
            None => self.take_head(n_before, stream, uploads, now),
            Some(_) => self.take_body(),
        };
        match step {
            None if !is_open => Err(io::ErrorKind::UnexpectedEof.into()),
            None if now >= self.deadline => Ok(Some(Step::Refused(Response::text(408, "the request took too long")))),
            step => Ok(step),
        }
    }

    /// Reads what is there, a turn at most; false once the client sends nothing more.
    fn read(&mut self, mut stream: &TcpStream) -> io::Result<bool> {
        let most = match &self.head {
            None => MAX_HEAD_BYTES + 1,
            Some(head) => head.n_body_bytes,
        };
        let mut chunk = [0; 16 << 10];
        let mut n_left = most.saturating_sub(self.bytes.len()).min(TURN_BYTES);
        while n_left > 0 {
            let n_wanted = n_left.min(chunk.len());
            match stream.read(&mut chunk[..n_wanted]) {
                Ok(0) => return Ok(false),
                Ok(n_bytes) => {
                    self.bytes.extend_from_slice(&chunk[..n_bytes]);
                    n_left -= n_bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes the head apart once it is there.
    fn take_head(&mut self, n_before: usize, mut stream: &TcpStream, uploads: &[&str], now: Instant) -> Option<Step> {
        let from = n_before.saturating_sub(3);
        let Some(end) = self.bytes[from..].windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            let is_too_long = self.bytes.len() > MAX_HEAD_BYTES;
            return is_too_long.then(|| Step::Refused(Response::text(431, "the request is too long")));
        };
        let body = self.bytes.split_off(from + end + 4);
        let head = match request::parse(&self.bytes, uploads) {
            Ok(head) => head,
            Err(response) => return Some(Step::Refused(response)),
        };
        if head.n_body_bytes == 0 {
            return Some(Step::Arrived(head.request));
        }
        self.bytes = body;
        self.bytes.truncate(head.n_body_bytes);
        self.deadline =
            now + Duration::from_millis(head.n_body_bytes as u64 / MIN_BYTES_PER_MS) + (self.deadline - now);
        if head.waits {
            // A client that does not receive these few bytes sends its body after a while anyway.
            let _ = stream.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.head = Some(head);
        Some(Step::BodyBegins)
    }

    /// The whole request, once its body is there.
    fn take_body(&mut self) -> Option<Step> {
        let head = self.head.take_if(|head| self.bytes.len() >= head.n_body_bytes)?;
        Some(Step::Arrived(Request { body: std::mem::take(&mut self.bytes), ..head.request }))
    }
}
