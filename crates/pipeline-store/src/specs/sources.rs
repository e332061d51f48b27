//! The last sources of each stage of a spec, with their paths: read only when a source is missing.

use std::path::PathBuf;

use pipeline_core::Digest;
use serde::{Deserialize, Serialize};

use crate::sealed::{path_as_text, paths_as_texts};

/// The last sources of one stage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSources {
    /// The paths by which the spec named them.
    #[serde(serialize_with = "paths_as_texts")]
    pub looked_for: Vec<PathBuf>,
    /// The sources, in the stage's order.
    pub sources: Vec<LastSource>,
}

/// A source of a stage's last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSource {
    /// The name of its line in the manifest.
    pub name: String,
    /// Its path.
    #[serde(serialize_with = "path_as_text")]
    pub path: PathBuf,
    /// The digest of its content.
    pub digest: Digest,
}
