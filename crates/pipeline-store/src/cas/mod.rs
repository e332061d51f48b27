//! `objects/`, `trees/` and `leases/`: the files of artifacts by digest, and artifacts as folders.
//!
//! - `objects/ab/<62 hexadecimal digits>` is one read-only file under its BLAKE3 digest. Its modification time is the
//!   time of its last use, which collections go by.
//! - `trees/<artifact digest>/` is an artifact laid out as a folder: hard links to objects, and copies of programs,
//!   since all links to an object share its permissions. It can always be rebuilt from the objects.
//! - `leases/<artifact digest>` is locked jointly by the readers of the artifact; the last one removes it.
//!
//! Objects come in through [`Cas::put_prepared`] and [`Cas::put_folder`] and go out through [`Cas::open`] and
//! `Cas::copy_verified`, which fetch what is absent here from the remote. [`Cas::has_bytes`] answers without reading.
//! No other code looks for an object in order to use it.

mod error;
mod links;
mod listing;
mod objects;
mod open_tree;
mod sub_trees;
mod trees;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{ArtifactDigest, Digest};

use crate::layout::{below, fan_out};
use crate::quarantine::Quarantine;
use crate::remote::RemoteLink;
use crate::workspace::Workspace;

pub use error::OpenTreeError;
pub(crate) use links::lay_out_folders;
pub(crate) use listing::{check_links, check_tree, stays_inside};
pub(crate) use objects::Object;
pub use open_tree::OpenTree;
pub use sub_trees::Objects;
pub(crate) use sub_trees::checked as checked_sub_tree;

/// The content-addressed files of a store, and the artifacts made of them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cas {
    objects: PathBuf,
    trees: PathBuf,
    leases: PathBuf,
    workspace: Arc<Workspace>,
    quarantine: Arc<Quarantine>,
    remote: Option<Arc<RemoteLink>>,
}

impl Cas {
    pub(crate) fn new(
        store: &Path,
        workspace: &Arc<Workspace>,
        quarantine: &Arc<Quarantine>,
        remote: Option<&Arc<RemoteLink>>,
    ) -> Self {
        let [objects, trees, leases] = ["objects", "trees", "leases"].map(|folder| below(store, folder));
        let (workspace, quarantine) = (Arc::clone(workspace), Arc::clone(quarantine));
        Self { objects, trees, leases, workspace, quarantine, remote: remote.cloned() }
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
