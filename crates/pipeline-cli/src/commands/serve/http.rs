//! The part of HTTP/1.1 that a read-only page on this machine needs: one GET per connection, everything bounded.
//!
//! Knows no route. A request must name this machine as its host: a page of another name that resolves to this machine
//! (DNS rebinding) gets nothing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::response::Response;

/// The number of requests that are answered at once.
const N_THREADS: usize = 4;
/// The most connections that wait for a thread; more are turned away.
const N_WAITING: usize = 32;
/// The most bytes of a request line with its headers.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a client may take to send its request, and again to receive a small answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A client may take longer for a large answer, such as over a slow tunnel, but must receive this many bytes per
/// millisecond.
const MIN_BYTES_PER_MS: u64 = 128;
/// How long the server waits for a client to close after its answer.
const FAREWELL: Duration = Duration::from_millis(500);
/// The interval at which a wait checks whether the server should stop.
const TICK: Duration = Duration::from_millis(100);

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The path, still percent-encoded.
    pub path: String,
    /// The text after the `?`, still encoded; may be empty.
    pub query: String,
    /// HEAD: the answer has no body.
    is_head: bool,
}

/// Answers connections until `stop` is true at the next one; answers requests that have arrived by then.
///
/// # Errors
/// When the threads cannot be started.
pub fn serve(
    listener: &TcpListener,
    stop: &AtomicBool,
    answer: &(dyn Fn(&Request) -> Response + Sync),
) -> io::Result<()> {
    let (sender, receiver) = sync_channel(N_WAITING);
    let receiver = Mutex::new(receiver);
    let worker = Worker { receiver: &receiver, stop, answer };
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            std::thread::Builder::new().name("answer".into()).spawn_scoped(scope, || worker.work())?;
        }
        // The workers end once the sender is gone, which belongs to this loop.
        take_connections(listener, stop, sender);
        Ok(())
    })
}

fn take_connections(listener: &TcpListener, stop: &AtomicBool, sender: SyncSender<TcpStream>) {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::SeqCst) {
            return;
        }
        match accepted.map(|(stream, _)| sender.try_send(stream)) {
            Ok(Ok(())) => {}
            Ok(Err(TrySendError::Full(stream) | TrySendError::Disconnected(stream))) => {
                let full = Response::text(503, "too many requests at once");
                // The server does not wait for a client that does not receive these few bytes at once.
                let _ = send(&stream, &full, false, Instant::now() + TICK);
            }
            // A client that has given up, or too many open files: both are temporary.
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

/// A thread that answers connections.
struct Worker<'a> {
    receiver: &'a Mutex<Receiver<TcpStream>>,
    stop: &'a AtomicBool,
    answer: &'a (dyn Fn(&Request) -> Response + Sync),
}

impl Worker<'_> {
    fn work(&self) {
        loop {
            let next = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(stream) = next else { return };
            // A client that has gone needs no answer.
            let _ = self.converse(&stream);
        }
    }

    /// Reads one request, answers it and closes the connection.
    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        let (response, is_head) = match self.read_head(stream)?.and_then(|head| parse(&head)) {
            Ok(request) => {
                // A panic in a request must not end the thread.
                let answered = catch_unwind(AssertUnwindSafe(|| (self.answer)(&request)));
                (answered.unwrap_or_else(|_| Response::text(500, "the program is at fault")), request.is_head)
            }
            Err(response) => (response, false),
        };
        let size = Duration::from_millis(response.body.len() as u64 / MIN_BYTES_PER_MS);
        send(stream, &response, is_head, Instant::now() + PATIENCE + size)?;
        hang_up(stream)
    }

    /// The bytes up to the end of the headers; an answer when there are too many or they arrive too slowly. The outer
    /// error is that of a client that has gone, or whose request was incomplete when the server stopped.
    fn read_head(&self, mut stream: &TcpStream) -> io::Result<Result<Vec<u8>, Response>> {
        let deadline = Instant::now() + PATIENCE;
        let mut head = Vec::new();
        let mut chunk = [0; 1024];
        stream.set_read_timeout(Some(TICK))?;
        while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if head.len() > MAX_HEAD_BYTES {
                return Ok(Err(Response::text(431, "the request is too long")));
            }
            if Instant::now() > deadline {
                return Ok(Err(Response::text(408, "the request took too long")));
            }
            match stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n_bytes) => head.extend_from_slice(&chunk[..n_bytes]),
                Err(error) if is_timeout(&error) && !self.stop.load(Ordering::SeqCst) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(head))
    }
}

/// The request in these bytes, or the answer to an unsupported one.
fn parse(head: &[u8]) -> Result<Request, Response> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Response::text(431, "the request has too many headers")),
        _ => return Err(Response::text(400, "this is not an HTTP request")),
    }
    let values = |name: &str| {
        let named = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value).collect::<Vec<_>>()
    };
    match values("host").as_slice() {
        [host] if is_this_machine(host) => {}
        [_] => return Err(Response::text(403, "only requests to localhost are answered")),
        _ => return Err(Response::text(400, "a request names one host")),
    }
    let is_head = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Response::text(405, "only GET and HEAD are answered")),
    };
    if !values("transfer-encoding").is_empty() || values("content-length").iter().any(|length| *length != b"0") {
        return Err(Response::text(413, "a request has no body here"));
    }
    let target = parsed.path.unwrap_or_default();
    if !target.starts_with('/') {
        return Err(Response::text(400, "the target must begin with a slash"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Request { path: path.to_owned(), query: query.to_owned(), is_head })
}

/// Whether a `Host` header names this machine. The port may differ, as over `ssh -L`: the name is the protection.
fn is_this_machine(host: &[u8]) -> bool {
    let host = String::from_utf8_lossy(host).to_ascii_lowercase();
    let (name, port) = host.split_once(':').map_or((host.as_str(), None), |(name, port)| (name, Some(port)));
    matches!(name, "localhost" | "127.0.0.1") && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Sends an answer; a client that has not received it by `deadline` loses it.
fn send(mut stream: &TcpStream, response: &Response, is_head: bool, deadline: Instant) -> io::Result<()> {
    let head = response.head();
    let mut rest = if is_head { head.into_bytes() } else { [head.as_bytes(), &response.body].concat() };
    while !rest.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        // Zero would mean no timeout at all.
        stream.set_write_timeout(Some(left.max(Duration::from_millis(1))))?;
        let n_bytes = stream.write(&rest)?;
        if n_bytes == 0 || left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        rest.drain(..n_bytes);
    }
    Ok(())
}

/// Waits until the client has read the answer: closing with unread bytes would reset the connection.
fn hang_up(mut stream: &TcpStream) -> io::Result<()> {
    let deadline = Instant::now() + FAREWELL;
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(TICK))?;
    let mut chunk = [0; 4096];
    while Instant::now() < deadline {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        parse(head.as_bytes()).map_or_else(|response| response.status, |_| 200)
    }

    #[test]
    fn a_request_is_taken_apart() {
        let head = b"GET /search?q=%E7%BA%A2&k=3 HTTP/1.1\r\nHost: LocalHost:8765\r\n\r\n";
        let expect = Request { path: "/search".into(), query: "q=%E7%BA%A2&k=3".into(), is_head: false };
        assert_eq!(parse(head), Ok(expect));
    }

    #[test]
    fn only_this_machine_is_a_host() {
        for (host, expect) in [
            ("localhost", 200),
            ("127.0.0.1:8765", 200),
            ("evil.example", 403),
            ("localhost.evil.example:8765", 403),
            ("localhost:99999", 403),
            ("evil.example:localhost", 403),
            ("127.0.0.2", 403),
            ("", 403),
        ] {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), expect, "{host}");
        }
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n"), 400);
    }

    #[test]
    fn what_is_no_simple_get_is_refused() {
        let with = |line: &str, more: &str| status(&format!("{line}\r\nHost: localhost\r\n{more}\r\n"));
        assert_eq!(with("HEAD / HTTP/1.1", ""), 200);
        assert_eq!(with("POST / HTTP/1.1", ""), 405);
        assert_eq!(with("GET / HTTP/1.1", "Content-Length: 5\r\n"), 413);
        assert_eq!(with("GET / HTTP/1.1", "Transfer-Encoding: chunked\r\n"), 413);
        assert_eq!(with("GET http://localhost/ HTTP/1.1", ""), 400);
        assert_eq!(with("GET / HTTP/3", ""), 400);
        assert_eq!(with("GET / HTTP/1.1", "no colon\r\n"), 400);
        assert_eq!(with("GET / HTTP/1.1", &"a: b\r\n".repeat(MAX_HEADERS)), 431);
    }
}
