//! `scratch/`, `locks/`, `claims/` and `lent/`: the files of living processes in a store. Those of dead processes are
//! swept.
//!
//! - `scratch/<host>@<process>-<random>/` holds files that a process is writing, and `….lock` beside it is locked while
//!   the process lives. Both go with the process; else the next session sweeps them.
//! - `locks/<key>` is locked by the process that computes the key. It holds one JSON object, the [`Owner`], for
//!   people, and is removed with the lock.
//! - `claims/<key>` stands for the lock where files cannot be locked.
//! - `lent/<key>/<number of the slot>/` holds the inputs of the stage that computes the key, laid out for it alone. It
//!   is in use as long as the key is locked.

mod claims;
mod ignore;
mod lend;
mod locks;
mod session;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::StoreError;
use crate::durable::{Durability, write_whole};
use crate::error::At;
use crate::folders::bytes_below;
use crate::layout::below;
use crate::sealed::seal;

use claims::Claims;
pub(crate) use ignore::is_own_ignore_file;
pub use lend::Lent;
pub use locks::{KeyLock, LockOutcome, Owner};
pub use session::Scratch;
pub(crate) use session::{Living, Session};

/// The precision of an object's time of last use, for a process that only reads.
const MARK_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// The part of a store that belongs to this process: scratch folders, locks on keys, and inputs lent to stages.
///
/// It creates nothing before the first write: only then a session begins.
#[derive(Debug)]
pub struct Workspace {
    store: PathBuf,
    scratch: PathBuf,
    locks: PathBuf,
    claims: Claims,
    lent: PathBuf,
    session: Mutex<Option<Arc<Session>>>,
}

impl Workspace {
    pub(crate) fn new(store: &Path) -> Self {
        let [scratch, locks, lent] = ["scratch", "locks", "lent"].map(|folder| below(store, folder));
        let claims = Claims::new(below(store, "claims"), claims::TIMES);
        Self { store: store.to_owned(), scratch, locks, claims, lent, session: Mutex::new(None) }
    }

    /// Makes an empty folder on the store's file system.
    ///
    /// If the process is killed, the next one that writes into the store removes the folder.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let session = self.session()?;
        let folder = session.new_path();
        fs::create_dir(&folder).at("create", &folder)?;
        Ok(Scratch::new(folder, session))
    }

    /// The session of this handle, begun by its first write.
    pub(crate) fn session(&self) -> Result<Arc<Session>, StoreError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let begun = Arc::new(Session::begin(&self.scratch)?);
        self.sweep_lent(|| begun.new_path())?;
        ignore::keep_out_of_git(&self.store, &begun.new_path())?;
        *session = Some(Arc::clone(&begun));
        Ok(begun)
    }

    /// The session, if this handle has written anything.
    pub(crate) fn session_if_begun(&self) -> Option<Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An unused path on the store's file system.
    pub(crate) fn new_path(&self) -> Result<PathBuf, StoreError> {
        Ok(self.session()?.new_path())
    }

    /// Writes a file of the store, whole or not at all, replacing an existing one.
    pub(crate) fn write(&self, to: &Path, content: &[u8], durability: Durability) -> Result<(), StoreError> {
        write_whole(&self.new_path()?, to, content, durability)
    }

    /// Writes a sealed document, whole or not at all, replacing an existing one.
    pub(crate) fn write_sealed<T: Serialize>(
        &self,
        to: &Path,
        value: &T,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.write(to, &seal(value), durability)
    }

    /// The time since which an object's last use is recent enough.
    pub(crate) fn in_use_since(&self) -> SystemTime {
        let an_hour_ago = || SystemTime::now().checked_sub(MARK_AGAIN_AFTER).unwrap_or(SystemTime::UNIX_EPOCH);
        self.session_if_begun().map_or_else(an_hour_ago, |session| session.began())
    }

    /// The time of a use by this handle, never before its session began.
    pub(crate) fn now(&self) -> SystemTime {
        self.session_if_begun().map_or_else(SystemTime::now, |session| session.now())
    }

    /// Removes the files of dead sessions. Returns the living ones.
    pub(crate) fn sweep(&self) -> Result<Vec<Living>, StoreError> {
        session::sweep(&self.scratch)
    }

    /// The bytes in scratch folders.
    pub(crate) fn bytes(&self) -> Result<u64, StoreError> {
        bytes_below(&self.scratch)
    }
}
