//! Who needs bytes that the spec does not retain: other artifacts of this graph, other specs and runs, the user.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Instant;

use pipeline_core::{Digest, StageId, Tree};

/// The digests of all files of the artifacts that keep their bytes, counted.
#[derive(Debug)]
pub(crate) struct Holdings {
    n_holders: HashMap<Digest, usize>,
    held: Vec<Vec<Digest>>,
}

impl Holdings {
    /// Nothing held by any of `n_stages`.
    pub fn new(n_stages: usize) -> Self {
        Self { n_holders: HashMap::new(), held: vec![Vec::new(); n_stages] }
    }

    /// Says that the stage at `idx` holds the files of `tree`, and nothing else any more.
    pub fn hold(&mut self, idx: usize, tree: &Tree) {
        self.release(idx);
        self.held[idx] = tree.files.values().map(|entry| entry.digest).collect();
        for digest in &self.held[idx] {
            *self.n_holders.entry(*digest).or_default() += 1;
        }
    }

    /// Says that the stage at `idx` holds nothing any more.
    pub fn release(&mut self, idx: usize) {
        for digest in std::mem::take(&mut self.held[idx]) {
            if let Some(n_holders) = self.n_holders.get_mut(&digest) {
                *n_holders -= 1;
            }
        }
    }

    /// True while an artifact holds an object.
    pub fn is_held(&self, digest: &Digest) -> bool {
        self.n_holders.get(digest).is_some_and(|&n_holders| n_holders > 0)
    }
}

/// Who beside this graph keeps bytes that the spec does not retain.
#[derive(Debug)]
pub(crate) struct Keepers<'env> {
    /// The path by which the spec is remembered.
    pub spec: &'env Path,
    /// The stages that the user forced: who asks for their files by name gets them.
    pub forced: &'env BTreeSet<StageId>,
    /// What the last runs of other specs, pinned and running runs hold, and when they were asked.
    pub others: Option<(Instant, BTreeSet<Digest>)>,
}
