//! Uploads one result: its objects, then its record. Does nothing twice that the remote has already.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{FileEntry, Key, SubTree, Tree};
use serde_json::Value;

use super::fetch::{name_of_object, name_of_record};
use super::{PutMode, RemoteError, Twin, Upload, split};
use crate::cas::checked_sub_tree;
use crate::check::{FileState, check_file};
use crate::durable::read_if_there;
use crate::layout::{below, fan_out};
use crate::records::checked;
use crate::sealed::seal;
use crate::{Record, StoreError};

/// The uploads of one result or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Records that the remote did not have.
    pub n_records: usize,
    /// Objects that it did not have.
    pub n_objects: usize,
    /// The bytes of both.
    pub bytes: u64,
    /// Records that it has already.
    pub n_there: usize,
    /// Records without their objects: their bytes are not in this store, or their spec does not retain them.
    pub n_without_objects: usize,
}

impl std::ops::AddAssign for Pushed {
    fn add_assign(&mut self, other: Self) {
        self.n_records += other.n_records;
        self.n_objects += other.n_objects;
        self.bytes += other.bytes;
        self.n_there += other.n_there;
        self.n_without_objects += other.n_without_objects;
    }
}

/// The files of the store that are uploaded.
#[derive(Debug)]
pub(crate) struct Pusher {
    twin: Arc<Twin>,
    actions: PathBuf,
    objects: PathBuf,
}

impl Pusher {
    pub fn new(store: &Path, twin: &Arc<Twin>) -> Self {
        Self { twin: Arc::clone(twin), actions: below(store, "actions"), objects: below(store, "objects") }
    }

    /// Uploads the result of a key, if this store has a record of it.
    pub fn push(&self, key: &Key, mode: PutMode) -> Result<Pushed, RemoteError> {
        let mut pushed = Pushed::default();
        let document = read_if_there(&fan_out(&self.actions, &key.0, ".json")).map_err(local)?.unwrap_or_default();
        let Some(record) = checked::<Value>(&document, key) else { return Ok(pushed) };
        let has_objects = record.has_objects && self.push_objects(&record, mode, &mut pushed)?;
        let claim = record.has_objects;
        let document = if has_objects == claim { document } else { seal(&Record { has_objects, ..record }) };
        let document = self.twin.signatures().sign(document, key);
        let (name, bytes) = (name_of_record(key), document.len() as u64);
        let put = |mode| self.twin.put(&name, Upload::Bytes(&document), bytes, mode);
        let is_new = put(mode)? || (self.is_worse(key, &document, has_objects) && put(PutMode::Replace)?);
        pushed.n_records = usize::from(is_new);
        pushed.n_there = usize::from(!is_new);
        pushed.n_without_objects = usize::from(!has_objects);
        pushed.bytes += if is_new { bytes } else { 0 };
        Ok(pushed)
    }

    /// Uploads the objects of a record. Returns whether the remote has them all.
    fn push_objects(&self, record: &Record<Value>, mode: PutMode, pushed: &mut Pushed) -> Result<bool, RemoteError> {
        for sub_tree in record.tree.trees.values() {
            let Some(tree) = self.sub_tree(sub_tree).map_err(local)? else { return Ok(false) };
            // Its files first: a reader who finds the sub-tree asks for them.
            let has_files = self.push_all(tree.files.values(), mode, pushed)?;
            if !has_files || !self.push_all(&[sub_tree.object()], mode, pushed)? {
                return Ok(false);
            }
        }
        self.push_all(record.tree.files.values(), mode, pushed)
    }

    /// Uploads some objects. Returns whether the remote has them all.
    fn push_all<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a FileEntry>,
        mode: PutMode,
        pushed: &mut Pushed,
    ) -> Result<bool, RemoteError> {
        for entry in entries {
            if !self.twin.is_sent(&entry.digest) && !self.push_object(entry, mode, pushed)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A sub-tree of this store; `None` if it is missing or damaged.
    fn sub_tree(&self, sub_tree: &SubTree) -> Result<Option<Tree>, StoreError> {
        let path = fan_out(&self.objects, &sub_tree.tree, "");
        if check_file(&path, &sub_tree.object())? != FileState::Intact {
            return Ok(None);
        }
        Ok(read_if_there(&path)?.and_then(|content| checked_sub_tree(&content, sub_tree)))
    }

    /// Uploads an object that the remote lacks, or has with another length; with [`PutMode::Replace`] in any case,
    /// which mends damage.
    fn push_object(&self, entry: &FileEntry, mode: PutMode, pushed: &mut Pushed) -> Result<bool, RemoteError> {
        let name = name_of_object(&entry.digest);
        let there = self.twin.size(&name)?;
        let path = fan_out(&self.objects, &entry.digest, "");
        let is_whole = there == Some(entry.bytes) && self.twin.may_have(&entry.digest);
        if !is_whole || (mode == PutMode::Replace && path.exists()) {
            // Damage must not spread: others would find it, but never the right bytes.
            if check_file(&path, entry).map_err(local)? != FileState::Intact {
                return Ok(false);
            }
            let put = |mode| self.twin.put(&name, Upload::File(&path), entry.bytes, mode);
            let mode = if there.is_some() { PutMode::Replace } else { PutMode::Create };
            // One that has appeared meanwhile may be what an attempt that was cut off has left.
            if put(mode)? || (self.twin.size(&name)? != Some(entry.bytes) && put(PutMode::Replace)?) {
                pushed.n_objects += 1;
                pushed.bytes += entry.bytes;
            }
        }
        self.twin.has(&entry.digest);
        Ok(true)
    }

    /// True if the remote's record of the key is damaged, or is worth less than the document `ours`: it does not count
    /// for this process, which signs, or it lacks the objects that ours has.
    fn is_worse(&self, key: &Key, ours: &[u8], has_objects: bool) -> bool {
        let Some(theirs) = self.twin.document(key) else { return false };
        let Some(record) = checked::<Value>(&theirs, key) else { return true };
        let signatures = self.twin.signatures();
        let is_better_signed = signatures.signing.is_some() && !signatures.accept(&theirs, key);
        // One without a signature that this process knows would be trusted by fewer readers than a signed one.
        let is_as_trusted = split(&theirs).1.is_none() || (!signatures.trust_all() && signatures.accept(ours, key));
        is_better_signed || (has_objects && !record.has_objects && is_as_trusted)
    }
}

pub(super) fn local(error: StoreError) -> RemoteError {
    RemoteError::Local(std::io::Error::other(error))
}
