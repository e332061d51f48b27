//! Garbage collection: removes objects that no last or pinned run needs, the longest unused first.
//!
//! Keeps everything that a living process uses: its open artifacts, and everything that it has written or looked up
//! since its session began. Records stay, since a known digest is worth more than its few bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pipeline_core::Digest;
use serde::Serialize;

use super::holders::Holder;
use super::inventory::stages_by_object;
use super::roots::Roots;
use crate::cas::Object;
use crate::clock::milliseconds;
use crate::quarantine::Quarantined;
use crate::specs::is_of_overrides;
use crate::workspace::Living;
use crate::{Record, Store, StoreError};

/// The limits of a collection. Without limits, it removes everything that is not spared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectOptions {
    /// Collect until the objects take at most this many bytes.
    pub max_bytes: Option<u64>,
    /// Collect objects that were not used for longer than this.
    pub max_age: Option<Duration>,
    /// How long the results of a deleted spec are kept. With `None`, they go at once if the spec is certainly gone.
    /// They stay for 30 days if it may be on another machine or on a disk that is not mounted.
    pub keep_missing: Option<Duration>,
    /// Only report what would be collected.
    pub dry_run: bool,
}

/// The outcome of a collection, real or simulated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CollectReport {
    /// The collected files by stage name; the empty name stands for files that no record names.
    pub stages: BTreeMap<String, Collected>,
    /// Bytes of objects freed.
    pub freed_bytes: u64,
    /// Bytes of objects left.
    pub kept_bytes: u64,
    /// Bytes freed in the quarantine.
    pub quarantine_bytes: u64,
    /// The files freed there.
    pub quarantined: Vec<Quarantined>,
    /// Records removed: older than the age limit and without a single byte left.
    pub n_records: usize,
    /// The holders of the files that stay. Several may hold the same file.
    pub holders: Vec<HeldBytes>,
    /// The deleted specs whose results are no longer kept.
    pub released: Vec<PathBuf>,
}

/// The files that stay for one holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldBytes {
    /// The holder.
    #[serde(flatten)]
    pub holder: Holder,
    /// The number of files.
    pub n_files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The files of one stage that were collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Its files.
    pub n_files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Collects garbage.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn collect(&self, options: &CollectOptions) -> Result<CollectReport, StoreError> {
        let living = self.workspace().sweep()?;
        let mut holds = self.holds(options.keep_missing)?;
        let records = self.records().all()?.intact;
        holds.holds.push(self.hold_of_derived(&records));
        let roots = self.roots(&holds.holds, &records)?;
        let collection = Collection { store: self, options, records, roots };
        let open = collection.close_trees()?;
        let objects = self.cas().all()?;
        let living_since = living.iter().map(|session| session.began).min();
        let is_used =
            |object: &Object| open.contains(&object.inode) || living_since.is_some_and(|since| object.used >= since);
        let mut report = CollectReport::default();
        let gone = collection.remove_objects(&objects, is_used, &mut report)?;
        report.quarantined = collection.empty_quarantine()?;
        report.quarantine_bytes = report.quarantined.iter().map(|file| file.bytes).sum();
        let kept: Vec<&Object> = objects.iter().filter(|object| !gone.contains(&object.digest)).collect();
        if let Some(max_age) = options.max_age {
            report.n_records = collection.forget_records(&kept, max_age)?;
        }
        report.holders = holders(&kept, &collection.roots, &open, &living);
        report.released = collection.release(holds.released)?;
        Ok(report)
    }
}

/// A collection, which changes nothing in a dry run.
struct Collection<'a> {
    store: &'a Store,
    options: &'a CollectOptions,
    records: Vec<Record>,
    roots: Roots,
}

impl Collection<'_> {
    /// Removes the folders of trees without readers and without roots. Returns the inodes of the files in all other
    /// folders.
    fn close_trees(&self) -> Result<BTreeSet<u64>, StoreError> {
        let cas = self.store.cas();
        let mut open = BTreeSet::new();
        for artifact in cas.laid_out()?.iter().filter(|artifact| !self.roots.artifacts.contains(artifact)) {
            let dry_run = self.options.dry_run;
            let closed = if dry_run { !cas.is_read(artifact)? } else { cas.remove_tree_folder(artifact)? };
            if !closed {
                open.extend(cas.inodes(artifact)?);
            }
        }
        Ok(open)
    }

    /// Removes the objects without roots and uses, within the limits. Returns their digests.
    fn remove_objects(
        &self,
        objects: &[Object],
        is_used: impl Fn(&Object) -> bool,
        report: &mut CollectReport,
    ) -> Result<BTreeSet<Digest>, StoreError> {
        let is_free = |object: &Object| !self.roots.objects.contains(&object.digest) && !is_used(object);
        let all_bytes: u64 = objects.iter().map(|object| object.bytes).sum();
        let stages = stages_by_object(self.store.cas(), &self.records)?;
        let mut gone = BTreeSet::new();
        for object in select(objects, is_free, all_bytes, self.options) {
            if self.options.dry_run || self.store.cas().remove(object)? {
                let stage = stages.get(&object.digest).map_or("", |stage| stage.as_str());
                report.add(stage, object.bytes);
                gone.insert(object.digest);
            }
        }
        report.kept_bytes = all_bytes - report.freed_bytes;
        Ok(gone)
    }

    /// Empties the quarantine. Returns what it held.
    fn empty_quarantine(&self) -> Result<Vec<Quarantined>, StoreError> {
        let quarantined = self.store.quarantine().all()?;
        if !self.options.dry_run {
            self.store.quarantine().empty()?;
        }
        Ok(quarantined)
    }

    /// Removes old records without bytes and without roots. Returns their number.
    fn forget_records(&self, kept: &[&Object], max_age: Duration) -> Result<usize, StoreError> {
        let left: BTreeSet<Digest> = kept.iter().map(|object| object.digest).collect();
        let oldest = SystemTime::now().checked_sub(max_age).unwrap_or(SystemTime::UNIX_EPOCH);
        let is_garbage = |record: &&Record| {
            record.committed() < oldest
                && !self.roots.keys.contains(&record.key)
                && !record.tree.files.values().any(|entry| left.contains(&entry.digest))
                && !record.tree.trees.values().any(|sub_tree| left.contains(&sub_tree.tree))
        };
        let garbage: Vec<&Record> = self.records.iter().filter(is_garbage).collect();
        if !self.options.dry_run {
            garbage.iter().try_for_each(|record| self.store.records().forget(&record.key))?;
            self.store.records().forget_packed(oldest)?;
        }
        Ok(garbage.len())
    }

    /// Forgets the last results of deleted specs, and those of overrides that were not used for long. Returns the
    /// deleted specs.
    fn release(&self, released: Vec<(PathBuf, PathBuf)>) -> Result<Vec<PathBuf>, StoreError> {
        if !self.options.dry_run {
            released.iter().try_for_each(|(_, last)| self.store.specs().forget(last))?;
        }
        let of_deleted = released.into_iter().filter(|(spec, last)| !is_of_overrides(last) || !spec.exists());
        let specs: BTreeSet<PathBuf> = of_deleted.map(|(spec, _)| spec).collect();
        Ok(specs.into_iter().collect())
    }
}

impl CollectReport {
    fn add(&mut self, stage: &str, bytes: u64) {
        let collected = self.stages.entry(stage.to_owned()).or_default();
        collected.n_files += 1;
        collected.bytes += bytes;
        self.freed_bytes += bytes;
    }
}

/// The holders of the objects that stay.
fn holders(kept: &[&Object], roots: &Roots, open: &BTreeSet<u64>, living: &[Living]) -> Vec<HeldBytes> {
    let held = |holder: &Holder, is_held: &dyn Fn(&Object) -> bool| {
        let objects = kept.iter().filter(|object| is_held(object));
        let (n_files, bytes) = objects.fold((0, 0), |(n_files, bytes), object| (n_files + 1, bytes + object.bytes));
        HeldBytes { holder: holder.clone(), n_files, bytes }
    };
    let mut holders: Vec<HeldBytes> = Vec::new();
    for (holder, digests) in &roots.by_holder {
        holders.push(held(holder, &|object| digests.contains(&object.digest)));
    }
    for session in living {
        holders.push(held(&session_holder(session), &|object| object.used >= session.began));
    }
    holders.push(held(&Holder::Readers, &|object| open.contains(&object.inode)));
    holders.retain(|held| held.n_files > 0);
    holders.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.holder.cmp(&b.holder)));
    holders
}

fn session_holder(session: &Living) -> Holder {
    Holder::Session {
        host: session.host.clone(),
        pid: session.pid,
        since_ms: milliseconds(session.began),
        is_foreign: !session.is_local(),
        lock: session.lock.clone(),
    }
}

/// The objects to remove, the longest unused first.
fn select<'a>(
    objects: &'a [Object],
    is_free: impl Fn(&Object) -> bool,
    all_bytes: u64,
    options: &CollectOptions,
) -> Vec<&'a Object> {
    let mut free: Vec<&Object> = objects.iter().filter(|object| is_free(object)).collect();
    free.sort_by_key(|object| (object.used, object.digest));
    if options.max_bytes.is_none() && options.max_age.is_none() {
        return free;
    }
    let oldest = options.max_age.and_then(|max_age| SystemTime::now().checked_sub(max_age));
    let mut bytes = all_bytes;
    let mut selected = Vec::new();
    for object in free {
        let is_old = oldest.is_some_and(|oldest| object.used < oldest);
        let is_too_much = options.max_bytes.is_some_and(|max_bytes| bytes > max_bytes);
        if is_old || is_too_much {
            bytes -= object.bytes;
            selected.push(object);
        }
    }
    selected
}
