//! One request of HTTP/1.1: its head taken apart, and the rules that keep other pages out.
//!
//! A request must name this machine as its host: a page of another name that resolves to this machine (DNS rebinding)
//! gets nothing. A browser says which page asks: another one may lead here by a link, and nothing else.

use super::response::Response;

/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// The longest image that can be searched for, with its frame, in bytes.
pub const MAX_BODY_BYTES: usize = 20 << 20;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded.
    pub path: String,
    /// The text after the `?`, still encoded; may be empty.
    pub query: String,
    /// The media type of the body, with its parameters; empty without a body.
    pub content_type: String,
    /// The body; empty unless the method is POST.
    pub body: Vec<u8>,
    /// The last event that an interrupted stream has received.
    pub last_event_id: Option<String>,
}

/// The methods that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks for something.
    Get,
    /// The same without a body in the answer.
    Head,
    /// Sends an image to search for.
    Post,
}

/// The head of a request, whose body may be still to come.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The request, without its body.
    pub request: Request,
    /// The size of the body, at most [`MAX_BODY_BYTES`].
    pub n_body_bytes: usize,
    /// Whether the client waits for a word before it sends the body.
    pub waits: bool,
}

/// The values of the headers of a request.
struct Headers<'a>(&'a [httparse::Header<'a>]);

impl Headers<'_> {
    fn all(&self, name: &str) -> Vec<&[u8]> {
        self.0.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value).collect()
    }

    /// The value of a header that occurs once; `None` without it.
    fn one(&self, name: &str) -> Result<Option<&str>, Response> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [value] => match str::from_utf8(value) {
                Ok(value) => Ok(Some(value.trim())),
                Err(_) => Err(Response::text(400, "a header is not text")),
            },
            _ => Err(Response::text(400, &format!("a request has one `{name}`"))),
        }
    }
}

/// The head in these bytes, or the answer to an unsupported one. Only the paths in `uploads` take a body.
///
/// # Errors
/// The answer, where the request is refused.
pub fn parse(head: &[u8], uploads: &[&str]) -> Result<Head, Response> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Response::text(431, "the request has too many headers")),
        _ => return Err(Response::text(400, "this is not an HTTP request")),
    }
    let headers = Headers(parsed.headers);
    let host = match headers.all("host").as_slice() {
        [host] => String::from_utf8_lossy(host).to_ascii_lowercase(),
        _ => return Err(Response::text(400, "a request names one host")),
    };
    if !is_this_machine(&host) {
        return Err(Response::text(403, "only requests to localhost are answered"));
    }
    let method = match parsed.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        _ => return Err(Response::text(405, "only GET, HEAD and POST are answered")),
    };
    must_be_own_page(&headers, method, &host)?;
    let target = parsed.path.unwrap_or_default();
    if !target.starts_with('/') {
        return Err(Response::text(400, "the target must begin with a slash"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if method == Method::Post && !uploads.contains(&path) {
        return Err(Response::text(405, "nothing can be sent to this address"));
    }
    let n_body_bytes = body_bytes(&headers, method)?;
    let content_type = headers.one("content-type")?.unwrap_or_default().to_owned();
    let last_event_id = headers.one("last-event-id")?.map(str::to_owned);
    let waits = headers.one("expect")?.is_some_and(|expected| expected.eq_ignore_ascii_case("100-continue"));
    let (path, query) = (path.to_owned(), query.to_owned());
    let request = Request { method, path, query, content_type, body: Vec::new(), last_event_id };
    Ok(Head { request, n_body_bytes, waits })
}

/// Whether a `Host` header names this machine. The port may differ, as over `ssh -L`: the name is the protection.
fn is_this_machine(host: &str) -> bool {
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    matches!(name, "localhost" | "127.0.0.1") && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Refuses what another page asks for, so that it can neither send images nor keep this program busy. Programs that are
/// no browsers say nothing of pages.
fn must_be_own_page(headers: &Headers<'_>, method: Method, host: &str) -> Result<(), Response> {
    let refused = || Response::text(403, "requests of other pages are not answered");
    let origin = headers.one("origin")?;
    if origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(&format!("http://{host}"))) {
        return Err(refused());
    }
    let is_link = method == Method::Get && headers.one("sec-fetch-mode")? == Some("navigate");
    match headers.one("sec-fetch-site")? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if is_link => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// The size of the body, which only a POST has.
fn body_bytes(headers: &Headers<'_>, method: Method) -> Result<usize, Response> {
    if !headers.all("transfer-encoding").is_empty() {
        return Err(Response::text(411, "the size of a body must be known: send `Content-Length`"));
    }
    // A sign before the digits would be read as a number, too.
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let length = match headers.one("content-length")? {
        Some(text) if is_number(text) => text.parse::<usize>().ok(),
        Some(_) => return Err(Response::text(400, "`Content-Length` must be a number")),
        None if method == Method::Post => return Err(Response::text(411, "send `Content-Length` with an image")),
        None => Some(0),
    };
    match (method, length) {
        (Method::Get | Method::Head, Some(0)) => Ok(0),
        (Method::Get | Method::Head, _) => Err(Response::text(413, "such a request has no body here")),
        (Method::Post, Some(n_bytes)) if n_bytes <= MAX_BODY_BYTES => Ok(n_bytes),
        (Method::Post, _) => {
            Err(Response::text(413, &format!("an image may have {} MiB at most", MAX_BODY_BYTES >> 20)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        parse(head.as_bytes(), &["/search"]).map_or_else(|response| response.status, |_| 200)
    }

    #[test]
    fn a_request_is_taken_apart() {
        let head = b"GET /search?q=%E7%BA%A2&k=3 HTTP/1.1\r\nHost: LocalHost:8765\r\nLast-Event-ID: 7\r\n\r\n";
        let Head { request, n_body_bytes, waits } = parse(head, &[]).unwrap();
        assert_eq!(
            (request.method, request.path.as_str(), request.query.as_str()),
            (Method::Get, "/search", "q=%E7%BA%A2&k=3")
        );
        assert_eq!((request.last_event_id.as_deref(), n_body_bytes, waits), (Some("7"), 0, false));
        let head = b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Type: image/png\r\n\
            Expect: 100-continue\r\n\r\n";
        let Head { request, n_body_bytes, waits } = parse(head, &["/search"]).unwrap();
        assert_eq!((request.content_type.as_str(), n_body_bytes, waits), ("image/png", 5, true));
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
    fn another_page_leads_here_by_a_link_and_does_nothing_else() {
        for (line, more, expect) in [
            ("GET /", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", 200),
            ("GET /events", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n", 200),
            ("GET /events", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", 403),
            // Another port of this machine.
            ("GET /events", "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n", 403),
            ("GET /", "Origin: http://evil.example\r\n", 403),
            (
                "POST /search",
                "Content-Length: 1\r\nOrigin: http://localhost:8765\r\nSec-Fetch-Site: same-origin\r\n",
                200,
            ),
            ("POST /search", "Content-Length: 1\r\n", 200),
            ("POST /search", "Content-Length: 1\r\nOrigin: http://localhost:1\r\n", 403),
            ("POST /search", "Content-Length: 1\r\nOrigin: null\r\n", 403),
            ("POST /search", "Content-Length: 1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", 403),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: localhost:8765\r\n{more}\r\n");
            assert_eq!(status(&head), expect, "{head}");
        }
    }

    #[test]
    fn other_methods_and_bodies_are_refused() {
        let with = |line: &str, more: &str| status(&format!("{line}\r\nHost: localhost\r\n{more}\r\n"));
        assert_eq!(with("HEAD / HTTP/1.1", ""), 200);
        assert_eq!(with("PUT / HTTP/1.1", ""), 405);
        assert_eq!(with("POST / HTTP/1.1", "Content-Length: 5\r\n"), 405);
        assert_eq!(with("POST /search HTTP/1.1", ""), 411);
        assert_eq!(with("POST /search HTTP/1.1", "Transfer-Encoding: chunked\r\n"), 411);
        assert_eq!(with("POST /search HTTP/1.1", "Content-Length: 20971521\r\n"), 413);
        assert_eq!(with("POST /search HTTP/1.1", "Content-Length: 99999999999999999999999\r\n"), 413);
        assert_eq!(with("POST /search HTTP/1.1", "Content-Length: +5\r\n"), 400);
        assert_eq!(with("POST /search HTTP/1.1", "Content-Length: 5\r\nContent-Length: 6\r\n"), 400);
        assert_eq!(with("GET / HTTP/1.1", "Content-Length: 5\r\n"), 413);
        assert_eq!(with("GET http://localhost/ HTTP/1.1", ""), 400);
        assert_eq!(with("GET / HTTP/3", ""), 400);
        assert_eq!(with("GET / HTTP/1.1", "no colon\r\n"), 400);
        assert_eq!(with("GET / HTTP/1.1", &"a: b\r\n".repeat(MAX_HEADERS)), 431);
    }
}
