//! What each stage of a spec read last, and from where: read only when a source is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, StageId};
use serde::{Deserialize, Serialize, Serializer};

use crate::durable::{Durability, read_if_there, write_whole};
use crate::error::At;
use crate::sealed::{seal, unseal};
use crate::{Store, StoreError};

/// The sources that one stage had last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSources {
    /// The paths by which the spec named them.
    #[serde(serialize_with = "as_texts")]
    pub looked_for: Vec<PathBuf>,
    /// The sources, in the stage's order.
    pub sources: Vec<LastSource>,
}

/// A source that a stage had last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSource {
    /// The name of its line in the manifest.
    pub name: String,
    /// Where it was.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// What its content was.
    pub digest: Digest,
}

/// JSON holds UTF-8 only; another path is one that nobody looks for.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn as_texts<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

impl Store {
    /// Returns the sources that the spec's stages had last; nothing if it never ran here, or they cannot be read.
    pub fn last_sources(&self, spec: &Path) -> BTreeMap<StageId, LastSources> {
        let read = || unseal(&read_if_there(&self.layout().last_sources(&std::path::absolute(spec).ok()?)).ok()??);
        read().unwrap_or_default()
    }

    /// Remembers the sources that the spec's stages have.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_last_sources(&self, spec: &Path, sources: &BTreeMap<StageId, LastSources>) -> Result<(), StoreError> {
        let path = self.layout().last_sources(&std::path::absolute(spec).at("find", spec)?);
        write_whole(&self.session()?.new_path(), &path, &seal(sources), Durability::Lazy)
    }
}
