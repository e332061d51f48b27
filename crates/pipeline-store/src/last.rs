//! What each spec's stages had last: what a no-op run answers from, and what a collection spares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_core::{ArtifactDigest, FileEntry, Key, RunId, StageId, StageReport};
use serde::{Deserialize, Serialize, Serializer};

use crate::durable::{Durability, list_folder, read_if_there, write_whole};
use crate::error::At;
use crate::sealed::{seal, unseal};
use crate::{Store, StoreError};

/// What the stages of one spec had last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The run that wrote it.
    pub run: RunId,
    /// The spec's absolute path.
    #[serde(serialize_with = "as_text")]
    pub spec: PathBuf,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// What each stage had.
    pub stages: BTreeMap<StageId, LastStage>,
}

/// What one stage had last: enough to answer a no-op without opening its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastStage {
    /// The key.
    pub key: Key,
    /// The artifact that the key gave.
    pub artifact: ArtifactDigest,
    /// Wall time of its computation, in seconds.
    pub seconds: f64,
    /// What the stage told when it ran.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub report: StageReport,
    /// The files that the spec publishes, by their names in the artifact: enough to compare them with what is outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, FileEntry>,
}

/// JSON holds UTF-8 only; this path is for people, and nothing is looked up by it.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn is_empty(report: &StageReport) -> bool {
    *report == StageReport::default()
}

impl Store {
    /// Returns what the spec's stages had last; none if it never ran here, or what is remembered cannot be read.
    pub fn last(&self, spec: &Path) -> Option<Last> {
        let path = self.layout().last(&std::path::absolute(spec).ok()?);
        unseal(&read_if_there(&path).ok()??)
    }

    /// Remembers what the spec's stages have.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_last(&self, spec: &Path, last: &Last) -> Result<(), StoreError> {
        let path = self.layout().last(&std::path::absolute(spec).at("find", spec)?);
        write_whole(&self.session()?.new_path(), &path, &seal(last), Durability::Lazy)
    }

    /// What the stages of every spec had last.
    pub(crate) fn all_lasts(&self) -> Result<Vec<Last>, StoreError> {
        let mut lasts = Vec::new();
        for entry in list_folder(&self.layout().lasts())? {
            lasts.extend(read_if_there(&entry.path())?.and_then(|document| unseal::<Last>(&document)));
        }
        Ok(lasts)
    }
}
