//! Stores computed shards on separate threads, so that the next one need not wait for the disk.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pipeline_core::{Arithmetic, FileEntry, Key, Numerics, ShardOrder, ShardReport, StageError, Tree};
use pipeline_store::{KeyLock, PutMode, Record, Store, StoreError, host_name};

use crate::Node;
use crate::provenance::Origin;

/// The most shards of a stage that are stored at once, while the next ones are computed; a kill loses at most these.
const MAX_STORING: usize = 8;

/// The name of the one file in a shard's record; the artifacts that share it use their own names.
const SHARD_FILE: &str = "shard";

/// A shard in the store, or on its way there.
pub(crate) struct Found {
    pub entry: FileEntry,
    pub report: ShardReport,
    /// The classes of arithmetic that computed it.
    pub numerics: Vec<Numerics>,
    /// True if this process has computed it.
    pub is_own: bool,
}

/// The shards of one running stage on their way into the store.
pub(crate) struct Storing<'a> {
    node: &'a Node,
    store: &'a Store,
    origin: &'a Origin,
    numerics: Numerics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The threads, oldest first.
    threads: VecDeque<JoinHandle<Result<(), StageError>>>,
    /// How long the stage waited until a shard was hashed, and others were stored.
    waited: Duration,
}

impl<'a> Storing<'a> {
    pub fn new(node: &'a Node, store: &'a Store, origin: &'a Origin, numerics: Numerics) -> Self {
        Self { node, store, origin, numerics, state: Mutex::default() }
    }

    /// The shard under `key`, if its bytes exist. They are verified when the artifact is read.
    pub fn remembered(&self, name: &str, key: &Key) -> Result<Option<Found>, StageError> {
        let record = self.store.records().get_shard(key).map_err(|error| store_error(name, error))?;
        Ok(record.and_then(|record| usable(self.store, record, self.origin.arithmetic, self.numerics)))
    }

    /// Looks these shards up in the remote, many at once, before they are asked for one by one.
    pub fn fetch(&self, orders: &[ShardOrder]) {
        self.store.records().fetch_shards(&keys(orders));
    }

    /// Computes a shard, and leaves storing it to a thread. One that is forced replaces that of the remote, too.
    pub fn compute(
        &self,
        order: &ShardOrder,
        is_forced: bool,
        lock: KeyLock,
        compute: impl FnOnce(&Path) -> Result<ShardReport, StageError>,
    ) -> Result<Found, StageError> {
        let name = &order.name;
        let began = Instant::now();
        let scratch = self.store.workspace().scratch().map_err(|error| store_error(name, error))?;
        let path = scratch.folder().join(SHARD_FILE);
        let report = compute(&path)?;
        let computed = Instant::now();
        let entry = self.store.cas().prepare_file(&path, report.digest).map_err(|error| store_error(name, error))?;
        let record = Record {
            key: order.key,
            manifest: order.manifest(),
            tree: Tree::of_file(SHARD_FILE, entry),
            report: report.clone(),
            shard_rows: Vec::new(),
            seconds: began.elapsed().as_secs_f64(),
            provenance: self.origin.provenance(&self.node.id, vec![self.numerics]),
            has_objects: self.node.retain,
        };
        let mode = if is_forced { PutMode::Replace } else { PutMode::Create };
        self.wait(MAX_STORING - 1)?;
        self.state().waited += computed.elapsed();
        let (store, name) = (self.store.clone(), name.clone());
        let thread = thread::Builder::new().name("shards".into()).spawn(move || {
            let stored =
                store.cas().put_prepared(&path, &entry).and_then(|()| store.records().put_shard(&record, mode));
            // Only now may others look for it, or find it missing.
            drop((lock, scratch));
            stored.map_err(|error| store_error(&name, error))
        });
        let thread = thread.map_err(|error| StageError::because("no thread can be started to store a shard", error))?;
        self.state().threads.push_back(thread);
        Ok(Found { entry, report, numerics: vec![self.numerics], is_own: true })
    }

    /// Waits until all shards are stored. Returns how long the stage has waited for that while it worked.
    pub fn finish(self) -> Result<Duration, StageError> {
        self.wait(0)?;
        Ok(self.state().waited)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, n_left: usize) -> Option<JoinHandle<Result<(), StageError>>> {
        let mut state = self.state();
        if state.threads.len() > n_left { state.threads.pop_front() } else { None }
    }

    /// Waits until at most `n_left` shards are being stored.
    fn wait(&self, n_left: usize) -> Result<(), StageError> {
        while let Some(thread) = self.next(n_left) {
            thread.join().unwrap_or_else(|_| Err(StageError::new("BUG: the thread that stores a shard panicked")))?;
        }
        Ok(())
    }
}

impl Drop for Storing<'_> {
    /// Keeps the shards that a failed or interrupted stage has computed.
    fn drop(&mut self) {
        while let Some(thread) = self.next(0) {
            let _ = thread.join();
        }
    }
}

/// The shard of a record, if its bytes exist and its arithmetic is accepted for a stage of the class `numerics`.
pub(crate) fn usable(
    store: &Store,
    record: Record<ShardReport>,
    arithmetic: Arithmetic,
    numerics: Numerics,
) -> Option<Found> {
    if !arithmetic.accepts(&record.provenance.numerics, numerics) {
        return None;
    }
    let entry = *record.tree.files.get(SHARD_FILE)?;
    if !store.has_bytes(&record) {
        return None;
    }
    let is_own = record.provenance.pid == std::process::id() && record.provenance.host == host_name();
    let Record { report, provenance, .. } = record;
    Some(Found { entry, report, numerics: provenance.numerics, is_own })
}

/// The keys of shards.
pub(crate) fn keys(orders: &[ShardOrder]) -> Vec<&Key> {
    orders.iter().map(|order| &order.key).collect()
}

pub(crate) fn store_error(name: &str, error: StoreError) -> StageError {
    let help = error.help();
    let mut stage_error = StageError::because(format!("shard `{name}` cannot be stored"), error);
    stage_error.help = help;
    stage_error
}
