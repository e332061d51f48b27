//! Remotes behind a network: S3, Google Cloud Storage, Azure Blob Storage, and WebDAV.
//!
//! The only code that opens connections. Each request is one attempt with time limits; the store decides about another,
//! and checks all that comes. The caller passes the variables that hold credentials. Crates below read others from the
//! environment: ureq the proxies (`HTTPS_PROXY`, `NO_PROXY`), the reader of root certificates `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`, object_store the places of a cloud's own credentials (`HOME`, `GCE_METADATA_HOST`).

mod bucket;
mod connector;
mod credentials;
mod exchange;
mod open;
mod profile;
mod webdav;

pub use credentials::{PREFIXES, Variables};
pub use open::{OpenRemoteError, open};
