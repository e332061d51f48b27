//! Stores computed shards on separate threads, so that the next one need not wait for the disk.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pipeline_core::{Arithmetic, Digest, FileEntry, Key, Numerics, ShardOrder, ShardReport, StageError, Tree};
use pipeline_store::{
    KeyLock, Machine, PackedShard, PackedShards, PutMode, Record, RecordFile, Store, StoreError, host_name,
};

use crate::Node;
use crate::provenance::{Machines, Origin, here, of_record};

/// The most shards of a stage that are stored at once, while the next ones are computed; a kill loses at most these.
const MAX_STORING: usize = 8;

/// The least shards of a stage whose records are packed: fewer are read in a moment.
pub(crate) const MIN_PACKED: usize = 256;

/// The name of the one file in a shard's record; the artifacts that share it use their own names.
const SHARD_FILE: &str = "shard";

/// A shard in the store, or on its way there.
pub(crate) struct Found {
    pub entry: FileEntry,
    pub report: ShardReport,
    /// The classes of arithmetic that computed it.
    pub numerics: Vec<Numerics>,
    /// The machine that computed it.
    pub machine: Machine,
    /// True if this process has computed it.
    pub is_own: bool,
    /// False if a remote that has the record does not have its objects.
    pub has_objects: bool,
    /// The identity of the record that was read; `None` of a shard that this process is about to store.
    pub record: Option<RecordFile>,
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
    threads: VecDeque<JoinHandle<Result<StoredRecord, StageError>>>,
    stored: Stored,
}

/// The key of a stored shard, and the identity of its record.
type StoredRecord = (Key, Option<RecordFile>);

/// The shards that were stored.
#[derive(Default)]
pub(crate) struct Stored {
    /// How long the stage waited until a shard was hashed, and others were stored.
    pub waited: Duration,
    pub records: Vec<StoredRecord>,
}

impl<'a> Storing<'a> {
    pub fn new(node: &'a Node, store: &'a Store, origin: &'a Origin, numerics: Numerics) -> Self {
        Self { node, store, origin, numerics, state: Mutex::default() }
    }

    /// The shard under `key`, if its bytes exist. They are verified when the artifact is read.
    pub fn remembered(&self, name: &str, key: &Key) -> Result<Option<Found>, StageError> {
        // Before it is read: a record that is replaced meanwhile has another identity.
        let file = self.store.records().file_of(key);
        let record = self.store.records().get_shard(key).map_err(|error| store_error(name, error))?;
        let found = record.and_then(|record| usable(self.store, record, self.origin.arithmetic, self.numerics));
        Ok(found.map(|found| Found { record: file, ..found }))
    }

    /// Like [`Storing::remembered`], from packed records. `None` where only the record can answer.
    pub fn packed(&self, shards: &PackedShards, key: &Key) -> Option<Found> {
        packed(self.store, shards, key, self.origin.arithmetic, self.numerics)
    }

    /// The packed records of the shards of a stage.
    pub fn packed_shards(&self, orders: &[ShardOrder]) -> PackedShards {
        packed_shards(self.store, orders)
    }

    /// Packs the records of many shards, so that plans need not read them one by one. This only saves time, so that a
    /// store that cannot be written goes without.
    pub fn pack(&self, shared: &Digest, shards: Vec<(Key, PackedShard)>) {
        let _ = self.store.records().put_packed(shared, shards);
    }

    /// Looks these shards up in the remote, many at once, before they are asked for one by one.
    pub fn fetch(&self, orders: &[ShardOrder]) {
        self.store.records().fetch_shards(&keys(orders));
    }

    /// Computes a shard, on this card if on any, and leaves storing it to a thread. One that is forced replaces that of
    /// the remote, too.
    pub fn compute(
        &self,
        order: &ShardOrder,
        is_forced: bool,
        lock: KeyLock,
        card: Option<u16>,
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
            provenance: self.origin.provenance(&self.node.id, vec![self.numerics], Machines::here(card)),
            has_objects: self.node.retain,
        };
        let mode = if is_forced { PutMode::Replace } else { PutMode::Create };
        self.wait(MAX_STORING - 1)?;
        self.state().stored.waited += computed.elapsed();
        let (store, name) = (self.store.clone(), name.clone());
        let thread = thread::Builder::new().name("shards".into()).spawn(move || {
            let stored =
                store.cas().put_prepared(&path, &entry).and_then(|()| store.records().put_shard(&record, mode));
            let file = store.records().file_of(&record.key);
            // Only now may others look for it, or find it missing.
            drop((lock, scratch));
            stored.map(|()| (record.key, file)).map_err(|error| store_error(&name, error))
        });
        let thread = thread.map_err(|error| StageError::because("no thread can be started to store a shard", error))?;
        self.state().threads.push_back(thread);
        let (numerics, has_objects) = (vec![self.numerics], self.node.retain);
        Ok(Found { entry, report, numerics, machine: here(card), is_own: true, has_objects, record: None })
    }

    /// Waits until all shards are stored.
    pub fn finish(&self) -> Result<Stored, StageError> {
        self.wait(0)?;
        Ok(std::mem::take(&mut self.state().stored))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, n_left: usize) -> Option<JoinHandle<Result<StoredRecord, StageError>>> {
        let mut state = self.state();
        if state.threads.len() > n_left { state.threads.pop_front() } else { None }
    }

    /// Waits until at most `n_left` shards are being stored.
    fn wait(&self, n_left: usize) -> Result<(), StageError> {
        while let Some(thread) = self.next(n_left) {
            let panicked = |_| Err(StageError::new("BUG: the thread that stores a shard panicked"));
            let stored = thread.join().unwrap_or_else(panicked)?;
            self.state().stored.records.push(stored);
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

/// The shard of a packed record, if its bytes exist and its arithmetic is accepted for a stage of the class `numerics`.
pub(crate) fn packed(
    store: &Store,
    shards: &PackedShards,
    key: &Key,
    arithmetic: Arithmetic,
    numerics: Numerics,
) -> Option<Found> {
    let row = store.records().packed(shards, key)?;
    let (computed, machine, report) = row.report()?;
    let is_usable = arithmetic.accepts(&computed, numerics) && store.has_packed(&row);
    is_usable.then(|| Found {
        entry: row.entry(),
        report,
        numerics: computed,
        machine,
        is_own: false,
        has_objects: row.has_objects(),
        record: Some(row.record()),
    })
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
    let Record { report, provenance, has_objects, .. } = record;
    let machine = of_record(&provenance);
    Some(Found { entry, report, numerics: provenance.numerics, machine, is_own, has_objects, record: None })
}

/// The packed records of the shards of a stage; empty where it has too few.
pub(crate) fn packed_shards(store: &Store, orders: &[ShardOrder]) -> PackedShards {
    let first = orders.first().filter(|_| orders.len() >= MIN_PACKED);
    first.map(|order| store.records().packed_shards(&order.shared())).unwrap_or_default()
}

/// The keys of shards.
pub(crate) fn keys(orders: &[ShardOrder]) -> Vec<&Key> {
    orders.iter().map(|order| &order.key).collect()
}

pub(crate) fn store_error(name: &str, error: StoreError) -> StageError {
    error.stage_error(format!("shard `{name}` cannot be stored"))
}
