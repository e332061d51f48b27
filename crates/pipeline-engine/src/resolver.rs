//! The facts about every stage, and the one place that decides whether a stage runs.
//!
//! A plan decides all stages at once; a run decides each stage again when its inputs become known.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pipeline_core::{Arithmetic, ArtifactDigest, Device, Digest, Key, Manifest, Numerics, Part, RunReason, Tree};
use pipeline_store::{Last, LastStage, OpenTreeError, Record, Store, StoreError};

use crate::decision::{Decision, Unpublished};
use crate::error::EngineError;
use crate::options::PlanOptions;
use crate::sources::{self, Looking, ReadSource, Sources};
use crate::{Graph, Node};

pub(crate) struct Resolver<'a> {
    pub graph: &'a Graph,
    pub store: &'a Store,
    /// The spec's last results; its stages have moved to `last_stages`.
    pub last: Option<Last>,
    last_stages: Vec<Option<LastStage>>,
    arithmetic: Arithmetic,
    device: Device,
    stages: Vec<Known>,
}

/// The facts about one stage.
struct Known {
    /// The manifest without its inputs and sources.
    base: Manifest,
    sources: Sources,
    /// Set until the stage has run.
    forced: bool,
    /// Known once all inputs have digests.
    resolved: Option<(Manifest, Key)>,
    /// Known once there is a result under the key.
    artifact: Option<ArtifactDigest>,
    /// The change time of its record; 0 when unknown.
    recorded_ns: i64,
    /// The record of `artifact`, read on first use; `Some(None)` when there is none.
    record: Option<Option<Record>>,
    /// Whether the artifact's bytes are there, checked on first use.
    bytes: Option<bool>,
}

impl<'a> Resolver<'a> {
    /// Reads the last results of the spec and the digests of all sources.
    pub fn new(graph: &'a Graph, store: &'a Store, spec: &Path, options: &PlanOptions) -> Result<Self, EngineError> {
        if let Some(stage) = options.forced.iter().find(|stage| graph.position(stage).is_none()) {
            return Err(EngineError::UnknownStage { stage: stage.clone() });
        }
        let mut last = store.specs().nearest(spec);
        let mut remembered = last.as_mut().map(|last| std::mem::take(&mut last.stages)).unwrap_or_default();
        let last_stages = graph.nodes().iter().map(|node| remembered.remove(&node.id)).collect();
        let mut looking = Looking::new(store, spec);
        let know = |node: &Node| Known::new(node, looking.sources(node), options.forced.contains(&node.id));
        let stages = graph.nodes().iter().map(know).collect();
        let (arithmetic, device) = (options.arithmetic, options.device);
        Ok(Self { graph, store, last, last_stages, arithmetic, device, stages })
    }

    /// Decides about the stage at `idx`, whose inputs must all have artifacts.
    pub fn decide(&mut self, idx: usize) -> Result<Decision, StoreError> {
        let key = self.resolve(idx);
        self.decide_about(idx, key)
    }

    /// Decides about these stages, whose inputs must all have artifacts: looks their results up in the remote many at
    /// once, before they are asked for one by one.
    pub fn decide_together(&mut self, stages: &[usize]) -> Result<Vec<Decision>, StoreError> {
        let keys: Vec<Key> = stages.iter().map(|&idx| self.resolve(idx)).collect();
        let wanted = stages.iter().zip(&keys).filter(|&(&idx, _)| !self.stages[idx].forced);
        self.store.records().fetch(&wanted.map(|(_, key)| key).collect::<Vec<_>>());
        stages.iter().zip(keys).map(|(&idx, key)| self.decide_about(idx, key)).collect()
    }

    fn decide_about(&mut self, idx: usize, key: Key) -> Result<Decision, StoreError> {
        self.stages[idx].forget_result();
        if self.stages[idx].forced {
            return Ok(Decision::Run { key, why: RunReason::Forced });
        }
        let last = self.last_stages[idx].as_ref().filter(|last| last.key == key);
        if let Some(last) = last
            && !self.arithmetic.is_exclusive
            && self.store.records().recorded_ns(&key) == Some(last.recorded_ns)
        {
            // Does not read the record, which was not touched: a no-op run must not open a file for every stage.
            let (artifact, report, recorded_ns) = (last.artifact, last.report.clone(), last.recorded_ns);
            self.stages[idx].artifact = Some(artifact);
            self.stages[idx].recorded_ns = recorded_ns;
            return Ok(Decision::Reuse { key, artifact, report });
        }
        let is_remembered = last.is_some();
        match self.store.records().get(&key)? {
            Some(record) if self.accepts(idx, &record) => Ok(self.accept(idx, record)),
            Some(record) => {
                let why = RunReason::OtherNumerics { numerics: record.provenance.numerics };
                Ok(Decision::Run { key, why })
            }
            None if is_remembered => Ok(Decision::Run { key, why: RunReason::RecordLost }),
            None => Ok(Decision::Run { key, why: self.why(idx)? }),
        }
    }

    /// The class of the stage's arithmetic.
    pub fn class(&self, idx: usize) -> Numerics {
        self.arithmetic.class(self.graph.nodes()[idx].stage.needs(), self.device)
    }

    /// Whether the arithmetic that computed a record counts for the stage.
    pub fn accepts<Report>(&self, idx: usize, record: &Record<Report>) -> bool {
        self.arithmetic.accepts(&record.provenance.numerics, self.class(idx))
    }

    /// Takes `record` as the stage's result.
    pub fn accept(&mut self, idx: usize, record: Record) -> Decision {
        let (key, artifact, report) = (record.key, record.tree.digest(), record.report.clone());
        let known = &mut self.stages[idx];
        known.artifact = Some(artifact);
        known.recorded_ns = self.store.records().recorded_ns(&key).unwrap_or_default();
        known.record = Some(Some(record));
        known.bytes = None;
        Decision::Reuse { key, artifact, report }
    }

    /// Forces the stage no longer: a worker has computed it.
    pub fn has_been_forced(&mut self, idx: usize) {
        self.stages[idx].forced = false;
    }

    /// Takes the record that this run has just committed as the stage's result.
    pub fn commit(&mut self, idx: usize, record: Record) {
        self.accept(idx, record);
        self.stages[idx].forced = false;
        self.stages[idx].bytes = Some(true);
    }

    /// Rebuilds the manifest of the stage from its inputs' artifacts and returns its key.
    pub fn resolve(&mut self, idx: usize) -> Key {
        let mut manifest = self.stages[idx].base.clone();
        self.stages[idx].sources.enter(&mut manifest);
        let slots = self.graph.nodes()[idx].inputs.keys();
        for (slot, &input) in slots.zip(self.graph.inputs(idx)) {
            let digest = self.stages[input].artifact.expect("a stage is resolved after its inputs");
            manifest.input(slot, &digest);
        }
        let key = manifest.key();
        self.stages[idx].resolved = Some((manifest, key));
        key
    }

    /// The manifest and its key, once the inputs are known.
    pub fn resolved(&self, idx: usize) -> Option<&(Manifest, Key)> {
        self.stages[idx].resolved.as_ref()
    }

    /// The manifest of a stage that does not depend on others.
    pub fn manifest_of(&self, idx: usize, decision: &Decision) -> Option<Manifest> {
        match decision {
            Decision::Reuse { .. } | Decision::Run { .. } | Decision::MayBeDemanded { .. } => {
                self.resolved(idx).map(|(manifest, _)| manifest.clone())
            }
            Decision::Depends { .. } => None,
        }
    }

    /// The artifact, once there is one.
    pub fn artifact(&self, idx: usize) -> Option<ArtifactDigest> {
        self.stages[idx].artifact
    }

    /// The change time of the artifact's record; 0 when unknown.
    pub fn recorded_ns(&self, idx: usize) -> i64 {
        self.stages[idx].recorded_ns
    }

    /// The result of the stage in the spec's last run.
    pub fn last_stage(&self, idx: usize) -> Option<&LastStage> {
        self.last_stages[idx].as_ref()
    }

    /// The sources of the stage; missing ones are replaced by those of the last run.
    pub fn sources(&self, idx: usize) -> &Sources {
        &self.stages[idx].sources
    }

    /// Replaces the sources of the stage, which needs a new decision.
    pub fn set_sources(&mut self, idx: usize, sources: Vec<ReadSource>) {
        self.stages[idx].sources = Sources::of(sources);
    }

    /// Reads the sources of a stage again, which may have changed since the plan was made; keeps the known ones if that
    /// fails.
    pub fn look_again(&mut self, idx: usize) {
        if let Ok(sources) = sources::read(&self.graph.nodes()[idx], self.store) {
            self.set_sources(idx, sources);
        }
    }

    /// Takes the reason why the sources of the stage could not be read.
    pub fn take_missing(&mut self, idx: usize) -> Option<EngineError> {
        self.stages[idx].sources.missing.take()
    }

    /// The objects of the artifact, or `None` when its record is gone.
    pub fn objects(&mut self, idx: usize) -> Result<Option<BTreeSet<Digest>>, StoreError> {
        let store = self.store;
        let Some(tree) = self.tree(idx)? else { return Ok(None) };
        Ok(Some(store.cas().objects_of(tree)?.digests))
    }

    /// The artifact with all its files. `None` when its record or a sub-tree is gone.
    pub fn whole_tree(&mut self, idx: usize) -> Result<Option<Cow<'_, Tree>>, StoreError> {
        let store = self.store;
        let Some(tree) = self.tree(idx)? else { return Ok(None) };
        match store.cas().whole(tree) {
            Ok(whole) => Ok(Some(whole)),
            Err(OpenTreeError::Store(error)) => Err(error),
            Err(OpenTreeError::Missing { .. } | OpenTreeError::Corrupt { .. }) => Ok(None),
        }
    }

    /// The artifact, whose files may be named by its sub-trees; `None` when its record is gone.
    pub fn tree(&mut self, idx: usize) -> Result<Option<&Tree>, StoreError> {
        Ok(self.record(idx)?.map(|record| &record.tree))
    }

    /// Whether every byte of the artifact is in the store, or may be had from its remote.
    pub fn has_bytes(&mut self, idx: usize) -> Result<bool, StoreError> {
        if let Some(bytes) = self.stages[idx].bytes {
            return Ok(bytes);
        }
        let store = self.store;
        let bytes = self.record(idx)?.is_some_and(|record| store.has_bytes(record));
        self.stages[idx].bytes = Some(bytes);
        Ok(bytes)
    }

    /// Marks the artifact's bytes as lost or damaged.
    pub fn bytes_lost(&mut self, idx: usize) {
        self.stages[idx].bytes = Some(false);
    }

    /// Makes the next [`Resolver::has_bytes`] check again.
    pub fn ask_for_bytes(&mut self, idx: usize) {
        self.stages[idx].bytes = None;
    }

    /// The seconds of the stage's computation; 0 when unknown.
    pub fn seconds(&self, idx: usize) -> f64 {
        let known = &self.stages[idx];
        let record = known.record.as_ref().and_then(Option::as_ref);
        let last = self.last_stages[idx].as_ref().filter(|last| Some(last.artifact) == known.artifact);
        record.map(|record| record.seconds).or(last.map(|last| last.seconds)).unwrap_or_default()
    }

    /// The published files of an up-to-date stage that are missing or different.
    ///
    /// Without the record nothing can be compared, so all of them count as stale.
    pub fn unpublished(&mut self, idx: usize) -> Result<Vec<Unpublished>, StoreError> {
        let node = &self.graph.nodes()[idx];
        if node.publish.is_empty() {
            return Ok(Vec::new());
        }
        let store = self.store;
        let Some(parts) = self.published(idx)? else {
            let stale = |(_, path): &(String, PathBuf)| Unpublished::Stale { path: path.clone() };
            return Ok(node.publish.iter().map(stale).collect());
        };
        let check = |(file, path): &(String, PathBuf)| match parts.get(file) {
            None => Some(Unpublished::NotInArtifact { file: file.clone(), names: self.names(idx) }),
            Some(part) if store.outside().matches_part(part, path) => None,
            Some(_) => Some(Unpublished::Stale { path: path.clone() }),
        };
        Ok(node.publish.iter().filter_map(check).collect())
    }

    /// The files and folders that an up-to-date stage publishes; `None` when neither the last run nor a record has
    /// them.
    pub fn published(&mut self, idx: usize) -> Result<Option<BTreeMap<String, Part>>, StoreError> {
        let graph = self.graph;
        let publish = &graph.nodes()[idx].publish;
        let last = self.last_stages[idx].as_ref().filter(|last| Some(last.artifact) == self.stages[idx].artifact);
        if let Some(last) = last.filter(|last| publish.iter().all(|(file, _)| last.published.contains_key(file))) {
            let parts = last.published.iter().map(|(file, entry)| (file.clone(), Part::File(*entry)));
            return Ok(Some(parts.collect()));
        }
        let Some(tree) = self.whole_tree(idx)? else { return Ok(None) };
        let parts = publish.iter().filter_map(|(file, _)| Some((file.clone(), tree.part(file)?)));
        Ok(Some(parts.collect()))
    }

    /// The names of the artifact's files, as far as its record has been read.
    fn names(&self, idx: usize) -> Vec<String> {
        let record = self.stages[idx].record.as_ref().and_then(Option::as_ref);
        record.map(|record| record.tree.files.keys().cloned().collect()).unwrap_or_default()
    }

    /// The record of the artifact, or `None` when it is gone.
    pub fn record(&mut self, idx: usize) -> Result<Option<&Record>, StoreError> {
        let known = &mut self.stages[idx];
        if known.record.is_none() {
            let (Some((_, key)), Some(artifact)) = (&known.resolved, known.artifact) else { return Ok(None) };
            // Another spec may since have written another artifact under this key: that one is not ours.
            known.record = Some(self.store.records().get(key)?.filter(|record| record.tree.digest() == artifact));
        }
        Ok(known.record.as_ref().and_then(Option::as_ref))
    }

    fn why(&self, idx: usize) -> Result<RunReason, StoreError> {
        let Some(last) = &self.last_stages[idx] else { return Ok(RunReason::New) };
        let (manifest, _) = self.stages[idx].resolved.as_ref().expect("a decision follows the manifest");
        Ok(match self.store.records().get(&last.key)? {
            Some(record) => RunReason::Changed { changes: manifest.changes_since(&record.manifest) },
            None => RunReason::New,
        })
    }
}

impl Known {
    fn new(node: &Node, sources: Sources, forced: bool) -> Self {
        let mut base = Manifest::new(node.stage.kind(), node.stage.version());
        for (name, json) in node.stage.params() {
            base.param(&name, &json);
        }
        Self { base, sources, forced, resolved: None, artifact: None, recorded_ns: 0, record: None, bytes: None }
    }

    fn forget_result(&mut self) {
        self.artifact = None;
        self.recorded_ns = 0;
        self.record = None;
        self.bytes = None;
    }
}

/// The file or folder with this name, or the names that the artifact has instead.
pub(crate) fn part(tree: &Tree, file: &str) -> Result<Part, Vec<String>> {
    tree.part(file).ok_or_else(|| tree.files.keys().cloned().collect())
}
