//! The artifacts that must stay: those of the last run of each spec, of pinned runs and of running ones.
//!
//! Used by collections, and by runs that drop bytes which their spec does not retain.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pipeline_core::{ArtifactDigest, Digest, Key, RunId, SubTree};

use super::holders::{Held, Hold, Holder};
use super::specs::{SpecHold, UNSEEN_LIFE};
use crate::derived::is_derived;
use crate::records::RecordState;
use crate::runs::{PIN_FILE, SEAL_FILE, is_running, keys_of, pinned_keys};
use crate::{Cas, Record, Store, StoreError};

/// All holds, and the specs that no longer hold anything.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    pub(crate) holds: Vec<Hold>,
    pub(crate) released: Vec<(PathBuf, PathBuf)>,
}

/// The results that a collection must spare.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    pub(crate) keys: BTreeSet<Key>,
    pub(crate) artifacts: BTreeSet<ArtifactDigest>,
    pub(crate) objects: BTreeSet<Digest>,
    /// The objects of each holder.
    pub(crate) by_holder: BTreeMap<Holder, BTreeSet<Digest>>,
}

impl Roots {
    /// The roots among these records.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn of(cas: &Cas, holds: &[Hold], records: &[Record]) -> Result<Self, StoreError> {
        let by_key: BTreeMap<Key, &Record> = records.iter().map(|record| (record.key, record)).collect();
        let mut roots = Self::default();
        for hold in holds {
            let held: Vec<&Record> = match &hold.what {
                Held::Keys { bytes, known } => {
                    roots.keys.extend(known);
                    bytes.iter().filter_map(|key| by_key.get(key).copied()).collect()
                }
                Held::RecordedBefore(instant) => {
                    records.iter().filter(|record| record.committed() <= *instant).collect()
                }
            };
            let objects = roots.by_holder.entry(hold.holder.clone()).or_default();
            let mut seen = BTreeSet::new();
            for record in held {
                roots.keys.insert(record.key);
                roots.artifacts.insert(record.tree.digest());
                objects.extend(objects_of(cas, record, records, &mut seen)?);
            }
            roots.objects.extend(objects.iter());
        }
        Ok(roots)
    }
}

/// The objects of a held record, without the files of sub-trees that were seen before. Where a sub-tree is lost or
/// damaged, its files are unknown: then all results of the stage are held, so that no shard of it is collected.
fn objects_of(
    cas: &Cas,
    record: &Record,
    records: &[Record],
    seen: &mut BTreeSet<SubTree>,
) -> Result<BTreeSet<Digest>, StoreError> {
    let mut objects = cas.objects_unseen(&record.tree, seen)?;
    if !objects.is_complete {
        let of_stage = records.iter().filter(|other| other.provenance.stage == record.provenance.stage);
        objects.digests.extend(of_stage.flat_map(|other| other.tree.files.values()).map(|entry| entry.digest));
    }
    Ok(objects.digests)
}

impl Store {
    /// All holds. The results of deleted specs are held for `keep_missing`; by default they are released at once where
    /// the spec is certainly gone.
    pub(crate) fn holds(&self, keep_missing: Option<Duration>) -> Result<Holds, StoreError> {
        let mut found = Holds::default();
        for entry in self.specs().all()? {
            match entry.hold(keep_missing) {
                SpecHold::Held(hold) => found.holds.push(hold),
                SpecHold::Released(spec) => found.released.push((spec, entry.path)),
            }
        }
        for (run, folder) in self.runs().folders()? {
            found.holds.extend(self.hold_of_run(run, &folder));
        }
        Ok(found)
    }

    /// The hold on bytes that are derived from sources: no run names them, and each use marks them.
    pub(crate) fn hold_of_derived(&self, records: &[Record]) -> Hold {
        let is_unused = |used: SystemTime| used.elapsed().is_ok_and(|age| age >= UNSEEN_LIFE);
        let is_used = |record: &&Record| {
            let mut entries = record.tree.files.values();
            is_derived(record) && entries.any(|entry| self.cas().used(&entry.digest).is_some_and(|at| !is_unused(at)))
        };
        let keys: BTreeSet<Key> = records.iter().filter(is_used).map(|record| record.key).collect();
        Hold { holder: Holder::Derived, what: Held::Keys { bytes: keys.clone(), known: keys } }
    }

    /// The hold of a pinned or unfinished run.
    fn hold_of_run(&self, run: RunId, folder: &Path) -> Option<Hold> {
        let pin = folder.join(PIN_FILE);
        let pinned = match fs::symlink_metadata(&pin) {
            Ok(metadata) => Some(metadata.modified().unwrap_or_else(|_| SystemTime::now())),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Some(SystemTime::now()),
            Err(_) => None,
        };
        if pinned.is_none() && (folder.join(SEAL_FILE).exists() || !is_running(folder)) {
            return None;
        }
        let keys = match (pinned.and_then(|_| pinned_keys(folder)), self.runs().events(&run)) {
            (Some(keys), _) => keys,
            (None, Ok(events)) => keys_of(&events),
            (None, Err(_)) => {
                let instant = pinned.unwrap_or_else(SystemTime::now);
                let holder = Holder::Unreadable { path: folder.to_owned() };
                return Some(Hold { holder, what: Held::RecordedBefore(instant) });
            }
        };
        let holder = if pinned.is_some() { Holder::PinnedRun { run } } else { Holder::RunningRun { run } };
        Some(Hold { holder, what: Held::Keys { known: keys.clone(), bytes: keys } })
    }

    /// The results of all of these holders.
    ///
    /// # Errors
    /// When this user may not read a record, so that its files are unknown.
    pub(crate) fn roots(&self, holds: &[Hold], records: &[Record]) -> Result<Roots, StoreError> {
        let intact: BTreeSet<Key> = records.iter().map(|record| record.key).collect();
        for hold in holds {
            let Held::Keys { bytes, .. } = &hold.what else { continue };
            for key in bytes.difference(&intact) {
                if let RecordState::Unreadable(error) = self.records().read(key) {
                    return Err(error);
                }
            }
        }
        Roots::of(self.cas(), holds, records)
    }

    /// The objects that runs and specs need other than the run `run` of the spec at the path `spec`.
    ///
    /// # Errors
    /// When the store cannot be read, so that the needed objects are unknown.
    pub fn held_by_others(&self, spec: &Path, run: &RunId) -> Result<BTreeSet<Digest>, StoreError> {
        let own_last = self.specs().last_file(spec).ok();
        let mut held = BTreeSet::new();
        let mut records = None;
        for entry in self.specs().all()? {
            if Some(&entry.path) != own_last.as_ref()
                && let SpecHold::Held(hold) = entry.hold(None)
            {
                self.add_objects(&hold, &mut records, &mut held)?;
            }
        }
        for (id, folder) in self.runs().folders()? {
            if let Some(hold) = self.hold_of_run(id.clone(), &folder)
                && (id != *run || matches!(hold.holder, Holder::PinnedRun { .. }))
            {
                self.add_objects(&hold, &mut records, &mut held)?;
            }
        }
        Ok(held)
    }

    /// True while another run than `run` goes on in this store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_running_beside(&self, run: &RunId) -> Result<bool, StoreError> {
        Ok(self.runs().folders()?.iter().any(|(id, folder)| id != run && is_running(folder)))
    }

    /// Adds the objects of a hold; reads all records only for a hold without keys, or with a lost sub-tree.
    fn add_objects(
        &self,
        hold: &Hold,
        all: &mut Option<Vec<Record>>,
        held: &mut BTreeSet<Digest>,
    ) -> Result<(), StoreError> {
        let Held::Keys { bytes, .. } = &hold.what else {
            held.extend(Roots::of(self.cas(), std::slice::from_ref(hold), self.all_once(all)?)?.objects);
            return Ok(());
        };
        let mut seen = BTreeSet::new();
        for key in bytes {
            match self.records().read(key) {
                RecordState::Intact(record) => {
                    let objects = self.cas().objects_unseen(&record.tree, &mut seen)?;
                    held.extend(objects.digests);
                    if !objects.is_complete {
                        held.extend(objects_of(self.cas(), &record, self.all_once(all)?, &mut seen)?);
                    }
                }
                // Its files may be needed, and they are unknown here.
                RecordState::Unreadable(error) => return Err(error),
                RecordState::Damaged | RecordState::Absent => {}
            }
        }
        Ok(())
    }

    /// All intact records, read once.
    fn all_once<'a>(&self, all: &'a mut Option<Vec<Record>>) -> Result<&'a [Record], StoreError> {
        Ok(match all {
            Some(records) => records,
            None => all.insert(self.records().all()?.intact),
        })
    }
}
