//! The order of runs: each run gets a number when it begins, independent of the clock.
//!
//! `store-v1/run-order` holds the last number. It is written after the run's folder was made. So a counter older than
//! the folder of runs has missed one, and the numbers of the runs decide.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Runs;
use super::begin::RunBegin;
use crate::StoreError;
use crate::durable::{list_folder, make_folder, parent};
use crate::error::At;
use crate::sealed::{read_sealed, seal};

/// The most attempts to lock a counter that another process holds, and the pause between them. A process that holds it
/// longer has been stopped, and must not stop others.
const MAX_TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The right to number a run; others wait until it is dropped.
#[derive(Debug)]
pub(super) struct RunOrder {
    counter: File,
    last: u64,
}

impl RunOrder {
    /// The number of the next run, larger than that of any run of this store.
    fn next(&self) -> u64 {
        self.last + 1
    }

    /// Records that the run with the next number has its folder.
    pub(super) fn take(self) -> io::Result<u64> {
        let number = self.next();
        let document = seal(&number);
        self.counter.write_all_at(&document, 0)?;
        self.counter.set_len(document.len() as u64)?;
        Ok(number)
    }
}

impl Drop for RunOrder {
    fn drop(&mut self) {
        // Closing would not suffice: a child between fork and exec holds a copy of the handle.
        let _ = self.counter.unlock();
    }
}

impl Runs {
    /// Waits for the right to assign the next number.
    pub(super) fn take_turn(&self) -> Result<RunOrder, StoreError> {
        let path = &self.order;
        make_folder(parent(path))?;
        let mut options = File::options();
        let counter = options.read(true).write(true).create(true).truncate(false).open(path).at("open", path)?;
        hold(&counter);
        let last = match read_sealed::<u64>(path) {
            Some(last) if is_current(&counter, &self.folder) => last,
            // A counter that was lost, damaged or left behind by a power cut.
            counted => counted.unwrap_or(0).max(self.largest_number()?),
        };
        Ok(RunOrder { counter, last })
    }

    fn largest_number(&self) -> Result<u64, StoreError> {
        let begins = list_folder(&self.folder)?.into_iter().filter_map(|entry| RunBegin::read(&entry.path()).ok()?);
        Ok(begins.map(|begin| begin.number).max().unwrap_or(0))
    }
}

/// Locks the counter. Without a lock two simultaneous runs may get the same number, and sort by time.
fn hold(counter: &File) {
    for _ in 0..MAX_TRIES {
        match counter.try_lock() {
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            _ => return,
        }
    }
}

/// True if the folder of runs was not changed since the counter was written.
fn is_current(counter: &File, runs: &Path) -> bool {
    let modified = |metadata: io::Result<fs::Metadata>| metadata.and_then(|metadata| metadata.modified());
    let written = modified(counter.metadata()).unwrap_or(SystemTime::UNIX_EPOCH);
    modified(fs::metadata(runs)).is_ok_and(|changed| changed <= written)
}
