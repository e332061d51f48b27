//! The services to a running stage: progress, warnings, cancellation.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pipeline_core::{Derived, Event, Key, Numerics, SourceFile, StageError, StageHost, StageReport};
use pipeline_store::{LockOutcome, Owner, Store, StoreError};

use crate::derived::{self, Maker};
use crate::message::Message;
use crate::shards::Role;
use crate::worker::Workshop;
use crate::{Cancel, Node};

/// The pause before a lock that another process holds is tried again.
pub(crate) const LOCK_POLL: Duration = Duration::from_millis(50);

/// At most ten progress events per second and stage: faster than eyes, slow enough for any number of rows.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The most warnings that are kept with a result; a program may print any number.
const MAX_WARNINGS: usize = 100;

/// The host of one running stage.
pub(crate) struct Host<'a> {
    store: &'a Store,
    cancel: &'a Cancel,
    maker: Maker<'a>,
    role: Role,
    sender: Sender<Message>,
    started: Instant,
    /// The time of the next progress report, in milliseconds after `started`.
    next_progress_ms: AtomicU64,
    /// The same for redrawn lines.
    next_redraw_ms: AtomicU64,
    has_reported_waiting: AtomicBool,
    /// The stage's warnings, to be kept with its result.
    warnings: Mutex<Vec<String>>,
}

impl<'a> Host<'a> {
    pub fn new(shop: &'a Workshop<'_>, node: &'a Node, is_forced: bool, role: Role, sender: Sender<Message>) -> Self {
        let numerics = shop.origin.class(&*node.stage);
        Self {
            store: shop.store,
            cancel: shop.cancel,
            maker: Maker { stage: &node.id, origin: &shop.origin, numerics, is_forced },
            role,
            sender,
            started: Instant::now(),
            next_progress_ms: AtomicU64::new(0),
            next_redraw_ms: AtomicU64::new(0),
            has_reported_waiting: AtomicBool::new(false),
            warnings: Mutex::default(),
        }
    }

    /// True when remembered shards count as missing.
    pub fn is_forced(&self) -> bool {
        self.maker.is_forced
    }

    /// The class of the stage's arithmetic.
    pub fn numerics(&self) -> Numerics {
        self.maker.numerics
    }

    /// Requests the right to compute a shard. Never waits.
    pub fn lock(&self, key: &Key) -> Result<LockOutcome, StoreError> {
        self.store.workspace().lock(key, self.maker.stage.as_str(), self.maker.numerics)
    }

    /// Reports the numbers of shards and of rows, and of those that are missing.
    pub fn report_shards(&self, [n_shards, n_missing]: [u64; 2], [n_rows, n_rows_missing]: [u64; 2]) {
        let stage = self.maker.stage.clone();
        match self.role {
            Role::Lead => self.send(Event::StageSharded { stage, n_shards, n_missing, n_rows, n_rows_missing }),
            Role::Help if n_missing > 0 => self.send(Event::StageHelping { stage, n_shards, n_missing }),
            Role::Help => {}
        }
    }

    /// Reports that a shard of this many rows is computed.
    pub fn report_computed(&self, n_rows: u64) {
        self.send(Event::ShardComputed { stage: self.maker.stage.clone(), n_rows });
    }

    /// Reports once that the stage waits for a shard of another process.
    pub fn report_waiting(&self, owner: &Owner) {
        // An earlier shard of this same artifact, which is being stored.
        let is_own = owner.pid == std::process::id() && owner.stage == self.maker.stage.as_str();
        if !is_own && !self.has_reported_waiting.swap(true, Ordering::Relaxed) {
            self.send(Event::StageWaiting { stage: self.maker.stage.clone(), owner: describe_owner(owner) });
        }
    }

    /// Takes the stage's warnings.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings())
    }

    fn warnings(&self) -> MutexGuard<'_, Vec<String>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: Event) {
        // The receiver outlives every stage; if the run's thread is gone, no listener is left.
        let _ = self.sender.send(Message::Event(Box::new(event)));
    }

    /// True at most once per interval of progress.
    fn is_due(&self, next_ms: &AtomicU64) -> bool {
        let now_ms = self.started.elapsed().as_millis() as u64;
        let due_ms = next_ms.load(Ordering::Relaxed);
        let later_ms = now_ms + PROGRESS_INTERVAL.as_millis() as u64;
        now_ms >= due_ms && next_ms.compare_exchange(due_ms, later_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl StageHost for Host<'_> {
    fn progress(&self, n_done: u64, total: Option<u64>) {
        if self.is_due(&self.next_progress_ms) || total == Some(n_done) {
            self.send(Event::StageProgress { stage: self.maker.stage.clone(), n_done, total });
        }
    }

    /// A helper's warnings are those of the leading process.
    fn warn(&self, message: String) {
        if self.role == Role::Help {
            return;
        }
        let mut warnings = self.warnings();
        match warnings.len() {
            0..MAX_WARNINGS => warnings.push(message.clone()),
            MAX_WARNINGS => warnings.push(format!("there were more than {MAX_WARNINGS} warnings")),
            _ => {}
        }
        drop(warnings);
        self.send(Event::StageWarning { stage: self.maker.stage.clone(), message });
    }

    fn output(&self, line: &str) {
        self.send(Event::StageOutput { stage: self.maker.stage.clone(), line: line.to_owned() });
    }

    fn redraw(&self, line: &str) {
        if self.is_due(&self.next_redraw_ms) {
            self.send(Event::StageRedraw { stage: self.maker.stage.clone(), line: line.to_owned() });
        }
    }

    fn source_files(&self, folder: &Path) -> Result<Vec<SourceFile>, StageError> {
        source_files(self.store, folder)
    }

    fn derived(
        &self,
        derived: &Derived<'_>,
        waits: bool,
        make: &dyn Fn() -> Result<Vec<u8>, StageError>,
    ) -> Result<Option<Vec<u8>>, StageError> {
        let waits = || if self.is_cancelled() { Err(StageError::cancelled()) } else { Ok(waits) };
        derived::keep(self.store, &self.maker, derived, &waits, make)
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// The files of a folder that is a source, as the store's digests cover them.
///
/// # Errors
/// When the folder cannot be read.
pub fn source_files(store: &Store, folder: &Path) -> Result<Vec<SourceFile>, StageError> {
    store.sources().files(folder).map_err(|error| error.stage_error("a folder of sources cannot be read"))
}

/// Removes NaN metrics, which JSON cannot hold.
pub(crate) fn leave_out_unmeasured(report: &mut StageReport, host: &Host<'_>) {
    report.metrics.retain(|name, value| {
        if !value.is_finite() {
            host.warn(format!("metric `{name}` is {value} and is left out"));
        }
        value.is_finite()
    });
    report.seconds.retain(|_, seconds| seconds.is_finite());
}

/// The owner of a lock, for people.
pub(crate) fn describe_owner(owner: &Owner) -> String {
    let age_s = crate::provenance::now_ms().saturating_sub(owner.since_ms) / 1000;
    format!("process {} on {} (stage {}, for {age_s} s)", owner.pid, owner.host, owner.stage)
}
