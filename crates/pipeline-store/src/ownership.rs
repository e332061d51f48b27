//! Lock files: the operating system's lock on one shows whether its owner lives, so a killed owner leaves nothing
//! behind.
//!
//! A lock file is removed while it is still locked. A process that locks it afterwards checks that its name still leads
//! to the same file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The result of [`claim`].
#[derive(Debug)]
pub(crate) enum Claim {
    /// The file is locked for the caller alone.
    Owned(OwnedFile),
    /// A living process holds the file.
    Held(File),
    /// The file system has no locks: whether the owner lives is unknown.
    Unknown,
}

/// A lock file that the caller owns exclusively; removed and unlocked when dropped.
#[derive(Debug)]
pub(crate) struct OwnedFile {
    pub(crate) file: File,
    path: PathBuf,
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        // Best effort: a file that stays is free once it is unlocked.
        let _ = fs::remove_file(&self.path);
        // Closing would not suffice: a child between fork and exec holds a copy of the handle.
        let _ = self.file.unlock();
    }
}

/// A lock file shared by readers; unlocked when dropped, and removed by the last.
#[derive(Debug)]
pub(crate) struct SharedFile {
    file: Option<File>,
    path: PathBuf,
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let _ = file.unlock();
            drop(claim(&self.path));
        }
    }
}

/// Locks the file at `path` exclusively, or returns that it is held. Never waits.
///
/// # Errors
/// When the file cannot be created.
pub(crate) fn claim(path: &Path) -> io::Result<Claim> {
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) if leads_to(path, &file) => {
                return Ok(Claim::Owned(OwnedFile { file, path: path.to_owned() }));
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Claim::Held(file)),
            Err(TryLockError::Error(_)) => return Ok(Claim::Unknown),
        }
    }
}

/// Locks the file at `path` together with other readers; waits while another process owns it exclusively.
///
/// # Errors
/// When the file cannot be created.
pub(crate) fn share(path: &Path) -> io::Result<SharedFile> {
    loop {
        let file = open(path)?;
        let locked = file.lock_shared();
        if locked.is_err() {
            return Ok(SharedFile { file: None, path: path.to_owned() });
        }
        if leads_to(path, &file) {
            return Ok(SharedFile { file: Some(file), path: path.to_owned() });
        }
    }
}

/// True if a living process holds the lock on this file, or that is unknown.
pub(crate) fn is_held(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            false
        }
        Err(_) => true,
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            options.open(path)
        }
        opened => opened,
    }
}

fn leads_to(path: &Path, file: &File) -> bool {
    match (fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(opened)) => named.ino() == opened.ino() && named.dev() == opened.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_at_a_time_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/lock");
        let Claim::Owned(owned) = claim(&path).unwrap() else { panic!("the lock is free") };
        assert!(matches!(claim(&path).unwrap(), Claim::Held(_)));
        drop(owned);
        assert!(!path.exists());
        assert!(matches!(claim(&path).unwrap(), Claim::Owned(_)));
    }

    #[test]
    fn readers_share_and_the_last_removes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let (first, second) = (share(&path).unwrap(), share(&path).unwrap());
        drop(first);
        let Claim::Held(file) = claim(&path).unwrap() else { panic!("a reader is left") };
        drop(second);
        assert!(!is_held(&file));
        assert!(!path.exists());
    }
}
