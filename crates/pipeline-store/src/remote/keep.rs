//! Looks after a remote: figures, verification, garbage collection. Only these operations list its files.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use blake3::Hasher;
use pipeline_core::{Digest, Key, SubTree, Tree};
use serde::Serialize;
use serde_json::Value;

use super::fetch::{MAX_FETCHES, MAX_LOOK_UPS, for_each_at_once, name_of_object, name_of_record};
use super::{RemoteError, RemoteFile, Twin};
use crate::cas::checked_sub_tree;
use crate::records::checked;

/// The age from which a half-written file belongs to no process that still writes it.
const HALF_AGE: Duration = Duration::from_secs(3600);

/// The figures of a remote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RemoteStats {
    /// Records.
    pub n_records: usize,
    /// Their bytes.
    pub record_bytes: u64,
    /// Objects.
    pub n_objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The outcome of a collection in a remote, real or simulated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RemoteCollectReport {
    /// Records removed.
    pub n_records: usize,
    /// Objects removed.
    pub n_objects: usize,
    /// Bytes freed by both.
    pub freed_bytes: u64,
    /// Bytes left of both.
    pub kept_bytes: u64,
}

/// The result of reading every file of a remote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RemoteVerifyReport {
    /// Objects read.
    pub n_objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Records read.
    pub n_records: usize,
    /// The names of files whose content is wrong.
    pub damaged: Vec<String>,
    /// Intact records that no trusted key has signed; 0 without keys.
    pub n_untrusted: usize,
}

/// The files of a remote.
#[derive(Debug, Default)]
struct Listing {
    records: Vec<(Key, RemoteFile)>,
    objects: Vec<(Digest, RemoteFile)>,
    /// Half-written files of killed processes.
    half: Vec<RemoteFile>,
}

impl Listing {
    fn of(twin: &Twin) -> Result<Self, RemoteError> {
        let mut listing = Self::default();
        twin.remote().list("store-v1/actions", &mut |file| {
            match digest_in(&file.name) {
                Some(digest) if name_of_record(&Key(digest)) == file.name => listing.records.push((Key(digest), file)),
                _ if is_half(&file.name) => listing.half.push(file),
                _ => {}
            };
        })?;
        twin.remote().list("store-v1/objects", &mut |file| {
            match digest_in(&file.name) {
                Some(digest) if name_of_object(&digest) == file.name => listing.objects.push((digest, file)),
                _ if is_half(&file.name) => listing.half.push(file),
                _ => {}
            };
        })?;
        Ok(listing)
    }
}

/// The digest in a name such as `…/ab/<62 digits>.json`.
fn digest_in(name: &str) -> Option<Digest> {
    let mut parts = name.trim_end_matches(".json").rsplit('/');
    let (rest, first) = (parts.next()?, parts.next()?);
    format!("{first}{rest}").parse().ok()
}

fn is_half(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| file.starts_with(".put-"))
}

impl Twin {
    /// Counts the files of the remote.
    pub fn stats(&self) -> Result<RemoteStats, RemoteError> {
        let listing = Listing::of(self)?;
        Ok(RemoteStats {
            n_records: listing.records.len(),
            record_bytes: listing.records.iter().map(|(_, file)| file.bytes).sum(),
            n_objects: listing.objects.len(),
            bytes: listing.objects.iter().map(|(_, file)| file.bytes).sum(),
        })
    }

    /// Removes records older than `max_age`, then the objects as old that no younger record names.
    pub fn collect(&self, max_age: Duration, dry_run: bool) -> Result<RemoteCollectReport, RemoteError> {
        let before = |age| SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        let (oldest, oldest_half) = (before(max_age), before(max_age.max(HALF_AGE)));
        let Listing { records, objects, half } = Listing::of(self)?;
        let (old, young): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, file)| file.modified < oldest);
        let named = self.objects_of(&young)?;
        let is_garbage = |(digest, file): &(Digest, RemoteFile)| file.modified < oldest && !named.contains(digest);
        let (garbage, kept): (Vec<_>, Vec<_>) = objects.into_iter().partition(is_garbage);
        let half: Vec<RemoteFile> = half.into_iter().filter(|file| file.modified < oldest_half).collect();
        let old: Vec<RemoteFile> = old.into_iter().map(|(_, file)| file).collect();
        let garbage: Vec<RemoteFile> = garbage.into_iter().map(|(_, file)| file).chain(half).collect();
        if !dry_run {
            // Records first: one without objects is a claim that readers would have to correct.
            for files in [&old, &garbage] {
                for_each_at_once(files, MAX_FETCHES, |file| self.remote().delete(&file.name))?;
            }
        }
        let bytes = |files: &[RemoteFile]| files.iter().map(|file| file.bytes).sum::<u64>();
        Ok(RemoteCollectReport {
            n_records: old.len(),
            n_objects: garbage.len(),
            freed_bytes: bytes(&old) + bytes(&garbage),
            kept_bytes: young.iter().map(|(_, file)| file.bytes).chain(kept.iter().map(|(_, file)| file.bytes)).sum(),
        })
    }

    /// The objects that these records name. A damaged record names none: no reader uses it.
    fn objects_of(&self, records: &[(Key, RemoteFile)]) -> Result<BTreeSet<Digest>, RemoteError> {
        let (named, sub_trees) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
        let add = |tree: &Tree| {
            let digests = tree.files.values().map(|entry| entry.digest);
            let digests = digests.chain(tree.trees.values().map(|sub_tree| sub_tree.tree));
            named.lock().unwrap_or_else(PoisonError::into_inner).extend(digests);
            sub_trees.lock().unwrap_or_else(PoisonError::into_inner).extend(tree.trees.values().copied());
        };
        for_each_at_once(records, MAX_LOOK_UPS, |(key, file)| {
            let document = self.get(&file.name, file.bytes, || Ok(Vec::new()))?;
            let record = document.and_then(|document| checked::<Value>(&document, key));
            record.iter().for_each(|record| add(&record.tree));
            Ok(())
        })?;
        // Artifacts that differ in some shards share nearly all sub-trees, and each is asked for once.
        let distinct = std::mem::take(&mut *sub_trees.lock().unwrap_or_else(PoisonError::into_inner));
        let distinct: Vec<SubTree> = distinct.into_iter().collect();
        for_each_at_once(&distinct, MAX_LOOK_UPS, |sub_tree| {
            self.sub_tree(sub_tree)?.iter().for_each(&add);
            Ok(())
        })?;
        Ok(named.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// A sub-tree of the remote; `None` if it is missing or has other bytes, so that no reader uses its files.
    fn sub_tree(&self, sub_tree: &SubTree) -> Result<Option<Tree>, RemoteError> {
        let content = self.get(&name_of_object(&sub_tree.tree), sub_tree.tree_bytes, || Ok(Vec::new()))?;
        let intact = content.filter(|content| Digest::of(content) == sub_tree.tree);
        Ok(intact.and_then(|content| checked_sub_tree(&content, sub_tree)))
    }

    /// Reads every file of the remote and compares it with its name. Removes damaged ones with `repair`.
    pub fn verify(&self, repair: bool) -> Result<RemoteVerifyReport, RemoteError> {
        let Listing { records, objects, .. } = Listing::of(self)?;
        let (damaged, n_untrusted) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let found = |name: &String| damaged.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        for_each_at_once(&records, MAX_LOOK_UPS, |(key, file)| {
            let document = self.get(&file.name, file.bytes, || Ok(Vec::new()))?;
            match document {
                Some(document) if checked::<Value>(&document, key).is_none() => found(&file.name),
                Some(document) if !self.signatures().accept(&document, key) => {
                    n_untrusted.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
            Ok::<_, RemoteError>(())
        })?;
        for_each_at_once(&objects, MAX_FETCHES, |(digest, file)| {
            let hasher = self.get(&file.name, file.bytes, || Ok::<_, io::Error>(Hasher::new()))?;
            if hasher.is_some_and(|hasher| hasher.finalize().as_bytes() != digest.as_bytes()) {
                found(&file.name);
            }
            Ok::<_, RemoteError>(())
        })?;
        let mut damaged = damaged.into_inner().unwrap_or_else(PoisonError::into_inner);
        damaged.sort_unstable();
        if repair {
            damaged.iter().try_for_each(|name| self.remote().delete(name))?;
        }
        Ok(RemoteVerifyReport {
            n_objects: objects.len(),
            bytes: objects.iter().map(|(_, file)| file.bytes).sum(),
            n_records: records.len(),
            damaged,
            n_untrusted: n_untrusted.into_inner(),
        })
    }
}
