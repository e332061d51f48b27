//! The requests of one operation on this thread: their limits, and what became of the last one.
//!
//! object_store hands neither through, but its futures run on the thread that asks, and so do the requests.

use std::cell::RefCell;
use std::time::Duration;

use http::StatusCode;
use pipeline_store::RemoteError;
use ureq::Timeout;

use crate::connector::CONNECT;

/// The time limit of a transfer, beside a second for each [`BYTES_PER_SECOND`].
const TOTAL: Duration = Duration::from_secs(10);

/// The least speed of a transfer.
const BYTES_PER_SECOND: u64 = 64 << 10;

/// The codes of servers for a bucket or container that does not exist.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

/// The codes of servers of tokens for credentials that have expired, were revoked or never existed.
const REFUSED: [&str; 3] = ["invalid_client", "invalid_grant", "unauthorized_client"];

thread_local! {
    static EXCHANGE: RefCell<Exchange> = RefCell::default();
}

#[derive(Debug, Default)]
struct Exchange {
    /// The bytes that are transferred at most.
    bytes: u64,
    last: Option<Outcome>,
}

/// The outcome of a request.
#[derive(Debug, Clone)]
enum Outcome {
    /// A response, with the code of its error if it has one.
    Status(StatusCode, Option<String>),
    /// No response, or one that broke off.
    Broken(String),
}

/// Begins an operation that transfers at most `bytes` bytes.
pub(crate) fn begin(bytes: u64) {
    EXCHANGE.set(Exchange { bytes, last: None });
}

/// The bytes that the operation transfers at most.
pub(crate) fn bytes() -> u64 {
    EXCHANGE.with_borrow(|exchange| exchange.bytes)
}

/// The time that the content of a response may take.
pub(crate) fn limit_of_response() -> Duration {
    limit(bytes())
}

/// The time that a transfer of `bytes` bytes may take.
pub(crate) fn limit(bytes: u64) -> Duration {
    TOTAL + Duration::from_secs(bytes / BYTES_PER_SECOND)
}

/// A response has come, with the code of its error if it has one.
pub(crate) fn answered(status: StatusCode, code: Option<String>) {
    EXCHANGE.with_borrow_mut(|exchange| exchange.last = Some(Outcome::Status(status, code)));
}

/// A request had no response, or one that broke off.
pub(crate) fn broke(error: &ureq::Error) {
    EXCHANGE.with_borrow_mut(|exchange| exchange.last = Some(Outcome::Broken(words(error))));
}

/// True if the last response says that there is no such file, and not that there is no such bucket.
pub(crate) fn is_absence() -> bool {
    let is_bucket = |code: &Option<String>| code.as_deref().is_some_and(|code| NO_BUCKET.contains(&code));
    EXCHANGE.with_borrow(|exchange| match &exchange.last {
        Some(Outcome::Status(StatusCode::NOT_FOUND, code)) => !is_bucket(code),
        // A folder of WebDAV in the place of a file.
        Some(Outcome::Status(StatusCode::METHOD_NOT_ALLOWED, _)) => true,
        _ => false,
    })
}

/// True if the last response says that the server cannot do what was asked.
pub(crate) fn is_not_implemented() -> bool {
    let last = EXCHANGE.with_borrow(|exchange| exchange.last.clone());
    matches!(last, Some(Outcome::Status(StatusCode::NOT_IMPLEMENTED, _)))
}

/// The failure that the last request stands for; `otherwise` describes one that is not the server's.
pub(crate) fn failure(otherwise: impl FnOnce() -> String) -> RemoteError {
    match EXCHANGE.with_borrow(|exchange| exchange.last.clone()) {
        Some(Outcome::Broken(text)) => RemoteError::Unavailable(text),
        Some(Outcome::Status(status, code)) if !status.is_success() => {
            let is_refused = code.as_deref().is_some_and(|code| REFUSED.contains(&code));
            let text = match code {
                Some(code) => format!("{status} ({code})"),
                None => status.to_string(),
            };
            match status.as_u16() {
                _ if is_refused => RemoteError::Refused(text),
                401 | 403 => RemoteError::Refused(text),
                // Locked: another writes the same file of a WebDAV server at this moment.
                408 | 423 | 429 | 500.. => RemoteError::Unavailable(text),
                _ => RemoteError::Rejected(text),
            }
        }
        _ => RemoteError::Rejected(otherwise()),
    }
}

/// What went wrong, without the address: its query can hold a signature.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            format!("no connection within {} seconds", CONNECT.as_secs())
        }
        ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => "no answer for seconds".to_owned(),
        ureq::Error::Timeout(_) => "it is too slow".to_owned(),
        ureq::Error::HostNotFound => "its host is unknown".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::BodyExceedsLimit(_) => "its answer is too long".to_owned(),
        ureq::Error::BadUri(_) => "its address cannot be used".to_owned(),
        error => error.to_string(),
    }
}
