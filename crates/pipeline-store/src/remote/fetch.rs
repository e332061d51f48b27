//! Brings records and objects from the remote into the store; nothing is placed before it was checked.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use blake3::Hasher;
use pipeline_core::{Digest, FileEntry, Key};

use super::{RemoteError, Twin};
use crate::StoreError;
use crate::durable::remove_file;
use crate::error::At;
use crate::layout::{STORE_FOLDER, fan_out};

/// The longest record, in bytes: one of a million shards.
const MAX_RECORD_BYTES: u64 = 128 << 20;

/// The most look-ups at once: they wait for the network and hold a few KiB each.
pub(crate) const MAX_LOOK_UPS: usize = 64;

/// The most files that are fetched at once.
pub(crate) const MAX_FETCHES: usize = 16;

/// The name of a key's record in the remote.
pub(crate) fn name_of_record(key: &Key) -> String {
    name(fan_out(&Path::new(STORE_FOLDER).join("actions"), &key.0, ".json"))
}

/// The name of an object in the remote.
pub(crate) fn name_of_object(digest: &Digest) -> String {
    name(fan_out(&Path::new(STORE_FOLDER).join("objects"), digest, ""))
}

fn name(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("the names of a store are ASCII")
}

impl Twin {
    /// The document under the name of a key's record; `None` if there is none or it cannot be had.
    pub fn document(&self, key: &Key) -> Option<Vec<u8>> {
        let name = name_of_record(key);
        match self.get(&name, MAX_RECORD_BYTES, || Ok(Vec::new())) {
            Ok(Some(document)) => Some(document),
            Ok(None) => {
                self.answered(key, false);
                None
            }
            Err(RemoteError::TooLong { .. }) => {
                self.found_wrong(&name);
                self.answered(key, false);
                None
            }
            Err(_) => None,
        }
    }

    /// Fetches an object into a new file at `scratch`, fit to be placed. Returns false if the remote does not have it,
    /// or has other bytes.
    pub fn object(&self, entry: &FileEntry, scratch: &Path) -> Result<bool, StoreError> {
        let name = name_of_object(&entry.digest);
        // The length stands in a record, which others write: it must not fill the disk.
        if let Some(free_bytes) = free_bytes(scratch).filter(|free| entry.bytes > *free) {
            self.found_too_large(&name, entry.bytes, free_bytes);
            self.lacks(&entry.digest);
            return Ok(false);
        }
        match self.get(&name, entry.bytes, || Ok(Hashing { file: File::create(scratch)?, hasher: Hasher::new() })) {
            Ok(Some(Hashing { file, hasher })) => {
                // A file that was cut off has another digest, too.
                if Digest::from_bytes(*hasher.finalize().as_bytes()) == entry.digest {
                    self.has(&entry.digest);
                    // It is synced where it is put into the store.
                    return file.set_permissions(Permissions::from_mode(0o444)).at("write", scratch).map(|()| true);
                }
                self.found_wrong(&name);
            }
            Ok(None) => {}
            Err(RemoteError::TooLong { .. }) => self.found_wrong(&name),
            Err(RemoteError::Local(error)) => return Err(error).at("write", scratch),
            // It may have the file, but not for this process.
            Err(_) => {}
        }
        self.lacks(&entry.digest);
        if fs::symlink_metadata(scratch).is_ok() {
            remove_file(scratch)?;
        }
        Ok(false)
    }
}

/// The free space of the disk on which a file would lie; `None` if it is unknown.
fn free_bytes(file: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(file.parent()?).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// A file that is hashed while it is written.
struct Hashing {
    file: File,
    hasher: Hasher,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Does something with every item, at most `max_threads` at once. Returns the first error; the rest is then left out.
pub(crate) fn for_each_at_once<T: Sync, E: Send>(
    items: &[T],
    max_threads: usize,
    act: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = act(item) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                next.store(items.len(), Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..items.len().min(max_threads) {
            scope.spawn(work);
        }
        work();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
