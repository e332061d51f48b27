//! Files that are read at many places in any order, of which a bounded number are open at once.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::DataError;

/// The share of the process's open files that one of these may take: four trainings at once have sixteen of them.
const SHARE: u64 = 32;

/// The files, by their place in a list.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    paths: Vec<PathBuf>,
    /// A file has one slot, which it shares with others where there are more of them.
    slots: Vec<Mutex<Slot>>,
}

/// An open file with its place in the list.
type Slot = Option<(usize, Arc<File>)>;

impl OpenFiles {
    /// Opens nothing yet.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / SHARE;
        let n_slots = paths.len().min(usize::try_from(allowed).unwrap_or(usize::MAX)).max(1);
        Self::with_slots(paths, n_slots)
    }

    fn with_slots(paths: Vec<PathBuf>, n_slots: usize) -> Self {
        Self { paths, slots: (0..n_slots).map(|_| Mutex::default()).collect() }
    }

    /// Reads bytes of a file. A file that its server has replaced (`ESTALE`) is opened once more.
    ///
    /// # Errors
    /// When it cannot be opened or read, or is too short; the error names it.
    pub(crate) fn read_exact_at(&self, file_idx: usize, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let unreadable = |source| {
            let path = self.paths[file_idx].clone();
            io::Error::other(DataError::Read { path, source })
        };
        let mut is_again = false;
        pipeline_files::again_if_stale(|| {
            if std::mem::replace(&mut is_again, true) {
                *self.slot(file_idx) = None;
            }
            self.open(file_idx)?.read_exact_at(bytes, offset)
        })
        .map_err(unreadable)
    }

    /// The path of a file.
    pub(crate) fn path(&self, file_idx: usize) -> &Path {
        &self.paths[file_idx]
    }

    /// Lets the system read bytes of a file that are needed soon. It may do so or not.
    pub(crate) fn read_ahead(&self, file_idx: usize, offset: u64, n_bytes: usize) {
        // Otherwise a file would be closed again before it is read.
        if self.slots.len() < self.paths.len() {
            return;
        }
        let (Ok(file), n_bytes) = (self.open(file_idx), NonZeroU64::new(n_bytes as u64)) else { return };
        let _ = rustix::fs::fadvise(&*file, offset, n_bytes, rustix::fs::Advice::WillNeed);
    }

    fn open(&self, file_idx: usize) -> io::Result<Arc<File>> {
        match self.open_in_slot(file_idx) {
            // The process or the system has no more of them: those that are open here need not be.
            Err(error) if is_full(&error) => {
                self.slots.iter().for_each(|slot| *slot.lock().unwrap_or_else(PoisonError::into_inner) = None);
                self.open_in_slot(file_idx)
            }
            opened => opened,
        }
    }

    fn open_in_slot(&self, file_idx: usize) -> io::Result<Arc<File>> {
        let mut slot = self.slot(file_idx);
        if let Some((_, file)) = slot.as_ref().filter(|(open, _)| *open == file_idx) {
            return Ok(file.clone());
        }
        let file = Arc::new(pipeline_files::open(&self.paths[file_idx])?);
        *slot = Some((file_idx, file.clone()));
        Ok(file)
    }

    fn slot(&self, file_idx: usize) -> std::sync::MutexGuard<'_, Slot> {
        self.slots[file_idx % self.slots.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|full| error.raw_os_error() == Some(full.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn more_files_than_may_be_open_are_read_from_all_threads() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..40).map(|idx| folder.path().join(idx.to_string())).collect();
        paths.iter().enumerate().for_each(|(idx, path)| fs::write(path, [idx as u8; 10]).unwrap());
        let files = OpenFiles::with_slots(paths, 7);
        (0..4000usize).into_par_iter().for_each(|idx| {
            let (file_idx, mut bytes) = (idx * 17 % 40, [0; 3]);
            files.read_exact_at(file_idx, &mut bytes, 5).unwrap();
            assert_eq!(bytes, [file_idx as u8; 3]);
        });
    }

    #[test]
    fn a_missing_and_a_short_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["short", "missing"].map(|name| folder.path().join(name)).to_vec();
        fs::write(&paths[0], "ab").unwrap();
        let files = OpenFiles::new(paths);
        for (file_idx, name) in ["short", "missing"].iter().enumerate() {
            let error = files.read_exact_at(file_idx, &mut [0; 9], 0).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
