//! One process's presence in a store: a scratch folder that is swept once the process is dead, and the time of its
//! start. Collections keep everything that it has used since then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::durable::list_folder;
use crate::error::At;
use crate::folders::remove_folder;
use crate::ownership::{Claim, OwnedFile, claim};
use crate::{StoreError, host_name};

const LOCK_EXTENSION: &str = "lock";

/// The separator after the machine's name in a session's name.
const AFTER_HOST: char = '@';

/// How long a session of another machine is assumed to live, whatever its lock shows.
const FOREIGN_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folder `<name>/` of a process that writes, and the locked `<name>.lock`, both below `scratch/`.
#[derive(Debug)]
pub(crate) struct Session {
    folder: PathBuf,
    lock_path: PathBuf,
    n_paths: AtomicU64,
    began: SystemTime,
    /// `None` on a file system without locks: there only the session itself removes the folder.
    _lock: Option<OwnedFile>,
}

impl Session {
    /// Begins a session and sweeps dead ones.
    pub(crate) fn begin(scratch: &Path) -> Result<Self, StoreError> {
        sweep(scratch)?;
        fs::create_dir_all(scratch).at("create", scratch)?;
        let began = SystemTime::now();
        loop {
            let lock_path = new_lock_file(scratch).at("create", scratch)?;
            // A sweeper can remove the file between its creation and the lock: then this tries another name.
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

    /// Returns an unused path inside the session's folder.
    pub(crate) fn new_path(&self) -> PathBuf {
        self.folder.join(self.n_paths.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// The time, never before the session began: the clock may be set back, and used objects must not look older.
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now().max(self.began)
    }

    /// The start of the session.
    pub(crate) fn began(&self) -> SystemTime {
        self.began
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The next session sweeps what cannot be removed now.
        let _ = remove_folder(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// An empty folder to write into, removed with its content when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    _session: Arc<Session>,
}

impl Scratch {
    pub(super) fn new(folder: PathBuf, session: Arc<Session>) -> Self {
        Self { folder, _session: session }
    }

    /// The path of the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove_folder(&self.folder);
    }
}

/// A session whose process lives, or may live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Living {
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) began: SystemTime,
    pub(crate) lock: PathBuf,
}

impl Living {
    fn of(lock: PathBuf, began: SystemTime) -> Self {
        let name = lock.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (host, rest) = name.split_once(AFTER_HOST).unwrap_or(("unknown", &name));
        let pid = rest.split('-').next().and_then(|pid| pid.parse().ok()).unwrap_or_default();
        Self { host: host.to_owned(), pid, began, lock }
    }

    /// True if it is on this machine, where its lock shows whether it lives.
    pub(crate) fn is_local(&self) -> bool {
        self.host == host_name()
    }
}

/// Removes the scratch of sessions whose process is dead. Returns the living ones.
pub(crate) fn sweep(scratch: &Path) -> Result<Vec<Living>, StoreError> {
    let mut living = Vec::new();
    for entry in list_folder(scratch)? {
        let path = entry.path();
        // Removed meanwhile: its session has ended well.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let Ok(began) = metadata.modified() else { continue };
        if path.extension().is_none_or(|extension| extension != LOCK_EXTENSION) {
            sweep_orphan(&path, &metadata, began);
            continue;
        }
        let session = Living::of(path, began);
        match claim_dead(&session).at("lock", &session.lock)? {
            // What cannot be removed now is an orphan from here on; the next sweep tries again.
            Some(_dead) => drop(remove_folder(&session.lock.with_extension(""))),
            None => living.push(session),
        }
    }
    Ok(living)
}

/// Removes a session's folder without a lock. The lock is created before the folder and removed after it, so the
/// session is dead. Another machine may see the two out of order.
fn sweep_orphan(path: &Path, metadata: &fs::Metadata, changed: SystemTime) {
    let is_session = path.file_name().is_some_and(|name| name.to_string_lossy().contains(AFTER_HOST));
    let lock = path.with_added_extension(LOCK_EXTENSION);
    let is_old = || changed.elapsed().is_ok_and(|age| age >= FOREIGN_LIFE);
    let is_dead = |session: Living| !session.lock.exists() && (session.is_local() || is_old());
    if metadata.is_dir() && is_session && is_dead(Living::of(lock, changed)) {
        let _ = remove_folder(path);
    }
}

/// Claims the lock file of a session whose process is certainly dead.
///
/// Some network file systems lock within one machine only: a free lock of another machine proves nothing for a while.
/// Where there are no locks at all, age alone decides.
fn claim_dead(session: &Living) -> io::Result<Option<Dead>> {
    let is_old = session.began.elapsed().is_ok_and(|age| age >= FOREIGN_LIFE);
    if !session.is_local() && !is_old {
        return Ok(None);
    }
    Ok(match claim(&session.lock)? {
        Claim::Owned(dead) => Some(Dead { _lock: Some(dead) }),
        Claim::Unknown if is_old => {
            fs::remove_file(&session.lock)?;
            Some(Dead { _lock: None })
        }
        Claim::Held(_) | Claim::Unknown => None,
    })
}

/// The lock of a dead session, if there are locks; its file goes with it.
struct Dead {
    _lock: Option<OwnedFile>,
}

/// Creates `<host>@<process>-<random>.lock`.
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
        let living = sweep(folder.path()).unwrap();
        let hosts = |living: &[Living]| living.iter().map(|session| session.host.clone()).collect::<Vec<_>>();
        assert_eq!((hosts(&living), living[0].pid, living[0].began), (vec!["elsewhere".to_owned()], 7, a_day_ago));
        assert_eq!([local, foreign, old].map(|left| left.exists()), [false, true, false]);

        let session = Session::begin(folder.path()).unwrap();
        assert_eq!(sweep(folder.path()).unwrap().len(), 2);
        assert!(session.folder.exists());
    }

    #[test]
    fn a_folder_without_its_lock_is_swept_and_read_only_folders_are_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let orphan = folder.path().join(format!("{}@7-x", host_name()));
        let locked = orphan.join("0/cache");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("weights"), "half").unwrap();
        for folder in [&locked, &orphan.join("0")] {
            fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        }
        fs::create_dir(folder.path().join("elsewhere@7-x")).unwrap();
        assert_eq!(sweep(folder.path()).unwrap(), []);
        assert!(!orphan.exists());
        assert!(folder.path().join("elsewhere@7-x").exists(), "its lock may not be seen yet");
    }
}
