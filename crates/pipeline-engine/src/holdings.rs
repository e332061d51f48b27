//! The holders of bytes that the spec does not retain: other artifacts of this graph, other specs and runs, the user.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Instant;

use pipeline_core::{Digest, StageId};

/// The digests of all files of the artifacts that keep their bytes, with counts.
#[derive(Debug)]
pub(crate) struct Holdings {
    n_holders: HashMap<Digest, usize>,
    held: Vec<Vec<Digest>>,
}

impl Holdings {
    /// The holdings of `n_stages` stages, all empty.
    pub fn new(n_stages: usize) -> Self {
        Self { n_holders: HashMap::new(), held: vec![Vec::new(); n_stages] }
    }

    /// Makes the stage at `idx` hold exactly these objects.
    pub fn hold(&mut self, idx: usize, objects: BTreeSet<Digest>) {
        self.release(idx);
        self.held[idx] = objects.into_iter().collect();
        for digest in &self.held[idx] {
            *self.n_holders.entry(*digest).or_default() += 1;
        }
    }

    /// Makes the stage at `idx` hold nothing.
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

/// The holders outside this graph of bytes that the spec does not retain.
#[derive(Debug)]
pub(crate) struct Keepers<'env> {
    /// The path that identifies the spec.
    pub spec: &'env Path,
    /// The stages that the user forced: forcing a stage by name keeps its files.
    pub forced: &'env BTreeSet<StageId>,
    /// The holds of other specs' last runs, pinned and running runs, and the time when they were read.
    pub others: Option<(Instant, BTreeSet<Digest>)>,
    /// The stages of which bytes were left, since others hold them or read them.
    pub left: BTreeSet<usize>,
}
