//! The sources of stages: what they are now, and what they were last where they are gone.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, Manifest, StageId, error_chain};
use pipeline_store::{LastSource, LastSources, Store};

use crate::Node;
use crate::error::EngineError;

/// The line of a manifest that stands for sources of which nothing is known: no result is remembered under such a key.
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
    /// None when they are gone and nothing is remembered of them.
    known: Option<Vec<ReadSource>>,
    /// Why they could not be read.
    pub missing: Option<EngineError>,
}

impl Sources {
    /// Sources that are there.
    pub fn of(sources: Vec<ReadSource>) -> Self {
        Self { known: Some(sources), missing: None }
    }

    /// False when they are gone and nothing is remembered of them.
    pub fn are_known(&self) -> bool {
        self.known.is_some()
    }

    /// What is known of them.
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

    /// What is to be remembered of them for a time when they are gone.
    pub fn to_remember(&self, node: &Node) -> LastSources {
        let last = |source: &ReadSource| {
            let ReadSource { name, path, digest } = source.clone();
            LastSource { name, path, digest }
        };
        LastSources { looked_for: node.stage.looked_for(), sources: self.list().iter().map(last).collect() }
    }
}

/// The sources of a stage as they are now.
///
/// # Errors
/// When one is not there or cannot be read.
pub(crate) fn read(node: &Node, store: &Store) -> Result<Vec<ReadSource>, EngineError> {
    let declared = node.stage.sources().map_err(|source| EngineError::Source { stage: node.id.clone(), source })?;
    let read = |source: pipeline_core::Source| {
        let digest = store.sources().digest(&source.path).map_err(|error| EngineError::SourceDigest {
            stage: node.id.clone(),
            name: source.name.clone(),
            source: error,
        })?;
        Ok(ReadSource { name: source.name, path: source.path, digest })
    };
    declared.into_iter().map(read).collect()
}

/// Looks at the sources of a spec's stages, and at what is remembered of them once one is gone.
pub(crate) struct Looking<'a> {
    store: &'a Store,
    spec: &'a Path,
    remembered: Option<BTreeMap<StageId, LastSources>>,
}

impl<'a> Looking<'a> {
    pub fn new(store: &'a Store, spec: &'a Path) -> Self {
        Self { store, spec, remembered: None }
    }

    /// The sources of a stage. Those that are gone are what they were when the spec ran last, if it named them as now.
    pub fn sources(&mut self, node: &Node) -> Sources {
        let missing = match read(node, self.store) {
            Ok(sources) => return Sources::of(sources),
            Err(error) => error,
        };
        let remembered = self.remembered.get_or_insert_with(|| self.store.specs().sources(self.spec));
        let known = remembered.get(&node.id).and_then(|last| recall(node, self.store, last));
        Sources { known, missing: Some(missing) }
    }
}

/// The sources that a stage had last, each as it is now unless it is gone. None when the spec names others by now, none is
/// gone, so that something else is wrong, or one is there and cannot be read.
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
