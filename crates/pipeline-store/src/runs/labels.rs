//! Labels: the name, the note and the tags that people give to a run, also after its end.
//!
//! They lie beside the sealed files of the run, in a sealed document of their own: changing them changes nothing that
//! the run recorded.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pipeline_core::RunId;
use serde::{Deserialize, Serialize};

use super::Runs;
use crate::StoreError;
use crate::durable::{Durability, read_if_there};
use crate::error::At;
use crate::sealed::unseal;

pub(super) const LABELS_FILE: &str = "labels.json";

/// `labels.json`: a sealed document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLabels {
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The tags.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
}

impl RunLabels {
    /// True for a run without labels.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Runs {
    /// Replaces the labels of a run.
    ///
    /// # Errors
    /// When there is no such run, or the store cannot be written.
    pub fn label(&self, run: &RunId, labels: &RunLabels) -> Result<(), StoreError> {
        let folder = self.folder_of(run);
        fs::metadata(&folder).at("open", &folder)?;
        self.workspace.write_sealed(&folder.join(LABELS_FILE), labels, Durability::Synced)
    }
}

/// The labels of the run in `folder`, empty when it has none.
///
/// # Errors
/// Says why they cannot be read.
pub(super) fn read_labels(folder: &Path) -> Result<RunLabels, String> {
    match read_if_there(&folder.join(LABELS_FILE)) {
        Ok(None) => Ok(RunLabels::default()),
        Ok(Some(document)) => unseal(&document).ok_or_else(|| format!("`{LABELS_FILE}` is damaged")),
        Err(error) => Err(error.in_one_line()),
    }
}
