//! Verifies every byte of a store, and counts its content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_core::{FileEntry, StageId};
use rayon::prelude::*;
use serde::Serialize;

use super::inventory::stages_by_object;
use super::roots::Roots;
use crate::check::{FileState, check_file};
use crate::records::AllRecords;
use crate::{Store, StoreError};

/// The result of verifying every byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Objects looked at.
    pub n_objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records looked at.
    pub n_records: usize,
    /// Records whose bytes are partly missing: dropped or collected, and rebuilt on demand.
    pub n_without_bytes: usize,
    /// Damaged objects.
    pub damaged_objects: Vec<DamagedObject>,
    /// Damaged records.
    pub damaged_records: Vec<PathBuf>,
}

/// An object whose bytes do not match its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedObject {
    /// Its path, or the path that it had.
    pub path: PathBuf,
    /// Its stage; `None` if no record names it.
    pub stage: Option<StageId>,
    /// Its length.
    pub bytes: u64,
}

/// The figures of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreStats {
    /// Objects.
    pub n_objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the objects that the last and pinned runs need.
    pub rooted_bytes: u64,
    /// Records.
    pub n_records: usize,
    /// Runs in the history.
    pub n_runs: usize,
    /// Bytes in the quarantine.
    pub quarantine_bytes: u64,
    /// Bytes in scratch folders.
    pub scratch_bytes: u64,
    /// Bytes of objects by stage name; the empty name stands for files that no record names.
    pub bytes_by_stage: BTreeMap<String, u64>,
}

impl VerifyReport {
    /// True if nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.damaged_objects.is_empty() && self.damaged_records.is_empty()
    }
}

impl Store {
    /// Reads every object and record and compares it with its digest.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        self.look_at_all(|_| Ok(()))
    }

    /// Verifies the store and moves damage to the quarantine, so that the next run that needs it recomputes it.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn repair(&self) -> Result<VerifyReport, StoreError> {
        self.look_at_all(|path| self.quarantine().take(path))
    }

    /// Checks every object and record; calls `found` for each damaged one.
    fn look_at_all(&self, found: impl Fn(&Path) -> Result<(), StoreError>) -> Result<VerifyReport, StoreError> {
        let AllRecords { intact: records, damaged: damaged_records, unreadable } = self.records().all()?;
        if let Some(error) = unreadable.into_iter().next() {
            return Err(error);
        }
        let objects = self.cas().all()?;
        let states: Result<Vec<FileState>, StoreError> = objects
            .par_iter()
            .map(|object| check_file(&object.path, &FileEntry::new(object.digest, object.bytes)))
            .collect();
        let stages = stages_by_object(self.cas(), &records)?;
        let damaged = objects.iter().zip(states?).filter(|(_, state)| *state == FileState::Corrupt);
        let damaged_objects: Vec<DamagedObject> = damaged
            .map(|(object, _)| DamagedObject {
                path: object.path.clone(),
                stage: stages.get(&object.digest).copied().cloned(),
                bytes: object.bytes,
            })
            .collect();
        damaged_objects.iter().try_for_each(|object| found(&object.path))?;
        damaged_records.iter().try_for_each(|path| found(path))?;
        Ok(VerifyReport {
            n_objects: objects.len(),
            bytes: objects.iter().map(|object| object.bytes).sum(),
            n_records: records.len() + damaged_records.len(),
            n_without_bytes: records.iter().filter(|record| !self.cas().has_bytes(&record.tree)).count(),
            damaged_objects,
            damaged_records,
        })
    }

    /// Counts the content of the store. Reads no content of objects but that of sub-trees.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let AllRecords { intact: records, damaged, unreadable } = self.records().all()?;
        let (objects, roots) = (self.cas().all()?, Roots::of(self.cas(), &self.holds(None)?.holds, &records)?);
        let stages = stages_by_object(self.cas(), &records)?;
        let mut stats = StoreStats {
            n_objects: objects.len(),
            n_records: records.len() + damaged.len() + unreadable.len(),
            n_runs: self.runs().folders()?.len(),
            quarantine_bytes: self.quarantine().bytes()?,
            scratch_bytes: self.workspace().bytes()?,
            ..StoreStats::default()
        };
        for object in &objects {
            stats.bytes += object.bytes;
            let stage = stages.get(&object.digest).map_or("", |stage| stage.as_str());
            *stats.bytes_by_stage.entry(stage.to_owned()).or_default() += object.bytes;
            if roots.objects.contains(&object.digest) {
                stats.rooted_bytes += object.bytes;
            }
        }
        Ok(stats)
    }
}
