//! One process's presence in a store: a scratch folder that is swept once the process is dead, and the instant since
//! which everything it has used is kept from collection.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::durable::list_folder;
use crate::error::At;
use crate::listing::remove_folder;
use crate::ownership::{Claim, OwnedFile, claim};
use crate::{Store, StoreError, host_name};

const LOCK_EXTENSION: &str = "lock";

/// What stands between the machine's name and the rest of a session's name.
const AFTER_HOST: char = '@';

/// How long a session of another machine is taken to live, whatever its lock says.
const FOREIGN_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a process that writes has below `scratch/`: `<name>/` and the locked `<name>.lock`.
#[derive(Debug)]
pub(crate) struct Session {
    folder: PathBuf,
    lock_path: PathBuf,
    n_paths: AtomicU64,
    began: SystemTime,
    /// None on a file system without locks: there the folder is swept only by the session itself.
    _lock: Option<OwnedFile>,
}

impl Session {
    /// Begins a session and sweeps what dead ones have left.
    pub(crate) fn begin(scratch: &Path) -> Result<Self, StoreError> {
        sweep(scratch)?;
        fs::create_dir_all(scratch).at("create", scratch)?;
        let began = SystemTime::now();
        loop {
            let lock_path = new_lock_file(scratch).at("create", scratch)?;
            // A sweeper can come between the creation and the lock: then there is another name.
            let lock = match claim(&lock_path).at("lock", &lock_path)? {
                Claim::Owned(lock) => Some(lock),
                Claim::Held(_) => continue,
                Claim::Unknown => None,
            };
            let set = File::options().write(true).open(&lock_path).and_then(|file| file.set_modified(began));
            set.at("write", &lock_path)?;
            let folder = lock_path.with_extension("");
            fs::create_dir(&folder).at("create", &folder)?;
            return Ok(Self { folder, lock_path, n_paths: AtomicU64::new(0), began, _lock: lock });
        }
    }

    /// Returns a path inside the session's folder that nothing has yet.
    pub(crate) fn new_path(&self) -> PathBuf {
        self.folder.join(self.n_paths.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// The instant at which it began.
    pub(crate) fn began(&self) -> SystemTime {
        self.began
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next session.
        let _ = remove_folder(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// An empty folder to write into, removed with all that is left in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    _session: Arc<Session>,
}

impl Scratch {
    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove_folder(&self.folder);
    }
}

impl Store {
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
        Ok(Scratch { folder, _session: session })
    }
}

/// Removes the scratch of sessions whose process is dead. Returns the instant at which the oldest living one began.
pub(crate) fn sweep(scratch: &Path) -> Result<Option<SystemTime>, StoreError> {
    let mut oldest: Option<SystemTime> = None;
    for entry in list_folder(scratch)? {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != LOCK_EXTENSION) {
            continue;
        }
        // Gone meanwhile: its session has ended well.
        let Ok(began) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        match claim_dead(&path, began).at("lock", &path)? {
            Some(_dead) => {
                let _ = remove_folder(&path.with_extension(""));
            }
            None => oldest = Some(oldest.map_or(began, |oldest| oldest.min(began))),
        }
    }
    Ok(oldest)
}

/// Claims the lock file of a session whose process is certainly dead.
///
/// Some network file systems lock within one machine only: a free lock of another machine tells nothing for a while.
fn claim_dead(path: &Path, began: SystemTime) -> io::Result<Option<OwnedFile>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_local = name.split_once(AFTER_HOST).is_some_and(|(host, _)| host == host_name());
    if !is_local && began.elapsed().is_ok_and(|age| age < FOREIGN_LIFE) {
        return Ok(None);
    }
    Ok(match claim(path)? {
        Claim::Owned(dead) => Some(dead),
        Claim::Held(_) | Claim::Unknown => None,
    })
}

/// Makes `<host>@<process>-<random>.lock`.
fn new_lock_file(scratch: &Path) -> io::Result<PathBuf> {
    let prefix = format!("{}{AFTER_HOST}{}-", host_name(), std::process::id());
    let suffix = format!(".{LOCK_EXTENSION}");
    let file = tempfile::Builder::new().prefix(&prefix).suffix(&suffix).tempfile_in(scratch)?;
    file.into_temp_path().keep().map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_session_is_swept_at_once_and_one_of_another_machine_after_a_week() {
        let folder = tempfile::tempdir().unwrap();
        let a_day_ago = SystemTime::now() - Duration::from_secs(24 * 3600);
        let leave_behind = |name: &str, began: SystemTime| {
            let left = folder.path().join(name);
            fs::create_dir(&left).unwrap();
            fs::write(left.join("half"), "written").unwrap();
            let lock = File::create(left.with_extension(LOCK_EXTENSION)).unwrap();
            lock.set_modified(began).unwrap();
            left
        };
        let local = leave_behind(&format!("{}@7-x", host_name()), a_day_ago);
        let foreign = leave_behind("elsewhere@7-x", a_day_ago);
        let old = leave_behind("elsewhere@7-y", a_day_ago - FOREIGN_LIFE);
        assert_eq!(sweep(folder.path()).unwrap(), Some(a_day_ago));
        assert_eq!([local, foreign, old].map(|left| left.exists()), [false, true, false]);

        let session = Session::begin(folder.path()).unwrap();
        assert_eq!(sweep(folder.path()).unwrap(), Some(a_day_ago));
        assert!(session.folder.exists());
    }
}
