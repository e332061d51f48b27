//! Pins: runs whose artifacts no collection removes and no other spec drops.
//!
//! A pin names the keys that existed when it was set, so that it holds whatever happens to the run's own files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pipeline_core::{Event, EventRecord, Key, RunId};
use serde::{Deserialize, Serialize};

use super::Runs;
use super::seal::{RunSeal, SealState};
use crate::StoreError;
use crate::durable::{Durability, remove_file};
use crate::error::At;
use crate::sealed::read_sealed;

/// The file that marks a run as pinned; an empty one, from an earlier version, names no keys.
pub(crate) const PIN_FILE: &str = "pinned";

/// `pinned`: a sealed document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pin {
    /// The keys whose artifacts existed; `None` when the run had not ended.
    keys: Option<BTreeSet<Key>>,
}

impl Runs {
    /// Pins a run; `keep` returns whether the bytes of a key exist. Pinning an unfinished run keeps all its future
    /// results.
    ///
    /// # Errors
    /// When there is no such run, its events are damaged, or the store cannot be written.
    pub(crate) fn pin(&self, run: &RunId, keep: impl Fn(&Key) -> Result<bool, StoreError>) -> Result<(), StoreError> {
        let folder = self.folder_of(run);
        fs::metadata(&folder).at("open", &folder)?;
        let is_over = matches!(RunSeal::read(&folder), SealState::Intact(_));
        let events = self.events(run)?;
        let mut keys = is_over.then(BTreeSet::new);
        if let Some(keys) = &mut keys {
            for key in keys_of(&events) {
                if keep(&key)? {
                    keys.insert(key);
                }
            }
        }
        self.workspace.write_sealed(&folder.join(PIN_FILE), &Pin { keys }, Durability::Synced)
    }

    /// Unpins a run.
    ///
    /// # Errors
    /// When there is no such run, or the store cannot be written.
    pub fn unpin(&self, run: &RunId) -> Result<(), StoreError> {
        let folder = self.folder_of(run);
        fs::metadata(&folder).at("open", &folder)?;
        remove_file(&folder.join(PIN_FILE))
    }
}

/// The keys in the pin of the run in `folder`, if it names any.
pub(crate) fn pinned_keys(folder: &Path) -> Option<BTreeSet<Key>> {
    read_sealed::<Pin>(&folder.join(PIN_FILE))?.keys
}

/// The keys of the stages with a result in these events, except those whose bytes the run dropped.
pub(crate) fn keys_of(events: &[EventRecord]) -> BTreeSet<Key> {
    let mut keys = BTreeMap::new();
    for record in events {
        match &record.event {
            Event::StageReused { stage, key, .. } | Event::StageFinished { stage, key, .. } => {
                keys.insert(stage, *key);
            }
            Event::ArtifactDropped { stage, .. } => {
                keys.remove(stage);
            }
            _ => {}
        }
    }
    keys.into_values().collect()
}
