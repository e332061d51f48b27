//! Action records: what a key gave. A record outlives the bytes that it names.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use pipeline_core::{Device, Key, Manifest, StageReport, Tree};
use serde::{Deserialize, Serialize};

use crate::cas::links::is_bad_disk;
use crate::durable::{Durability, read_if_there, write_whole};
use crate::sealed::{seal, unseal};
use crate::{Store, StoreError};

/// What a key gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The digest of the manifest.
    pub key: Key,
    /// Everything that could change the result.
    pub manifest: Manifest,
    /// The files of the result.
    pub tree: Tree,
    /// What the stage told about its work.
    pub report: StageReport,
    /// Wall time of the computation, in seconds.
    pub seconds: f64,
    /// Where the result comes from; never hashed.
    pub provenance: Provenance,
}

/// Where a result comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// When it was committed, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The stage's name in its spec.
    pub stage: String,
    /// Where tensors lived.
    pub device: Device,
    /// The processor's instruction set, such as `avx512`.
    pub instruction_set: String,
    /// The version of the program.
    pub version: String,
    /// The key whose result was adopted by `--accept`; none for a result that was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_from: Option<Key>,
}

/// What lies where a key's record should.
#[derive(Debug)]
pub(crate) enum RecordState {
    Intact(Box<Record>),
    Damaged,
    /// It is there, and this user may not read it.
    Unreadable(StoreError),
    Absent,
}

impl Store {
    /// Returns what the key gave, or none. A damaged record counts as none and is quarantined.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn record(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        match self.read_record(key)? {
            RecordState::Intact(record) => Ok(Some(*record)),
            RecordState::Absent => Ok(None),
            RecordState::Unreadable(error) => Err(error),
            RecordState::Damaged => {
                // A store that cannot be written keeps its damaged record; it counts as none all the same.
                let _ = self.quarantine(&self.layout().action(key));
                Ok(None)
            }
        }
    }

    /// Reads a record and says whether it can be believed.
    pub(crate) fn read_record(&self, key: &Key) -> Result<RecordState, StoreError> {
        let document = match read_if_there(&self.layout().action(key)) {
            Ok(Some(document)) => document,
            Ok(None) => return Ok(RecordState::Absent),
            // A folder or whatever else was put in its place, or a block that the disk does not give back.
            Err(StoreError::Io { source, .. }) if is_other(&source) || is_bad_disk(&source) => {
                return Ok(RecordState::Damaged);
            }
            Err(error) => return Ok(RecordState::Unreadable(error)),
        };
        let record = unseal::<Record>(&document).filter(|record| record.key == *key && record.manifest.key() == *key);
        Ok(record.map_or(RecordState::Damaged, |record| RecordState::Intact(Box::new(record))))
    }

    /// When the file of the key's record was last changed, in nanoseconds by the file system's clock; none without one.
    ///
    /// The time of change, which nobody can set: whatever is written, moved or damaged in its place later has another.
    pub fn recorded_ns(&self, key: &Key) -> Option<i64> {
        let metadata = fs::symlink_metadata(self.layout().action(key)).ok()?;
        metadata.is_file().then(|| metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec()))
    }

    /// Remembers what a key gave, in place of what it gave before.
    ///
    /// # Errors
    /// When a metric is not finite, or the store cannot be written.
    pub fn put_record(&self, record: &Record) -> Result<(), StoreError> {
        if let Some((metric, _)) = record.report.metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(StoreError::NotFinite { stage: record.provenance.stage.clone(), metric: metric.clone() });
        }
        let scratch = self.session()?.new_path();
        write_whole(&scratch, &self.layout().action(&record.key), &seal(record), Durability::Synced)
    }
}

/// True if a path leads to something that is no plain file.
fn is_other(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput)
}
