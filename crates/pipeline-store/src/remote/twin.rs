//! The remote of one store: asks it, remembers its answers in this process, and counts.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pipeline_core::{Digest, Key, RemoteCounts};

use super::health::Health;
use super::{PutMode, Remote, RemoteError, Signatures, Upload};

/// The pauses before the second and third attempt at a request.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];

/// Whether this process may write into the remote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// It only reads.
    #[default]
    Read,
    /// It uploads its results.
    Write,
}

/// Something that people should know about the remote; each happens at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteNews {
    /// The remote is not asked any more in this process.
    Off {
        /// The reason.
        reason: String,
    },
    /// A file of the remote has other bytes than its name says; it counts as missing, and so do later ones.
    Wrong {
        /// The file.
        name: String,
    },
    /// A file is larger than the free space here; it counts as missing, and so do later ones.
    TooLarge {
        /// The file.
        name: String,
        /// Its bytes, as its record says.
        bytes: u64,
        /// The free bytes of the disk that holds the store.
        free_bytes: u64,
    },
}

/// The remote of a store.
#[derive(Debug)]
pub(crate) struct Twin {
    remote: Box<dyn Remote>,
    access: Access,
    signatures: Signatures,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    health: Health,
    counts: RemoteCounts,
    news: Vec<RemoteNews>,
    /// Records that no trusted key has signed, since the last time that they were taken.
    n_untrusted: u64,
    is_off_known: bool,
    /// True once a wrong file has been news.
    is_wrong_known: bool,
    /// True once a file that is too large has been news.
    is_too_large_known: bool,
    /// Keys without a record.
    missed: HashSet<Key>,
    /// Objects that it lacks, or has with other bytes.
    lacking: HashSet<Digest>,
    /// The names of files with wrong bytes: an upload replaces them.
    spoiled: HashSet<String>,
    /// Objects that it is known to have.
    sent: HashSet<Digest>,
}

/// The destination of a transfer: counts the bytes, and breaks off one that is too slow.
struct Sink<'a> {
    twin: &'a Twin,
    to: &'a mut dyn Write,
    began: Instant,
    n_bytes: u64,
    is_slow: bool,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.n_bytes += bytes.len() as u64;
        self.is_slow = self.began.elapsed() > self.twin.state().health.limit(self.n_bytes);
        if self.is_slow {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Twin {
    pub fn new(remote: Box<dyn Remote>, access: Access, signatures: Signatures) -> Self {
        Self { remote, access, signatures, state: Mutex::default() }
    }

    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    pub fn url(&self) -> &str {
        self.remote.url()
    }

    pub fn access(&self) -> Access {
        self.access
    }

    /// The remote itself, for maintenance: without memory and without patience.
    pub fn remote(&self) -> &dyn Remote {
        &*self.remote
    }

    pub fn is_off(&self) -> bool {
        self.state().health.off().is_some()
    }

    pub fn counts(&self) -> RemoteCounts {
        self.state().counts
    }

    pub fn take_news(&self) -> Vec<RemoteNews> {
        std::mem::take(&mut self.state().news)
    }

    /// Takes the number of records that were not used because no trusted key has signed them.
    pub fn take_untrusted(&self) -> u64 {
        std::mem::take(&mut self.state().n_untrusted)
    }

    /// A record is signed by no trusted key.
    pub fn found_untrusted(&self) {
        self.state().n_untrusted += 1;
    }

    /// Writes a file of at most `max_bytes` bytes to the writer that `restart` gives for each attempt.
    pub fn get<W: Write>(
        &self,
        name: &str,
        max_bytes: u64,
        mut restart: impl FnMut() -> io::Result<W>,
    ) -> Result<Option<W>, RemoteError> {
        self.ask(|twin, began| {
            let mut to = match restart() {
                Ok(to) => to,
                Err(error) => return (Err(RemoteError::Local(error)), 0),
            };
            let mut sink = Sink { twin, to: &mut to, began, n_bytes: 0, is_slow: false };
            let found = twin.remote.get(name, max_bytes, &mut sink);
            let (n_bytes, is_slow) = (sink.n_bytes, sink.is_slow);
            twin.state().counts.bytes_down += n_bytes;
            let found = if is_slow { Err(RemoteError::Unavailable("it is too slow".to_owned())) } else { found };
            (found.map(|found| found.then_some(to)), n_bytes)
        })
    }

    /// The length of a file; `None` if there is none.
    pub fn size(&self, name: &str) -> Result<Option<u64>, RemoteError> {
        self.ask(|twin, _| (twin.remote.size(name), 0))
    }

    /// Uploads a file of `bytes` bytes. Returns false if there is one of this name, and it stays.
    pub fn put(&self, name: &str, upload: Upload<'_>, bytes: u64, mode: PutMode) -> Result<bool, RemoteError> {
        let mode = if self.state().spoiled.contains(name) { PutMode::Replace } else { mode };
        let is_new = self.ask(|twin, _| (twin.remote.put(name, upload, mode), bytes))?;
        if is_new {
            let mut state = self.state();
            state.counts.bytes_up += bytes;
            state.spoiled.remove(name);
        }
        Ok(is_new)
    }

    /// Asks up to three times, as long as the remote is not off.
    fn ask<T>(
        &self,
        mut attempt: impl FnMut(&Self, Instant) -> (Result<T, RemoteError>, u64),
    ) -> Result<T, RemoteError> {
        let mut pauses = PAUSES.iter();
        loop {
            if let Some(reason) = self.state().health.off() {
                return Err(RemoteError::Off(reason.to_owned()));
            }
            let began = Instant::now();
            let (result, bytes) = attempt(self, began);
            let error = match result {
                Ok(answer) => {
                    self.settle(|health| health.succeeded(began, Instant::now(), bytes));
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if !matches!(error, RemoteError::Local(_) | RemoteError::TooLong { .. }) {
                self.state().counts.n_errors += 1;
                self.settle(|health| health.failed(began, Instant::now(), &error));
            }
            match pauses.next().filter(|_| error.is_transient()) {
                Some(pause) => thread::sleep(*pause),
                None => return Err(error),
            }
        }
    }

    /// Takes an outcome into account, and says once that the remote is off.
    fn settle(&self, outcome: impl FnOnce(&mut Health)) {
        let mut state = self.state();
        outcome(&mut state.health);
        if let (Some(reason), false) = (state.health.off().map(str::to_owned), state.is_off_known) {
            state.is_off_known = true;
            state.news.push(RemoteNews::Off { reason });
        }
    }

    /// A file has other bytes than its name says.
    pub fn found_wrong(&self, name: &str) {
        let mut state = self.state();
        state.counts.n_errors += 1;
        state.spoiled.insert(name.to_owned());
        if !std::mem::replace(&mut state.is_wrong_known, true) {
            state.news.push(RemoteNews::Wrong { name: name.to_owned() });
        }
    }

    /// A file does not fit on the disk: it is not fetched.
    pub fn found_too_large(&self, name: &str, bytes: u64, free_bytes: u64) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_too_large_known, true) {
            state.news.push(RemoteNews::TooLarge { name: name.to_owned(), bytes, free_bytes });
        }
    }

    /// True if the key is worth a request.
    pub fn may_know(&self, key: &Key) -> bool {
        let state = self.state();
        state.health.off().is_none() && !state.missed.contains(key)
    }

    /// Treats the keys as absent from the remote.
    pub fn pass_over(&self, keys: &[Key]) {
        self.state().missed.extend(keys);
    }

    /// The key has a usable record, or it has none as far as this process is concerned.
    pub fn answered(&self, key: &Key, is_hit: bool) {
        let mut state = self.state();
        if is_hit {
            state.counts.n_hits += 1;
        } else {
            state.counts.n_misses += 1;
            state.missed.insert(*key);
        }
    }

    /// True unless it is known to lack the object. It is not asked: that would cost a request for every file.
    pub fn may_have(&self, digest: &Digest) -> bool {
        let state = self.state();
        state.health.off().is_none() && !state.lacking.contains(digest)
    }

    /// It lacks the object, or has it with other bytes.
    pub fn lacks(&self, digest: &Digest) {
        self.state().lacking.insert(*digest);
    }

    /// True if it is known to have the object.
    pub fn is_sent(&self, digest: &Digest) -> bool {
        self.state().sent.contains(digest)
    }

    /// It has the object.
    pub fn has(&self, digest: &Digest) {
        let mut state = self.state();
        state.lacking.remove(digest);
        state.sent.insert(*digest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
