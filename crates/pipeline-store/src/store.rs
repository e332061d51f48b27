//! The handle on one store: opens it, and gives access to its parts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{Digest, RunId};

use crate::error::At;
use crate::layout::{STORE_FOLDER, absolute, below, is_newer_store, is_store};
use crate::quarantine::Quarantine;
use crate::{
    Access, Cas, Kernels, Outside, PackedRow, Record, Records, Remote, RemoteLink, Runs, Signatures, Sources, Specs,
    StoreError, Workspace,
};

/// The content-addressed store below one `artifacts/` folder. Cheap to clone, shared among threads.
///
/// Any number of processes may use one store at once.
#[derive(Debug, Clone)]
pub struct Store {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    artifacts: PathBuf,
    workspace: Arc<Workspace>,
    quarantine: Arc<Quarantine>,
    cas: Arc<Cas>,
    records: Records,
    sources: Arc<Sources>,
    specs: Specs,
    runs: Runs,
    outside: Outside,
    kernels: Kernels,
    remote: Option<Arc<RemoteLink>>,
}

impl Store {
    /// Opens the store below `artifacts`. Writes nothing until there is content to write.
    ///
    /// # Errors
    /// When `artifacts` exists and is not a readable folder, or holds a store of a later format.
    pub fn open(artifacts: &Path) -> Result<Self, StoreError> {
        let artifacts = absolute(artifacts)?;
        match std::fs::read_dir(&artifacts) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            listed => {
                let names = listed.at("open", &artifacts)?.flatten().map(|entry| entry.file_name());
                let mut names = names.filter_map(|name| name.into_string().ok());
                if let Some(folder) = names.find(|name| is_newer_store(name)) {
                    return Err(StoreError::Newer { path: artifacts, folder });
                }
            }
        }
        Ok(Self { parts: Arc::new(Parts::new(artifacts, None)) })
    }

    /// The same store with a remote, which is first asked when a result is absent here.
    pub fn with_remote(self, remote: Box<dyn Remote>, access: Access) -> Self {
        self.with_signed_remote(remote, access, Signatures::default())
    }

    /// Like [`Store::with_remote`], with keys that say whose records count.
    pub fn with_signed_remote(self, remote: Box<dyn Remote>, access: Access, signatures: Signatures) -> Self {
        Self { parts: Arc::new(Parts::new(self.artifacts().to_owned(), Some((remote, access, signatures)))) }
    }

    /// The remote, if there is one.
    pub fn remote(&self) -> Option<&RemoteLink> {
        self.parts.remote.as_deref()
    }

    /// True if every file of the record exists here with its length, or may be had from the remote. Asks nobody: a file
    /// that the remote turns out to lack is missing when it is opened, and then this returns false.
    pub fn has_bytes<Report>(&self, record: &Record<Report>) -> bool {
        let is_in_remote = |remote: &RemoteLink| {
            let may_have = |digest: &Digest| self.cas().knows(digest) || remote.may_have_object(digest);
            // The files of a sub-tree that is not here are unknown, and asked for when it has come.
            let objects = || self.cas().objects_of(&record.tree).is_ok_and(|all| all.digests.iter().all(may_have));
            record.has_objects && objects()
        };
        self.cas().has_bytes(&record.tree) || self.remote().is_some_and(is_in_remote)
    }

    /// Like [`Store::has_bytes`], of the one file of a shard in a packed record.
    pub fn has_packed(&self, row: &PackedRow<'_>) -> bool {
        let entry = row.entry();
        let is_in_remote = |remote: &RemoteLink| row.has_objects() && remote.may_have_object(&entry.digest);
        self.cas().has_file(&entry) || self.remote().is_some_and(is_in_remote)
    }

    /// True if there is a store below `artifacts`: it has been written to, by this version or another.
    pub fn is_at(artifacts: &Path) -> bool {
        let entries = std::fs::read_dir(artifacts).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| is_store(&name))
    }

    /// Makes the folder of a new store, and keeps it out of git; leaves a store that has results as it is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prepare(&self) -> Result<(), StoreError> {
        self.parts.workspace.session().map(drop)
    }

    /// The absolute path of the `artifacts/` folder.
    pub fn artifacts(&self) -> &Path {
        &self.parts.artifacts
    }

    /// The files of artifacts, and artifacts as folders.
    pub fn cas(&self) -> &Cas {
        &self.parts.cas
    }

    /// The record of each key.
    pub fn records(&self) -> &Records {
        &self.parts.records
    }

    /// The digests of sources.
    pub fn sources(&self) -> &Sources {
        &self.parts.sources
    }

    /// The memory of each spec.
    pub fn specs(&self) -> &Specs {
        &self.parts.specs
    }

    /// The history of runs.
    pub fn runs(&self) -> &Runs {
        &self.parts.runs
    }

    /// The files outside the store that come from it.
    pub fn outside(&self) -> &Outside {
        &self.parts.outside
    }

    /// What the compiler of a device has made.
    pub fn kernels(&self) -> &Kernels {
        &self.parts.kernels
    }

    /// The scratch folders, locks and lent inputs of this process.
    pub fn workspace(&self) -> &Workspace {
        &self.parts.workspace
    }

    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.parts.quarantine
    }

    /// Pins a run, so that the artifacts of its stages stay until it is unpinned with [`Runs::unpin`].
    ///
    /// # Errors
    /// When there is no such run, its events are damaged, or the store cannot be written.
    pub fn pin_run(&self, run: &RunId) -> Result<(), StoreError> {
        let has_bytes = |key: &_| Ok(self.records().get(key)?.is_some_and(|record| self.cas().has_bytes(&record.tree)));
        self.runs().pin(run, has_bytes)
    }
}

impl Parts {
    fn new(artifacts: PathBuf, remote: Option<(Box<dyn Remote>, Access, Signatures)>) -> Self {
        let store = below(&artifacts, STORE_FOLDER);
        let (workspace, quarantine) = (Arc::new(Workspace::new(&store)), Arc::new(Quarantine::new(&store)));
        let remote = remote.map(|(remote, access, signatures)| {
            Arc::new(RemoteLink::new(&store, &workspace, remote, access, signatures))
        });
        let cas = Arc::new(Cas::new(&store, &workspace, &quarantine, remote.as_ref()));
        let sources = Arc::new(Sources::new(&store, &artifacts, &workspace));
        Self {
            records: Records::new(&store, &workspace, &quarantine, remote.as_ref()),
            specs: Specs::new(&store, &artifacts, &workspace),
            runs: Runs::new(&store, &artifacts, &workspace),
            outside: Outside::new(&store, &cas, &sources, &workspace, &quarantine),
            kernels: Kernels::new(&store, &workspace),
            artifacts,
            workspace,
            quarantine,
            cas,
            sources,
            remote,
        }
    }
}
