//! Pins: runs whose artifacts no collection takes and no other spec drops.
//!
//! A pin names what was there when it was set, so that it keeps its word whatever becomes of the run's own files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pipeline_core::{Event, EventRecord, Key, RunId};
use serde::{Deserialize, Serialize};

use crate::durable::{Durability, read_if_there, remove_file, write_whole};
use crate::error::At;
use crate::runs::seal::{RunSeal, SealState};
use crate::sealed::{seal, unseal};
use crate::{Store, StoreError};

/// The file that marks a run as pinned; an empty one, of an earlier version, names nothing.
pub(crate) const PIN_FILE: &str = "pinned";

/// `pinned`: a sealed document.
#[derive(Debug, Serialize, Deserialize)]
struct Pin {
    /// The keys whose artifacts were there; none when the run was not over yet.
    keys: Option<BTreeSet<Key>>,
}

impl Store {
    /// Pins a run, so that what its stages have stays, or lets it go.
    ///
    /// # Errors
    /// When there is no such run, its events cannot be believed, or the store cannot be written.
    pub fn pin_run(&self, run: &RunId, pinned: bool) -> Result<(), StoreError> {
        let folder = self.layout().run(run);
        fs::metadata(&folder).at("open", &folder)?;
        let path = folder.join(PIN_FILE);
        if !pinned {
            return remove_file(&path);
        }
        let is_over = matches!(RunSeal::read(&folder), SealState::Intact(_));
        let events = self.run_events(run)?;
        let keys = if is_over { Some(self.keys_with_bytes(&events)?) } else { None };
        write_whole(&self.session()?.new_path(), &path, &seal(&Pin { keys }), Durability::Synced)
    }

    fn keys_with_bytes(&self, events: &[EventRecord]) -> Result<BTreeSet<Key>, StoreError> {
        let mut keys = BTreeSet::new();
        for key in keys_of(events) {
            if self.record(&key)?.is_some_and(|record| self.has_bytes(&record.tree)) {
                keys.insert(key);
            }
        }
        Ok(keys)
    }

    /// The keys that the pin of a run in `folder` names, if it names any.
    pub(crate) fn pinned_keys(folder: &Path) -> Option<BTreeSet<Key>> {
        let document = read_if_there(&folder.join(PIN_FILE)).ok()??;
        unseal::<Pin>(&document)?.keys
    }
}

/// The keys of the stages that have a result by these events, but for those whose bytes the run dropped.
pub(crate) fn keys_of(events: &[EventRecord]) -> BTreeSet<Key> {
    let mut keys = std::collections::BTreeMap::new();
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
