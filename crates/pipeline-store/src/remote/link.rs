//! A store's side of its remote: the operations for runs and for the command line.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipeline_core::{Digest, Event, Key, RemoteCounts, RunId, StageId};

use super::fetch::for_each_at_once;
use super::push::local;
use super::uploads::{MAX_UPLOADS, Uploads};
use super::{
    Access, Pushed, PutMode, Remote, RemoteCollectReport, RemoteError, RemoteNews, RemoteStats, RemoteVerifyReport,
    Signatures, Twin, UploadsLeft,
};
use crate::workspace::Workspace;
use crate::{OpenTreeError, Record, Store, StoreError};

/// The remote of a store.
#[derive(Debug)]
pub struct RemoteLink {
    twin: Arc<Twin>,
    uploads: Arc<Uploads>,
}

/// What became of a result that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PulledTree {
    /// All its files are in the store.
    Here,
    /// Some of its files can be had nowhere.
    Incomplete(StageId),
    /// Its spec does not retain them, or there is no record of the result.
    NotRetained,
}

impl RemoteLink {
    pub(crate) fn new(
        store: &Path,
        workspace: &Arc<Workspace>,
        remote: Box<dyn Remote>,
        access: Access,
        signatures: Signatures,
    ) -> Self {
        let twin = Arc::new(Twin::new(remote, access, signatures));
        let uploads = Arc::new(Uploads::new(store, &twin, workspace));
        Self { twin, uploads }
    }

    pub(crate) fn twin(&self) -> &Arc<Twin> {
        &self.twin
    }

    pub(crate) fn uploads(&self) -> &Arc<Uploads> {
        &self.uploads
    }

    /// Its URL, for people.
    pub fn url(&self) -> &str {
        self.twin.url()
    }

    /// What this process has asked it for, and what came of it.
    pub fn counts(&self) -> RemoteCounts {
        self.twin.counts()
    }

    /// Takes what people should know and have not been shown.
    pub fn take_news(&self) -> Vec<RemoteNews> {
        self.twin.take_news()
    }

    /// Takes the number of records that were not used because no trusted key has signed them.
    pub fn take_untrusted(&self) -> u64 {
        self.twin.take_untrusted()
    }

    /// Treats these keys as absent from the remote in this process, so that their results are computed.
    pub fn pass_over(&self, keys: &[Key]) {
        self.twin.pass_over(keys);
    }

    /// True unless it is known to lack the object.
    pub(crate) fn may_have_object(&self, digest: &Digest) -> bool {
        self.twin.may_have(digest)
    }

    /// True if results are marked that were not uploaded, and this process may write.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_unpushed(&self) -> Result<bool, StoreError> {
        Ok(self.twin.access() == Access::Write && self.uploads.has_marks()?)
    }

    /// Begins to upload the results that earlier runs have left, if this process may write.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn resume_uploads(&self) -> Result<(), StoreError> {
        if self.twin.access() == Access::Write {
            self.uploads.marked()?.iter().for_each(|(key, mode)| self.uploads.enqueue(key, *mode));
        }
        Ok(())
    }

    /// Waits until everything is uploaded, the remote is off, or `is_cancelled`; reports once a second.
    pub fn wait_for_uploads(&self, is_cancelled: &dyn Fn() -> bool, report: &mut dyn FnMut(UploadsLeft)) {
        self.uploads.wait(is_cancelled, report);
    }

    /// Uploads the results of these keys, and those that are marked, whatever the access of this process.
    ///
    /// # Errors
    /// When the remote does not take them, or the store cannot be read.
    pub fn push(&self, keys: &[Key]) -> Result<Pushed, RemoteError> {
        let marked = self.uploads.marked().map_err(local)?;
        let known: BTreeSet<Key> = marked.iter().map(|(key, _)| *key).collect();
        let others = keys.iter().filter(|key| !known.contains(key)).map(|key| (*key, PutMode::Create));
        let orders: Vec<(Key, PutMode)> = marked.iter().copied().chain(others).collect();
        let all = Mutex::new(Pushed::default());
        for_each_at_once(&orders, MAX_UPLOADS, |(key, mode)| {
            let pushed = self.uploads.pusher().push(key, *mode)?;
            *all.lock().unwrap_or_else(PoisonError::into_inner) += pushed;
            self.uploads.unmark(key).map_err(local)
        })?;
        Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts the files of the remote.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn stats(&self) -> Result<RemoteStats, RemoteError> {
        self.twin.stats()
    }

    /// Removes records older than `max_age`, then the objects as old that no younger record names. The remote's times
    /// of change count, by this machine's clock. With `dry_run`, only reports them.
    ///
    /// # Errors
    /// When the files of the remote cannot be listed, read or removed.
    pub fn collect(&self, max_age: Duration, dry_run: bool) -> Result<RemoteCollectReport, RemoteError> {
        self.twin.collect(max_age, dry_run)
    }

    /// Reads every file of the remote and compares it with its name. With `repair`, removes damaged ones.
    ///
    /// # Errors
    /// When the files of the remote cannot be listed, read or removed.
    pub fn verify(&self, repair: bool) -> Result<RemoteVerifyReport, RemoteError> {
        self.twin.verify(repair)
    }
}

impl Store {
    /// The keys of the results of a run, in the order of its stages' ends.
    ///
    /// # Errors
    /// When there is no such run, or its events are damaged.
    pub fn keys_of_run(&self, run: &RunId) -> Result<Vec<Key>, StoreError> {
        let events = self.runs().events(run)?;
        let key = |event: &Event| match event {
            Event::StageReused { key, .. } | Event::StageFinished { key, .. } => Some(*key),
            _ => None,
        };
        Ok(events.iter().filter_map(|record| key(&record.event)).collect())
    }

    /// These keys, and those of the shards that their artifacts consist of.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn with_shards(&self, keys: &[Key]) -> Result<Vec<Key>, StoreError> {
        let named: BTreeSet<Key> = keys.iter().copied().collect();
        let records = if named.is_empty() { Vec::new() } else { self.records().all()?.intact };
        let mut held = BTreeSet::new();
        for record in records.iter().filter(|record| named.contains(&record.key) && record.has_objects) {
            held.extend(self.cas().objects_of(&record.tree)?.digests);
        }
        // Divided artifacts are no shards.
        let is_in_named = |record: &Record| record.tree.files.values().all(|entry| held.contains(&entry.digest));
        let is_shard = |record: &&Record| {
            let tree = &record.tree;
            !named.contains(&record.key) && !tree.files.is_empty() && tree.trees.is_empty() && is_in_named(record)
        };
        // Shards first: whoever finds the artifact finds them, too.
        let shards: Vec<Key> = records.iter().filter(is_shard).map(|record| record.key).collect();
        Ok(shards.into_iter().chain(keys.iter().copied()).collect())
    }

    /// Fetches all files of the result of a key.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn pull(&self, key: &Key) -> Result<PulledTree, StoreError> {
        let Some(record) = self.records().get(key)? else { return Ok(PulledTree::NotRetained) };
        if self.cas().has_bytes(&record.tree) {
            return Ok(PulledTree::Here);
        }
        if !record.has_objects {
            return Ok(PulledTree::NotRetained);
        }
        match self.cas().whole(&record.tree) {
            Ok(whole) => self.cas().fetch(whole.files.values())?,
            Err(OpenTreeError::Store(error)) => return Err(error),
            Err(OpenTreeError::Missing { .. } | OpenTreeError::Corrupt { .. }) => {}
        }
        let is_here = self.cas().has_bytes(&record.tree);
        Ok(if is_here { PulledTree::Here } else { PulledTree::Incomplete(record.provenance.stage) })
    }
}
