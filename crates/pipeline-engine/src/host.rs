//! What a running stage is offered: progress, warnings, cancellation, and shards that are committed one by one.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pipeline_core::{Event, FileEntry, Key, Manifest, Shard, StageError, StageHost, StageId, StageReport, Tree};
use pipeline_store::{KeyLock, LockOutcome, Owner, Record, Store, StoreError};

use crate::Cancel;
use crate::provenance::Origin;
use crate::worker::Message;

/// How long to wait before a lock that another process holds is tried again.
pub(crate) const LOCK_POLL: Duration = Duration::from_millis(50);

/// So many shards of a stage are stored at once, while the next ones are computed; a kill loses at most these.
const MAX_STORING: usize = 8;

/// At most ten progress events a second and stage: faster than eyes, slow enough for any number of rows.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// So many warnings are kept with a result; a program may give any number.
const MAX_WARNINGS: usize = 100;

/// The name under which a shard's record lists its one file; the artifacts that share it name it as they like.
const SHARD_FILE: &str = "shard";

/// The host of one running stage.
pub(crate) struct Host<'a> {
    stage: &'a StageId,
    store: &'a Store,
    cancel: &'a Cancel,
    origin: &'a Origin,
    /// Shards are computed though they are remembered, too.
    is_forced: bool,
    sender: Sender<Message>,
    started: Instant,
    /// Milliseconds after `started` at which the next progress may be told.
    next_progress_ms: AtomicU64,
    /// The same for redrawn lines.
    next_redraw_ms: AtomicU64,
    shards: Mutex<Shards>,
    /// Threads that store computed shards, the first begun first.
    storing: Mutex<VecDeque<JoinHandle<Result<(), StageError>>>>,
}

impl Drop for Host<'_> {
    /// Also what a failed or interrupted stage has computed is kept.
    fn drop(&mut self) {
        while let Some(thread) = self.next_storing() {
            let _ = thread.join();
        }
    }
}

/// The shards that a stage has so far.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    /// By the name in the artifact.
    pub files: BTreeMap<String, FileEntry>,
    /// Found in the store.
    pub n_reused: u64,
    /// Computed by this stage.
    pub n_computed: u64,
    /// Rows in those that were computed.
    pub n_rows_computed: u64,
    /// How long the stage stood still until a shard was hashed, and others were stored.
    pub waited: Duration,
    /// The stage's warnings, to be kept with its result.
    pub warnings: Vec<String>,
}

impl Shards {
    fn keep_warning(&mut self, message: &str) {
        match self.warnings.len() {
            0..MAX_WARNINGS => self.warnings.push(message.to_owned()),
            MAX_WARNINGS => self.warnings.push(format!("there were more than {MAX_WARNINGS} warnings")),
            _ => {}
        }
    }
}

impl<'a> Host<'a> {
    pub fn new(
        stage: &'a StageId,
        store: &'a Store,
        cancel: &'a Cancel,
        origin: &'a Origin,
        is_forced: bool,
        sender: Sender<Message>,
    ) -> Self {
        Self {
            stage,
            store,
            cancel,
            origin,
            is_forced,
            sender,
            started: Instant::now(),
            next_progress_ms: AtomicU64::new(0),
            next_redraw_ms: AtomicU64::new(0),
            shards: Mutex::default(),
            storing: Mutex::default(),
        }
    }

    /// The shards, once the stage is done and all of them are stored.
    pub fn finish(self) -> Result<Shards, StageError> {
        self.wait_for_storing(0)?;
        Ok(std::mem::take(&mut *self.shards()))
    }

    fn storing(&self) -> MutexGuard<'_, VecDeque<JoinHandle<Result<(), StageError>>>> {
        self.storing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_storing(&self) -> Option<JoinHandle<Result<(), StageError>>> {
        self.storing().pop_front()
    }

    /// Waits until at most `n_left` threads are storing shards.
    fn wait_for_storing(&self, n_left: usize) -> Result<(), StageError> {
        while self.storing().len() > n_left {
            if let Some(thread) = self.next_storing() {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(StageError::new("BUG: the thread that stores a shard panicked")))?;
            }
        }
        Ok(())
    }

    fn tell(&self, event: Event) {
        // The receiver outlives every stage; if the run's thread is gone there is nobody left to tell.
        let _ = self.sender.send(Message::Event(Box::new(event)));
    }

    /// True at most once in the interval of progress.
    fn is_due(&self, next_ms: &AtomicU64) -> bool {
        let now_ms = self.started.elapsed().as_millis() as u64;
        let due_ms = next_ms.load(Ordering::Relaxed);
        let later_ms = now_ms + PROGRESS_INTERVAL.as_millis() as u64;
        now_ms >= due_ms && next_ms.compare_exchange(due_ms, later_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn shards(&self) -> MutexGuard<'_, Shards> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock of a shard, waiting for whoever holds it.
    fn lock(&self, name: &str, key: &Key) -> Result<KeyLock, StageError> {
        let mut told = false;
        loop {
            if self.is_cancelled() {
                return Err(StageError::cancelled());
            }
            match self.store.workspace().lock(key, self.stage.as_str()).map_err(|error| store_error(name, error))? {
                LockOutcome::Acquired(lock) => return Ok(lock),
                // The shard came before in this very artifact and is being stored.
                LockOutcome::Held(owner) if owner.pid == std::process::id() && owner.stage == self.stage.as_str() => {}
                LockOutcome::Held(owner) if !told => {
                    told = true;
                    self.tell(Event::StageWaiting { stage: self.stage.clone(), owner: describe_owner(&owner) });
                }
                LockOutcome::Held(_) => {}
            }
            thread::sleep(LOCK_POLL);
        }
    }

    /// The shard under `key`, if its bytes are there. They are verified when the artifact is read.
    fn remembered(&self, name: &str, key: &Key) -> Result<Option<Shard>, StageError> {
        let Some(record) = self.store.records().get(key).map_err(|error| store_error(name, error))? else {
            return Ok(None);
        };
        let Some(&entry) = record.tree.files.get(SHARD_FILE) else { return Ok(None) };
        let is_there = self.store.cas().has_bytes(&record.tree);
        Ok(is_there.then_some(Shard { entry, report: record.report, is_reused: true }))
    }

    /// Computes a shard and leaves it to a thread to store it, so that the next one need not wait for the disk.
    fn compute(
        &self,
        name: &str,
        manifest: &Manifest,
        lock: KeyLock,
        compute: &mut dyn FnMut(&Path) -> Result<StageReport, StageError>,
    ) -> Result<Shard, StageError> {
        let began = Instant::now();
        let scratch = self.store.workspace().scratch().map_err(|error| store_error(name, error))?;
        let path = scratch.folder().join(SHARD_FILE);
        let mut report = compute(&path)?;
        leave_out_unmeasured(&mut report, self);
        let computed = Instant::now();
        let entry = self.store.cas().prepare_file(&path, report.digest).map_err(|error| store_error(name, error))?;
        let record = Record {
            key: manifest.key(),
            manifest: manifest.clone(),
            tree: Tree::of_file(SHARD_FILE, entry),
            report,
            seconds: began.elapsed().as_secs_f64(),
            provenance: self.origin.provenance(self.stage),
        };
        let shard = Shard { entry, report: record.report.clone(), is_reused: false };
        self.wait_for_storing(MAX_STORING - 1)?;
        self.shards().waited += computed.elapsed();
        let (store, name) = (self.store.clone(), name.to_owned());
        let thread = thread::Builder::new().name("shards".into()).spawn(move || {
            let stored = store.cas().put_prepared(&path, &entry).and_then(|()| store.records().put(&record));
            // Only now may others look for it, or find that it is not there.
            drop((lock, scratch));
            stored.map_err(|error| store_error(&name, error))
        });
        let thread = thread.map_err(|error| StageError::because("no thread can be started to store a shard", error))?;
        self.storing().push_back(thread);
        Ok(shard)
    }

    fn add(&self, name: &str, shard: Shard) -> Result<Shard, StageError> {
        let mut shards = self.shards();
        if shards.files.insert(name.to_owned(), shard.entry).is_some() {
            return Err(StageError::new(format!("BUG: two shards of one artifact are named `{name}`")));
        }
        if shard.is_reused {
            shards.n_reused += 1;
        } else {
            shards.n_computed += 1;
            shards.n_rows_computed += shard.report.n_rows.unwrap_or(0);
        }
        Ok(shard)
    }
}

impl StageHost for Host<'_> {
    fn progress(&self, n_done: u64, total: Option<u64>) {
        if self.is_due(&self.next_progress_ms) || total == Some(n_done) {
            self.tell(Event::StageProgress { stage: self.stage.clone(), n_done, total });
        }
    }

    fn warn(&self, message: String) {
        self.shards().keep_warning(&message);
        self.tell(Event::StageWarning { stage: self.stage.clone(), message });
    }

    fn output(&self, line: &str) {
        self.tell(Event::StageOutput { stage: self.stage.clone(), line: line.to_owned() });
    }

    fn redraw(&self, line: &str) {
        if self.is_due(&self.next_redraw_ms) {
            self.tell(Event::StageRedraw { stage: self.stage.clone(), line: line.to_owned() });
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn shard(
        &self,
        name: &str,
        manifest: &Manifest,
        compute: &mut dyn FnMut(&Path) -> Result<StageReport, StageError>,
    ) -> Result<Shard, StageError> {
        let key = manifest.key();
        let remembered = || if self.is_forced { Ok(None) } else { self.remembered(name, &key) };
        if let Some(shard) = remembered()? {
            return self.add(name, shard);
        }
        let lock = self.lock(name, &key)?;
        // Whoever held the lock may have computed this very shard.
        let shard = match remembered()? {
            Some(shard) => shard,
            None => self.compute(name, manifest, lock, compute)?,
        };
        self.add(name, shard)
    }
}

/// JSON has no NaN: a metric that is not a number is not there.
pub(crate) fn leave_out_unmeasured(report: &mut StageReport, host: &Host<'_>) {
    report.metrics.retain(|name, value| {
        if !value.is_finite() {
            host.warn(format!("metric `{name}` is {value} and is left out"));
        }
        value.is_finite()
    });
    report.seconds.retain(|_, seconds| seconds.is_finite());
}

/// Who holds a lock, for people.
pub(crate) fn describe_owner(owner: &Owner) -> String {
    let age_s = crate::provenance::now_ms().saturating_sub(owner.since_ms) / 1000;
    format!("process {} on {} (stage {}, for {age_s} s)", owner.pid, owner.host, owner.stage)
}

fn store_error(name: &str, error: StoreError) -> StageError {
    let help = error.help();
    let mut stage_error = StageError::because(format!("shard `{name}` cannot be stored"), error);
    stage_error.help = help;
    stage_error
}
