//! The remote: a place outside this machine that holds records and objects of many stores, by the same names.
//!
//! `<url>/store-v1/actions/ab/<62 digits>.json` and `<url>/store-v1/objects/ab/<62 digits>` hold what the files of
//! these names hold in a store, so that copying the two folders with any tool is a push. A [`Remote`] only moves files;
//! the store checks everything that comes from one, and goes on without it when it fails:
//!
//! - A record that is absent here is looked up there, checked, and committed here.
//! - A file that is absent here is fetched when it is opened, hashed while it comes, and placed only if it is right.
//! - With [`Access::Write`], each record is uploaded after its objects. `unpushed/<key>` marks what is not confirmed.

mod error;
mod fetch;
mod folder;
mod health;
mod keep;
mod link;
mod push;
mod signatures;
mod twin;
mod uploads;

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

pub use error::RemoteError;
pub(crate) use fetch::{MAX_FETCHES, MAX_LOOK_UPS, for_each_at_once, name_of_record};
pub use folder::RemoteFolder;
pub use keep::{RemoteCollectReport, RemoteStats, RemoteVerifyReport};
pub use link::{PulledTree, RemoteLink};
pub use push::Pushed;
pub(crate) use signatures::split;
pub use signatures::{KeyError, Signatures, SigningKey, TrustedKey};
pub(crate) use twin::Twin;
pub use twin::{Access, RemoteNews};
pub use uploads::UploadsLeft;

/// A place that holds files by name. Names are relative and have `/` between their parts.
///
/// It has no state that callers depend on: each call is one attempt, and the caller decides about another.
pub trait Remote: fmt::Debug + Send + Sync {
    /// Its URL, for people; without secrets.
    fn url(&self) -> &str;

    /// Writes the content of a file to `to`. Returns false if there is no such file.
    ///
    /// # Errors
    /// When it cannot be reached or refuses, the file has more than `max_bytes` bytes, or `to` cannot be written.
    fn get(&self, name: &str, max_bytes: u64, to: &mut dyn Write) -> Result<bool, RemoteError>;

    /// The length of a file, in bytes; `None` if there is no such file.
    ///
    /// # Errors
    /// When it cannot be reached or refuses.
    fn size(&self, name: &str) -> Result<Option<u64>, RemoteError>;

    /// Makes a file, which appears whole or not at all where the place can do that. Returns false if
    /// [`PutMode::Create`] found one of this name.
    ///
    /// # Errors
    /// When it cannot be reached or refuses, or the file of this machine cannot be read.
    fn put(&self, name: &str, upload: Upload<'_>, mode: PutMode) -> Result<bool, RemoteError>;

    /// Removes a file; a missing one is not an error.
    ///
    /// # Errors
    /// When it cannot be reached or refuses.
    fn delete(&self, name: &str) -> Result<(), RemoteError>;

    /// Calls `found` for every file below the folder `prefix`.
    ///
    /// # Errors
    /// When it cannot be reached or refuses.
    fn list(&self, prefix: &str, found: &mut dyn FnMut(RemoteFile)) -> Result<(), RemoteError>;
}

/// The content of a file that is uploaded.
#[derive(Debug, Clone, Copy)]
pub enum Upload<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Those of a file on this machine.
    File(&'a Path),
}

/// Whether an upload may replace a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// A file of this name stays as it is.
    Create,
    /// A file of this name is replaced.
    Replace,
}

/// A file of a remote, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its name, relative to the remote's URL.
    pub name: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The time of its last change, by the remote's clock.
    pub modified: SystemTime,
}
