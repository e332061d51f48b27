//! Responses, and what a browser may do with them.

/// The default policy of a page: it may show this server's thumbnails and its own icon and style, and submit its form.
/// No script runs.
const POLICY: &str = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

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

    /// A page.
    pub fn html(status: u16, html: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", html.into_bytes())
    }

    /// The status line and headers. No other page may embed or read a response.
    pub fn head(&self) -> String {
        let Self { status, kind, body, policy } = self;
        format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: \
             no-store\r\nContent-Security-Policy: {}\r\nCross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: \
             no-referrer\r\nX-Content-Type-Options: nosniff\r\n{}\r\n",
            phrase(*status),
            body.len(),
            policy.as_deref().unwrap_or(POLICY),
            if *status == 405 { "Allow: GET, HEAD\r\n" } else { "" },
        )
    }
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        _ => "Service Unavailable",
    }
}
