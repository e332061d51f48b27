//! `objects/`, `trees/` and `leases/`: the files of artifacts by digest, and artifacts as folders.
//!
//! - `objects/ab/<62 hexadecimal digits>` is one file under its BLAKE3 digest, read-only. The time of its last
//!   modification is that of its last use, by which a collection goes.
//! - `trees/<artifact digest>/` is an artifact laid out as a folder: hard links to objects, and copies of programs,
//!   since all links to an object share its permissions. It can be made anew from the objects at any time.
//! - `leases/<artifact digest>` is locked together by those who read the artifact; the last removes it.
//!
//! Objects come in through [`Cas::put_prepared`] and [`Cas::put_folder`] and go out through [`Cas::open`] and
//! `Cas::copy_verified`. [`Cas::has_bytes`] answers without reading. No other place looks for an object in order to
//! use it.

mod links;
mod listing;
mod objects;
mod trees;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{ArtifactDigest, Digest};

use crate::layout::{below, fan_out};
use crate::quarantine::Quarantine;
use crate::workspace::Workspace;

pub(crate) use listing::check_links;
pub(crate) use objects::Object;
pub use trees::{OpenTree, OpenTreeError};

/// The content-addressed files of a store, and the artifacts that they make.
#[derive(Debug)]
pub struct Cas {
    objects: PathBuf,
    trees: PathBuf,
    leases: PathBuf,
    workspace: Arc<Workspace>,
    quarantine: Arc<Quarantine>,
}

impl Cas {
    pub(crate) fn new(store: &Path, workspace: &Arc<Workspace>, quarantine: &Arc<Quarantine>) -> Self {
        let [objects, trees, leases] = ["objects", "trees", "leases"].map(|folder| below(store, folder));
        Self { objects, trees, leases, workspace: Arc::clone(workspace), quarantine: Arc::clone(quarantine) }
    }

    fn object(&self, digest: &Digest) -> PathBuf {
        fan_out(&self.objects, digest, "")
    }

    fn tree(&self, digest: &ArtifactDigest) -> PathBuf {
        self.trees.join(digest.hex())
    }

    fn lease(&self, digest: &ArtifactDigest) -> PathBuf {
        self.leases.join(digest.hex())
    }
}
