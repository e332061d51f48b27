//! `actions/`: the record of each key, which outlives the bytes that it names.
//!
//! `actions/ab/<62 hexadecimal digits>.json` is a sealed [`Record`] under its key. It is valid only if its seal holds
//! and its manifest has this key. `shards/` has the packed records of the shards of large stages.

mod packed;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipeline_core::{Device, Key, Manifest, Numerics, ShardReport, StageId, StageReport, Tree};
use pipeline_files::is_stale;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::cas::check_tree;
use crate::check::{is_bad_disk, is_no_file};
use crate::durable::{Durability, read_if_there, remove_file};
use crate::layout::{below, fan_out, fanned_out};
use crate::quarantine::Quarantine;
use crate::remote::{MAX_LOOK_UPS, PutMode, RemoteLink, for_each_at_once, name_of_record, split};
use crate::sealed::unseal;
use crate::workspace::Workspace;

pub use packed::{PackedRow, PackedShard, PackedShards, RecordFile};

/// The result of a key: of a stage, or with a [`ShardReport`] of one of its shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record<Report = StageReport> {
    /// The digest of the manifest.
    pub key: Key,
    /// Everything that determines the result.
    pub manifest: Manifest,
    /// The files of the result.
    pub tree: Tree,
    /// The report about the work.
    pub report: Report,
    /// The rows of each shard, in the order of the shards; empty where the result has no shards, and in records of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shard_rows: Vec<u64>,
    /// Wall time of the computation, in seconds.
    pub seconds: f64,
    /// The origin of the result; never hashed.
    pub provenance: Provenance,
    /// False if a remote that has this record does not have its objects, because the spec does not retain them.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub has_objects: bool,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

/// The origin of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// When it was committed, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The stage's name in its spec.
    pub stage: StageId,
    /// The device of the tensors.
    pub device: Device,
    /// The numbers of the machine's cards that computed parts of it, in whichever run, sorted; empty where no card has
    /// a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<u16>,
    /// Other machines that computed shards of it, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Machine>,
    /// The processor's instruction set, such as `avx512`.
    pub instruction_set: String,
    /// The classes of arithmetic that computed it, sorted: more than one where shards differ. Empty if unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numerics: Vec<Numerics>,
    /// The version of the program.
    pub version: String,
    /// The key whose result `--accept` adopted; `None` for a computed result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<Key>,
}

/// A machine that computed parts of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// The numbers of its cards that computed some, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<u16>,
}

/// The state of the file at the path of a key's record.
#[derive(Debug)]
pub(crate) enum RecordState<Report = StageReport> {
    Intact(Box<Record<Report>>),
    Damaged,
    /// It exists, but this user may not read it.
    Unreadable(StoreError),
    Absent,
}

/// All records of a store.
#[derive(Debug, Default)]
pub(crate) struct AllRecords {
    pub(crate) intact: Vec<Record>,
    /// The paths of invalid records.
    pub(crate) damaged: Vec<PathBuf>,
    /// The errors of records that this user may not read.
    pub(crate) unreadable: Vec<StoreError>,
}

/// The records of a store.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    packed: PathBuf,
    workspace: Arc<Workspace>,
    quarantine: Arc<Quarantine>,
    remote: Option<Arc<RemoteLink>>,
}

impl Record {
    /// When it was committed.
    pub(crate) fn committed(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.provenance.at_ms)
    }
}

impl Records {
    pub(crate) fn new(
        store: &Path,
        workspace: &Arc<Workspace>,
        quarantine: &Arc<Quarantine>,
        remote: Option<&Arc<RemoteLink>>,
    ) -> Self {
        let (workspace, quarantine) = (Arc::clone(workspace), Arc::clone(quarantine));
        let [folder, packed] = ["actions", "shards"].map(|folder| below(store, folder));
        Self { folder, packed, workspace, quarantine, remote: remote.cloned() }
    }

    /// Returns the key's record, if there is one here or in the remote. A damaged record counts as missing and is
    /// quarantined.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.get_as(key)
    }

    /// Like [`Records::get`], for the key of a shard.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn get_shard(&self, key: &Key) -> Result<Option<Record<ShardReport>>, StoreError> {
        self.get_as(key)
    }

    /// The record of bytes that are derived from a source, from this store alone. A damaged one counts as missing and
    /// is quarantined.
    pub(crate) fn get_derived(&self, key: &Key) -> Option<Record<ShardReport>> {
        match self.read_as(key) {
            RecordState::Intact(record) => Some(*record),
            RecordState::Unreadable(_) | RecordState::Absent => None,
            RecordState::Damaged => {
                // A store that cannot be written keeps it.
                let _ = self.quarantine.take(&self.path(key));
                None
            }
        }
    }

    /// Remembers bytes that are derived from a source, in this store alone, and replaces earlier ones.
    pub(crate) fn put_derived(&self, record: &Record<ShardReport>) -> Result<(), StoreError> {
        self.workspace.write_sealed(&self.path(&record.key), record, Durability::Synced)
    }

    fn get_as<Report: DeserializeOwned>(&self, key: &Key) -> Result<Option<Record<Report>>, StoreError> {
        match self.read_as(key) {
            RecordState::Intact(record) => Ok(Some(*record)),
            RecordState::Absent => Ok(self.look_outside(key)),
            // Its server has lost it: a look-up finds nothing, but a collection must not believe that.
            RecordState::Unreadable(StoreError::Io { source, .. }) if is_stale(&source) => Ok(self.look_outside(key)),
            RecordState::Unreadable(error) => Err(error),
            RecordState::Damaged => {
                // A store that cannot be written keeps its damaged record, which still counts as missing.
                let _ = self.quarantine.take(&self.path(key));
                Ok(self.look_outside(key))
            }
        }
    }

    /// Reads a record and validates it. Leaves a damaged one where it is.
    pub(crate) fn read(&self, key: &Key) -> RecordState {
        self.read_as(key)
    }

    fn read_as<Report: DeserializeOwned>(&self, key: &Key) -> RecordState<Report> {
        let document = match read_if_there(&self.path(key)) {
            Ok(Some(document)) => document,
            Ok(None) => return RecordState::Absent,
            // A folder or another thing in its place, or a block that the disk cannot read back.
            Err(StoreError::Io { source, .. }) if is_no_file(&source) || is_bad_disk(&source) => {
                return RecordState::Damaged;
            }
            Err(error) => return RecordState::Unreadable(error),
        };
        let record = unsealed::<Report>(&document, key);
        record.map_or(RecordState::Damaged, |record| RecordState::Intact(Box::new(record)))
    }

    /// Looks the key up in the remote, and commits what is found and right.
    fn look_outside<Report: DeserializeOwned>(&self, key: &Key) -> Option<Record<Report>> {
        let twin = self.remote.as_ref()?.twin();
        let document = if twin.may_know(key) { twin.document(key)? } else { return None };
        let record = checked(&document, key);
        let is_trusted = record.is_some() && twin.signatures().accept(&document, key);
        twin.answered(key, is_trusted);
        if record.is_none() {
            twin.found_wrong(&name_of_record(key));
        } else if !is_trusted {
            twin.found_untrusted();
            return None;
        } else if !self.path(key).exists() {
            // Lazily: one that a power cut damages is looked up again. A store that cannot be written goes without it.
            let _ = self.workspace.write(&self.path(key), &document, Durability::Lazy);
        }
        record
    }

    /// Looks up the results of stages under these keys in the remote that are absent here, many at once.
    pub fn fetch(&self, keys: &[&Key]) {
        self.fetch_as::<StageReport>(keys);
    }

    /// Like [`Records::fetch`], for the keys of shards.
    pub fn fetch_shards(&self, keys: &[&Key]) {
        self.fetch_as::<ShardReport>(keys);
    }

    fn fetch_as<Report: DeserializeOwned>(&self, keys: &[&Key]) {
        let Some(twin) = self.remote.as_ref().map(|remote| remote.twin()) else { return };
        let absent: Vec<&&Key> = keys.iter().filter(|key| twin.may_know(key) && !self.path(key).exists()).collect();
        let look_up = |key: &&&Key| {
            self.look_outside::<Report>(key);
            Ok::<_, Infallible>(())
        };
        let Ok(()) = for_each_at_once(&absent, MAX_LOOK_UPS, look_up);
    }

    /// The change time of the key's record, in nanoseconds by the file system's clock; `None` without a record.
    ///
    /// The change time cannot be set: anything that is later written, moved or damaged in its place has another one.
    pub fn recorded_ns(&self, key: &Key) -> Option<i64> {
        self.file_of(key).map(|file| file.changed_ns)
    }

    /// Remembers the result of a key, replacing an earlier one. A remote that this process may write gets it, too, but
    /// keeps a record that it has.
    ///
    /// # Errors
    /// When a metric is not finite, or the store cannot be written.
    pub fn put(&self, record: &Record) -> Result<(), StoreError> {
        self.put_finite(record, PutMode::Create)
    }

    /// Like [`Records::put`], and also replaces the record of the remote.
    ///
    /// # Errors
    /// When a metric is not finite, or the store cannot be written.
    pub fn put_everywhere(&self, record: &Record) -> Result<(), StoreError> {
        self.put_finite(record, PutMode::Replace)
    }

    fn put_finite(&self, record: &Record, mode: PutMode) -> Result<(), StoreError> {
        if let Some((metric, _)) = record.report.metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(StoreError::NotFinite { stage: record.provenance.stage.clone(), metric: metric.clone() });
        }
        self.put_as(record, mode)
    }

    /// Remembers a shard. `mode` says what becomes of a record that the remote has.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_shard(&self, record: &Record<ShardReport>, mode: PutMode) -> Result<(), StoreError> {
        self.put_as(record, mode)
    }

    fn put_as<Report: Serialize>(&self, record: &Record<Report>, mode: PutMode) -> Result<(), StoreError> {
        let uploads = self.remote.as_ref().map(|remote| remote.uploads());
        // Before the record, so that a killed process leaves no record that is neither uploaded nor marked.
        uploads.map_or(Ok(()), |uploads| uploads.mark(&record.key, mode))?;
        self.workspace.write_sealed(&self.path(&record.key), record, Durability::Synced)?;
        if let Some(uploads) = uploads {
            uploads.enqueue(&record.key, mode);
        }
        Ok(())
    }

    /// All records of this store.
    pub(crate) fn all(&self) -> Result<AllRecords, StoreError> {
        let mut all = AllRecords::default();
        for (digest, entry) in fanned_out(&self.folder)? {
            match self.read(&Key(digest)) {
                RecordState::Intact(record) => all.intact.push(*record),
                RecordState::Damaged => all.damaged.push(entry.path()),
                RecordState::Unreadable(error) => all.unreadable.push(error),
                RecordState::Absent => {}
            }
        }
        Ok(all)
    }

    /// Removes the record of a key.
    pub(crate) fn forget(&self, key: &Key) -> Result<(), StoreError> {
        remove_file(&self.path(key))
    }

    fn path(&self, key: &Key) -> PathBuf {
        fan_out(&self.folder, &key.0, ".json")
    }
}

/// The record of a key in a document, signed or not; `None` when it is damaged, or of another key.
fn unsealed<Report: DeserializeOwned>(document: &[u8], key: &Key) -> Option<Record<Report>> {
    let (sealed, _) = split(document);
    let is_of_key = |record: &Record<Report>| record.key == *key && record.manifest.key() == *key;
    unseal(&sealed).filter(|record| is_of_key(record) && record.tree.is_as_recorded())
}

/// Like [`unsealed`], for a document of others: its files must also stay inside the folder that they are put into.
pub(crate) fn checked<Report: DeserializeOwned>(document: &[u8], key: &Key) -> Option<Record<Report>> {
    unsealed(document, key).filter(|record| check_tree(&record.tree).is_ok())
}
