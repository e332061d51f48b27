//! Sends the requests of object_store with ureq, whose blocking calls need no runtime of their own.

use std::io::Read;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Timeout};

use crate::exchange;

/// The time limit for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);

/// The time limit for each read and write.
const IDLE: Duration = Duration::from_secs(5);

/// The time limit for the head of a response, and for each read after an upload.
const ANSWER: Duration = Duration::from_secs(10);

/// The bytes that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// The most bytes that are read of the description of an error.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// The bytes that an answer may have beyond those that are asked for, such as a token or the end of a page.
const MARGIN: u64 = 256 << 10;

/// The connections that are kept for the next request: as many as there are look-ups at once.
const MAX_CONNECTIONS: usize = 64;

/// Connects object_store to ureq.
#[derive(Debug, Clone)]
pub(crate) struct UreqConnector {
    agent: Agent,
    /// The value of `Authorization` for servers to which object_store does not sign.
    authorization: Option<HeaderValue>,
}

impl UreqConnector {
    /// A connector with the system's root certificates.
    pub fn new(authorization: Option<HeaderValue>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            // A redirect must not carry credentials on, and a signature is of one address.
            .max_redirects(0)
            .max_idle_connections(MAX_CONNECTIONS)
            .max_idle_connections_per_host(MAX_CONNECTIONS)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(IDLE))
            .timeout_per_write(Some(IDLE))
            .timeout_recv_response(Some(ANSWER))
            .build();
        Self { agent: config.into(), authorization }
    }

    /// Sends a request whose content has `bytes` bytes; `None` for one without content.
    pub fn send(
        &self,
        mut request: http::Request<impl AsSendBody>,
        bytes: Option<u64>,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let headers = request.headers_mut();
        if let (Some(authorization), false) = (&self.authorization, headers.contains_key(header::AUTHORIZATION)) {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let request = self.agent.configure_request(request).timeout_recv_body(Some(exchange::limit_of_response()));
        let request = match bytes {
            Some(bytes) => {
                request.timeout_send_body(Some(exchange::limit(bytes))).timeout_per_read(Some(ANSWER)).build()
            }
            None => request.build(),
        };
        let sent = self.agent.run(request);
        match &sent {
            Ok(response) => exchange::answered(response.status(), None),
            Err(error) => exchange::broke(error),
        }
        sent
    }
}

impl HttpConnector for UreqConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for UreqConnector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let content = body.collect().await?.to_bytes();
        let has_content = !content.is_empty() || [Method::PUT, Method::POST].contains(&parts.method);
        let is_head = parts.method == Method::HEAD;
        let response = if has_content {
            self.send(http::Request::from_parts(parts, &content[..]), Some(content.len() as u64))
        } else {
            self.send(http::Request::from_parts(parts, ()), None)
        };
        let (parts, body) = response.map_err(failed)?.into_parts();
        let body = if is_head || parts.status.is_success() {
            HttpResponseBody::new(Incoming {
                content: Mutex::new(Box::new(body.into_reader())),
                left: exchange::bytes() + MARGIN,
            })
        } else {
            let text = description(body).map_err(|error| failed(error.into()))?;
            exchange::answered(parts.status, code(&parts.headers, &text));
            HttpResponseBody::from(text)
        };
        if is_head && !parts.status.is_success() {
            exchange::answered(parts.status, code(&parts.headers, ""));
        }
        Ok(HttpResponse::from_parts(parts, body))
    }
}

/// The content of a response that is an error: it need not end.
fn description(body: ureq::Body) -> std::io::Result<String> {
    let mut content = Vec::new();
    body.into_reader().take(MAX_ERROR_BYTES).read_to_end(&mut content)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// The code of an error, such as `AccessDenied`, or `invalid_grant` of a server of tokens. Nothing else of a
/// description is shown: it can repeat what was sent.
fn code(headers: &HeaderMap, text: &str) -> Option<String> {
    let named = || text.split_once("<Code>")?.1.split_once("</Code>").map(|(code, _)| code);
    let in_json = || {
        let value = text.split_once("\"error\"")?.1.trim_start_matches([' ', ':', '\n', '\t']);
        value.strip_prefix('"')?.split_once('"').map(|(code, _)| code)
    };
    let code = headers.get("x-ms-error-code").and_then(|value| value.to_str().ok()).or_else(named).or_else(in_json)?;
    let is_word = code.len() <= 60 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word.then(|| code.to_owned())
}

/// The content of a response, read when it is asked for.
struct Incoming {
    content: Mutex<Box<dyn Read + Send>>,
    /// The bytes that it may still have.
    left: u64,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let mut piece = vec![0; PIECE_BYTES];
        let content = self.content.get_mut().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(match content.read(&mut piece) {
            Ok(0) => None,
            Ok(n) if n as u64 > self.left => {
                let error = ureq::Error::BodyExceedsLimit(self.left);
                exchange::broke(&error);
                Some(Err(failed(error)))
            }
            Ok(n) => {
                piece.truncate(n);
                self.left -= n as u64;
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => {
                let error = ureq::Error::from(error);
                exchange::broke(&error);
                Some(Err(failed(error)))
            }
        })
    }
}

fn failed(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => HttpErrorKind::Connect,
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => HttpErrorKind::Connect,
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_shown_by_its_code_alone() {
        for (text, expect) in [
            ("<Error><Code>AccessDenied</Code><Message>secret</Message></Error>", Some("AccessDenied")),
            ("{\"error\": \"invalid_grant\", \"error_description\": \"secret\"}", Some("invalid_grant")),
            ("{\"error\":{\"code\":403,\"message\":\"secret\"}}", None),
            ("<Code>no secret</Code>", None),
            ("secret", None),
        ] {
            assert_eq!(code(&HeaderMap::new(), text).as_deref(), expect, "{text}");
        }
    }
}
