//! One computation per key: an advisory lock that a dead owner cannot hold. Correctness never depends on it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pipeline_core::{Key, Numerics};
use serde::{Deserialize, Serialize};

use super::Workspace;
use super::claims::{Claimed, OwnClaim};
use crate::clock::milliseconds;
use crate::error::At;
use crate::ownership::{Claim, OwnedFile, claim, is_held};
use crate::{StoreError, host_name};

/// The most reads of a held lock while its new owner writes its name into it.
const MAX_READS: usize = 100;

/// The result of [`Workspace::lock`].
#[derive(Debug)]
pub enum LockOutcome {
    /// The caller computes the key.
    Acquired(KeyLock),
    /// Another process or thread computes it.
    Held(Owner),
}

/// The right to compute a key; released when dropped.
#[derive(Debug)]
pub struct KeyLock {
    held: Held,
}

/// The way in which a key is held.
#[derive(Debug)]
enum Held {
    Locked {
        _owned: OwnedFile,
    },
    /// On a file system without locks, where a key may be computed twice.
    Claimed {
        _claim: OwnClaim,
    },
}

/// The process that computes a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its id; 0 if unknown.
    pub pid: u32,
    /// Its machine.
    pub host: String,
    /// The stage's name in its spec.
    pub stage: String,
    /// The start, in milliseconds since 1970-01-01 UTC.
    pub since_ms: u64,
    /// The class of its arithmetic; `None` if unknown.
    #[serde(default)]
    pub numerics: Option<Numerics>,
}

impl KeyLock {
    /// False on a file system without locks.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self.held, Held::Locked { .. })
    }
}

/// Takes the lock file at `path` from a process that is certainly dead, or that has left none; `None` otherwise.
pub(super) fn take_from_dead(path: &Path) -> Option<OwnedFile> {
    // Some network file systems lock within one machine only.
    let is_of_other = |mut file: File| is_held(&file) || read_owner(&mut file).host != host_name();
    if File::open(path).is_ok_and(is_of_other) {
        return None;
    }
    match claim(path) {
        Ok(Claim::Owned(owned)) => Some(owned),
        _ => None,
    }
}

impl Workspace {
    /// Requests the right to compute `key` with this arithmetic, for the stage named `owner`. Never waits: try again
    /// while it is held.
    ///
    /// The lock of a dead process is free at once. Where files cannot be locked, a claim stands for the lock.
    ///
    /// # Errors
    /// When the store cannot be written, so that the result could not be committed either.
    pub fn lock(&self, key: &Key, owner: &str, numerics: Numerics) -> Result<LockOutcome, StoreError> {
        let path = self.lock_file(key);
        match claim(&path).at("lock", &path)? {
            Claim::Owned(mut owned) => {
                write_owner(&mut owned.file, &Owner::here(owner, numerics)).at("write", &path)?;
                Ok(LockOutcome::Acquired(KeyLock { held: Held::Locked { _owned: owned } }))
            }
            Claim::Held(mut file) => Ok(LockOutcome::Held(read_owner(&mut file))),
            Claim::Unknown => {
                let _ = fs::remove_file(&path);
                match self.claims.claim(key, Owner::here(owner, numerics)).at("claim", &path)? {
                    Claimed::Own(claim) => Ok(LockOutcome::Acquired(KeyLock { held: Held::Claimed { _claim: claim } })),
                    Claimed::By(owner) => Ok(LockOutcome::Held(owner)),
                }
            }
        }
    }

    pub(super) fn lock_file(&self, key: &Key) -> PathBuf {
        self.locks.join(key.0.hex())
    }
}

impl Owner {
    /// This process, from now on.
    fn here(stage: &str, numerics: Numerics) -> Self {
        Self {
            pid: std::process::id(),
            host: host_name().to_owned(),
            stage: stage.to_owned(),
            since_ms: milliseconds(SystemTime::now()),
            numerics: Some(numerics),
        }
    }

    pub(super) fn unknown() -> Self {
        Self { pid: 0, host: "unknown".into(), stage: "unknown".into(), since_ms: 0, numerics: None }
    }
}

fn write_owner(file: &mut File, owner: &Owner) -> io::Result<()> {
    // A dead owner may have left its name. Skipped for an empty file: ext4 syncs a truncated file when it is closed.
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    file.write_all(&serde_json::to_vec(owner)?)
}

fn read_owner(file: &mut File) -> Owner {
    let mut text = String::new();
    for _ in 0..MAX_READS {
        text.clear();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        if let (Ok(_), Ok(owner)) = (read, serde_json::from_str(&text)) {
            return owner;
        }
        std::thread::yield_now();
    }
    Owner::unknown()
}
