//! The origin of a run: the command, the program and the commit of the project. Stored, never hashed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The origin of a run, as its start records it. Empty for runs of versions that did not record it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrigin {
    /// The command line, one text for each word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The absolute path of the file of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The version of the program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The instruction set that kernels use, such as `x86_64 avx512f`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instruction_set: String,
    /// The commit of the project; `None` outside a repository, without git, and for runs in which nothing had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<GitCommit>,
}

/// A commit of git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitCommit {
    /// Its digest in hexadecimal digits.
    pub id: String,
    /// True if tracked files differed from it; `None` when git did not answer that in time or safely.
    pub dirty: Option<bool>,
}

impl RunOrigin {
    /// True if nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
