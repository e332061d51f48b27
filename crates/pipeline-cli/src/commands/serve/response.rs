//! Responses, and what a browser may do with them.

/// The default policy of a response that is no page: nothing may be loaded, run or embedded.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The media type.
    pub kind: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// The policy of a page, unless it is the default.
    pub policy: Option<String>,
}

impl Response {
    /// A response with the default policy.
    pub fn new(status: u16, kind: &'static str, body: Vec<u8>) -> Self {
        Self { status, kind, body, policy: None }
    }

    /// A plain text response.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
    }

    /// A page that works under this policy.
    pub fn page(status: u16, html: String, policy: String) -> Self {
        Self { policy: Some(policy), ..Self::new(status, "text/html; charset=utf-8", html.into_bytes()) }
    }

    /// The response as it is sent. No other page may embed or read it.
    pub fn into_bytes(self, is_head: bool) -> Vec<u8> {
        let length = format!("Content-Length: {}\r\n", self.body.len());
        let allowed = if self.status == 405 { "Allow: GET, HEAD, POST\r\n" } else { "" };
        let policy = self.policy.as_deref().unwrap_or(POLICY);
        let mut bytes = head(self.status, self.kind, policy, &format!("{length}{allowed}"));
        if !is_head {
            bytes.extend(self.body);
        }
        bytes
    }
}

/// The head of a stream of events, which ends with its connection.
pub fn stream_head() -> Vec<u8> {
    head(200, "text/event-stream", POLICY, "")
}

/// The status line and the headers. Forms of the own pages name their origin, and no other page learns an address.
fn head(status: u16, kind: &str, policy: &str, more: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\n{more}Connection: close\r\nCache-Control: no-store\r\n\
         Content-Security-Policy: {policy}\r\nCross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: \
         same-origin\r\nX-Content-Type-Options: nosniff\r\n\r\n",
        phrase(status),
    )
    .into_bytes()
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        _ => "Service Unavailable",
    }
}
