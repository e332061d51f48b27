//! The sources of stages: the present ones, and the remembered ones where they are missing.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, Manifest, Source, StageId, error_chain};
use pipeline_store::{LastSource, LastSources, Store, StoreError};

use crate::Node;
use crate::error::EngineError;

/// The manifest value for unknown sources: no result is remembered under such a key.
const UNKNOWN: &str = "?";

/// A source and the digest of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadSource {
    pub name: String,
    pub path: PathBuf,
    pub digest: Digest,
}

/// The sources of a stage.
#[derive(Debug)]
pub(crate) struct Sources {
    /// `None` when they are missing and not remembered.
    known: Option<Vec<ReadSource>>,
    /// The reason why they could not be read.
    pub missing: Option<EngineError>,
}

impl Sources {
    /// Sources that exist.
    pub fn of(sources: Vec<ReadSource>) -> Self {
        Self { known: Some(sources), missing: None }
    }

    /// False when they are missing and not remembered.
    pub fn are_known(&self) -> bool {
        self.known.is_some()
    }

    /// The known sources.
    pub fn list(&self) -> &[ReadSource] {
        self.known.as_deref().unwrap_or_default()
    }

    /// Enters the digests into a manifest.
    pub fn enter(&self, manifest: &mut Manifest) {
        match &self.known {
            Some(sources) => sources.iter().for_each(|source| manifest.source(&source.name, &source.digest)),
            None => manifest.source(UNKNOWN, &Digest::of(b"")),
        }
    }

    /// The facts to remember for a time when the sources are missing.
    pub fn to_remember(&self, node: &Node) -> LastSources {
        let last = |source: &ReadSource| {
            let ReadSource { name, path, digest } = source.clone();
            LastSource { name, path, digest }
        };
        LastSources { looked_for: node.stage.looked_for(), sources: self.list().iter().map(last).collect() }
    }
}

/// The present sources of a stage.
///
/// # Errors
/// When one is missing or cannot be read.
pub(crate) fn read(node: &Node, store: &Store) -> Result<Vec<ReadSource>, EngineError> {
    let declared = node.stage.sources().map_err(|source| EngineError::Source { stage: node.id.clone(), source })?;
    let paths: Vec<&Path> = declared.iter().map(|source| source.path.as_path()).collect();
    let digests = store.sources().digests(&paths);
    let read = |(source, digest): (Source, Result<Digest, StoreError>)| {
        let Source { name, path } = source;
        match digest {
            Ok(digest) => Ok(ReadSource { name, path, digest }),
            Err(source) => Err(EngineError::SourceDigest { stage: node.id.clone(), name, source }),
        }
    };
    declared.into_iter().zip(digests).map(read).collect()
}

/// Reads the sources of a spec's stages, and the remembered ones once one is missing.
pub(crate) struct Looking<'a> {
    store: &'a Store,
    spec: &'a Path,
    remembered: Option<BTreeMap<StageId, LastSources>>,
}

impl<'a> Looking<'a> {
    pub fn new(store: &'a Store, spec: &'a Path) -> Self {
        Self { store, spec, remembered: None }
    }

    /// The sources of a stage. Missing ones are those of the spec's last run, if it named them in the same way.
    pub fn sources(&mut self, node: &Node) -> Sources {
        let missing = match read(node, self.store) {
            Ok(sources) => return Sources::of(sources),
            Err(error) => error,
        };
        let remembered = self.remembered.get_or_insert_with(|| self.store.specs().nearest_sources(self.spec));
        let known = remembered.get(&node.id).and_then(|last| recall(node, self.store, last));
        Sources { known, missing: Some(missing) }
    }
}

/// The last sources of a stage, with present digests unless they are missing. `None` when the spec now names others,
/// when none is missing, so that the fault is another, or when one exists and cannot be read.
fn recall(node: &Node, store: &Store, last: &LastSources) -> Option<Vec<ReadSource>> {
    if last.looked_for != node.stage.looked_for() {
        return None;
    }
    let mut is_any_gone = false;
    let recall = |source: &LastSource| {
        let LastSource { name, path, digest } = source.clone();
        let digest = match store.sources().digest(&path) {
            Ok(digest) => digest,
            Err(error) if error.is_not_found() => {
                is_any_gone = true;
                digest
            }
            Err(_) => return None,
        };
        Some(ReadSource { name, path, digest })
    };
    let sources = last.sources.iter().map(recall).collect();
    if is_any_gone { sources } else { None }
}

/// An error and its causes in one line.
pub(crate) fn in_one_line(error: &dyn Error) -> String {
    error_chain(error).join(": ")
}
