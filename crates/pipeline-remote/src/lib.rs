//! Remotes behind a network: S3, Google Cloud Storage, Azure Blob Storage, and WebDAV.
//!
//! The only code that opens connections. Each request is one attempt with time limits; the store decides about another,
//! and checks all that comes. It reads no environment: the caller passes the variables that hold credentials.

mod bucket;
mod connector;
mod credentials;
mod exchange;
mod open;
mod profile;
mod webdav;

pub use credentials::{PREFIXES, Variables};
pub use open::{OpenRemoteError, open};
