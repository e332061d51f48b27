//! The results of a run: its outcome, its metrics, and the present result of each stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pipeline_core::{FileEntry, Metrics, Outcome, Part, RemoteCounts, RunId, StageId};
use pipeline_store::{LastSources, LastStage, RemoteLink, StoreError};

use crate::Cancel;
use crate::decision::Decision;
use crate::schedule::Phase;
use crate::stage_state::Bytes;
use crate::state::State;

/// The summary of a run.
#[derive(Debug, Clone)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// The run's folder, with its spec, events and metrics.
    pub folder: PathBuf,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time.
    pub seconds: f64,
    /// The number of stages that were computed.
    pub n_ran: usize,
    /// The number of stages whose result was reused.
    pub n_reused: usize,
    /// The failed stages in the order of their failures, then those whose files could not be published.
    pub failed: Vec<StageId>,
    /// The stages that were skipped or interrupted.
    pub skipped: Vec<StageId>,
    /// True when a stage panicked or broke a rule of the engine.
    pub has_bug: bool,
    /// The metrics of all up-to-date stages that have any.
    pub metrics: BTreeMap<StageId, Metrics>,
    /// The traffic with the remote; `None` without one.
    pub remote: Option<RemoteCounts>,
}

impl State<'_, '_> {
    /// The outcome of the run.
    pub fn outcome(&self, cancel: &Cancel) -> Outcome {
        let is_complete = self.settled().count() == self.stages.len() && self.unpublished.is_empty();
        match (is_complete, cancel.is_cancelled()) {
            (true, _) => Outcome::Done,
            (false, true) => Outcome::Interrupted,
            (false, false) => Outcome::Failed,
        }
    }

    /// The metrics of the up-to-date stages that have any.
    pub fn metrics(&self) -> BTreeMap<StageId, Metrics> {
        let settled = self.settled().filter_map(|idx| match &self.stages[idx].decision {
            Decision::Reuse { report, .. } if !report.metrics.is_empty() => {
                Some((self.id(idx), report.metrics.clone()))
            }
            _ => None,
        });
        settled.collect()
    }

    /// The present results of the stages; those that are not up to date keep their last result for comparisons.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_stages(&mut self) -> Result<BTreeMap<StageId, LastStage>, StoreError> {
        let mut stages = BTreeMap::new();
        for idx in 0..self.stages.len() {
            let last = match &self.stages[idx].decision {
                Decision::Reuse { key, artifact, report } if self.schedule.phase(idx) == Phase::Settled => {
                    let (key, artifact, report) = (*key, *artifact, report.clone());
                    let has_published = !self.resolver.graph.nodes()[idx].publish.is_empty();
                    let published = if has_published { self.resolver.published(idx)? } else { None };
                    let (seconds, published) = (self.resolver.seconds(idx), files_of(published.unwrap_or_default()));
                    let recorded_ns = self.resolver.recorded_ns(idx);
                    let dropped = self.stages[idx].bytes == Bytes::Dropped;
                    Some(LastStage { key, artifact, seconds, recorded_ns, dropped, report, published })
                }
                _ => self.resolver.last_stage(idx).cloned(),
            };
            stages.extend(last.map(|last| (self.id(idx), last)));
        }
        Ok(stages)
    }

    /// The present sources of the stages, as an update of the `last` ones. Stages that are not up to date, or whose
    /// sources are missing, keep the remembered ones, as do those that are left out.
    pub fn last_sources(
        &self,
        mut last: BTreeMap<StageId, LastSources>,
        left_out: &BTreeSet<StageId>,
    ) -> BTreeMap<StageId, LastSources> {
        last.retain(|id, _| self.resolver.graph.position(id).is_some() || left_out.contains(id));
        for idx in self.settled().filter(|&idx| self.resolver.sources(idx).missing.is_none()) {
            let remembered = self.resolver.sources(idx).to_remember(&self.resolver.graph.nodes()[idx]);
            if remembered.sources.is_empty() {
                last.remove(&self.id(idx));
            } else {
                last.insert(self.id(idx), remembered);
            }
        }
        last
    }

    /// The summary for the caller.
    pub fn summary(&self, outcome: Outcome, seconds: f64, metrics: BTreeMap<StageId, Metrics>) -> RunSummary {
        let skipped = self.schedule.of(Phase::Skipped);
        RunSummary {
            run: self.journal.run().clone(),
            folder: self.journal.folder().to_owned(),
            outcome,
            seconds,
            n_ran: self.stages.iter().filter(|stage| stage.has_run).count(),
            n_reused: self.settled().filter(|&idx| !self.stages[idx].has_run).count(),
            failed: self.failed.iter().chain(&self.unpublished).map(|&idx| self.id(idx)).collect(),
            skipped: skipped.map(|idx| self.id(idx)).collect(),
            has_bug: self.has_bug,
            metrics,
            remote: self.resolver.store.remote().map(RemoteLink::counts),
        }
    }

    fn settled(&self) -> impl Iterator<Item = usize> {
        self.schedule.of(Phase::Settled)
    }
}

/// The files among the published parts: folders are compared with their record.
fn files_of(parts: BTreeMap<String, Part>) -> BTreeMap<String, FileEntry> {
    let file = |(name, part)| match part {
        Part::File(entry) => Some((name, entry)),
        Part::Folder(_) => None,
    };
    parts.into_iter().filter_map(file).collect()
}
