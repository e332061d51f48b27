//! Bytes that a stage derives from one source, such as the index of a file: kept in this store alone, and made anew
//! when they are gone.

use std::fs;

use pipeline_core::{Key, Manifest, ShardReport, Tree};

use crate::error::At;
use crate::records::{Provenance, Record};
use crate::{Store, StoreError};

/// The name of the one file in the record of derived bytes.
const FILE: &str = "derived";

impl Store {
    /// The derived bytes under a key; `None` if they are missing or damaged.
    ///
    /// A remote is not asked, since nothing in such bytes can be checked against anything else.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn derived(&self, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        let record = self.records().get_derived(key);
        let entry = record.as_ref().and_then(|record| record.tree.files.get(FILE));
        entry.map_or(Ok(None), |entry| self.cas().read(entry))
    }

    /// Keeps derived bytes under the key of their manifest, in the place of earlier ones.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_derived(&self, manifest: &Manifest, bytes: &[u8], provenance: Provenance) -> Result<(), StoreError> {
        let scratch = self.workspace().scratch()?;
        let path = scratch.folder().join(FILE);
        fs::write(&path, bytes).at("write", &path)?;
        self.records().put_derived(&Record {
            key: manifest.key(),
            manifest: manifest.clone(),
            tree: Tree::of_file(FILE, self.cas().put_file(&path)?),
            report: ShardReport::default(),
            shard_rows: Vec::new(),
            seconds: 0.0,
            provenance,
            has_objects: true,
        })
    }
}

/// True for a record of derived bytes.
pub(crate) fn is_derived(record: &Record) -> bool {
    record.tree.files.len() == 1 && record.tree.files.contains_key(FILE)
}
