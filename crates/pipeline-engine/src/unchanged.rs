//! Runs in which nothing has changed: answered from what the last run saw, without the spec and without a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use pipeline_core::{Digest, Event, EventRecord, Metrics, Outcome, Part, RemoteCounts, StageId};
use pipeline_store::{Circumstances, Last, Place, RemoteLink, Snapshot, Store, StoreError};

use crate::decision::Decision;
use crate::error::EngineError;
use crate::journal::Journal;
use crate::options::{RunOptions, SpecInfo};
use crate::results::RunSummary;
use crate::schedule::Phase;
use crate::stage_state::StageState;
use crate::state::State;

/// Repeats the last run of the spec at the path `spec` if it left everything up to date and nothing has changed since:
/// reports its stages as reused. `None` when only a plan can decide.
///
/// `is_now` returns whether these are the present circumstances. Everything that the snapshot leaves open counts as
/// changed. So the answer is that of [`run`](crate::run), only sooner: it checks only the times of files.
///
/// # Errors
/// When the history of the run cannot be written.
pub fn run_unchanged(
    store: &Store,
    spec: &Path,
    options: &RunOptions,
    is_now: &dyn Fn(&Circumstances) -> bool,
    listen: &mut dyn FnMut(&EventRecord),
) -> Result<Option<RunSummary>, EngineError> {
    let began = Instant::now();
    if !options.plan.forced.is_empty() || options.plan.arithmetic.is_exclusive {
        return Ok(None);
    }
    // A run must upload what an earlier one has left.
    if store.remote().map_or(Ok(false), RemoteLink::has_unpushed)? {
        return Ok(None);
    }
    let Some((snapshot, last)) = unchanged(store, spec, is_now) else { return Ok(None) };
    // A run whose spec is lost or was changed since cannot be repeated; this needs a new plan.
    let Ok(Some(yaml)) = store.runs().spec(&snapshot.run) else { return Ok(None) };
    store.specs().use_last(spec);
    let mut journal = Journal::start(store, &snapshot.spec_name, &yaml, &[], options, listen)?;
    let ids: Vec<StageId> = snapshot.graph.iter().map(|node| node.stage.clone()).collect();
    journal.emit(journal.run_started(&snapshot.spec_name, snapshot.graph, options));
    let mut metrics = BTreeMap::new();
    let mut stages = last.stages;
    let n_reused = ids.len();
    for id in ids {
        let stage = stages.remove(&id).expect("the last run has all stages of its snapshot");
        if !stage.report.metrics.is_empty() {
            metrics.insert(id.clone(), stage.report.metrics.clone());
        }
        let (key, artifact, report) = (stage.key, stage.artifact, stage.report);
        journal.emit(Event::StageReused { stage: id, key, artifact, report });
    }
    let written = journal.write_metrics(&metrics).and_then(|()| store.sources().flush());
    let remote = store.remote().map(RemoteLink::counts);
    let summary = finish(&mut journal, n_reused, remote, began.elapsed().as_secs_f64(), metrics);
    written.and(journal.finish())?;
    Ok(Some(summary))
}

fn finish(
    journal: &mut Journal<'_>,
    n_reused: usize,
    remote: Option<RemoteCounts>,
    seconds: f64,
    metrics: BTreeMap<StageId, Metrics>,
) -> RunSummary {
    journal.emit(Event::RunFinished { outcome: Outcome::Done, seconds, metrics: metrics.clone(), remote });
    RunSummary {
        run: journal.run().clone(),
        folder: journal.folder().to_owned(),
        outcome: Outcome::Done,
        seconds,
        n_ran: 0,
        n_reused,
        failed: Vec::new(),
        skipped: Vec::new(),
        has_bug: false,
        metrics,
        remote,
    }
}

/// The snapshot of the spec's last run with the results of its stages, if nothing in it has changed.
fn unchanged(store: &Store, spec: &Path, is_now: &dyn Fn(&Circumstances) -> bool) -> Option<(Snapshot, Last)> {
    thread::scope(|scope| {
        let last = scope.spawn(|| store.specs().last(spec).filter(|last| last.has_records(store.records())));
        let snapshot = store.specs().snapshot(spec).filter(|snapshot| is_now(&snapshot.circumstances))?;
        let is_as_seen = snapshot.is_as_seen(store.sources());
        let last = last.join().ok()??;
        // A later run of the spec, as it was in between, may have left its stages with other results.
        let is_of_this_run =
            last.run == snapshot.run && snapshot.graph.iter().all(|node| last.stages.contains_key(&node.stage));
        (is_as_seen && is_of_this_run).then_some((snapshot, last))
    })
}

impl State<'_, '_> {
    /// Remembers the snapshot of this run, if it leaves everything up to date.
    pub fn put_snapshot(&mut self, store: &Store, spec: &SpecInfo) -> Result<(), StoreError> {
        let is_up_to_date = |(idx, stage): (usize, &StageState)| {
            matches!(stage.decision, Decision::Reuse { .. }) && self.schedule.phase(idx) == Phase::Settled
        };
        let is_complete = self.unpublished.is_empty() && self.stages.iter().enumerate().all(is_up_to_date);
        let (Some(circumstances), true) = (&spec.circumstances, is_complete) else { return Ok(()) };
        if self.has_left_bytes()? {
            return Ok(());
        }
        let nodes = self.resolver.graph.nodes();
        // Stages with one model examine the same places.
        let places: BTreeSet<PathBuf> = nodes.iter().flat_map(|node| node.stage.places()).collect();
        let Some(places) = Place::look_at(places.into_iter().collect()) else { return Ok(()) };
        let Some(contents) = self.contents(spec)? else { return Ok(()) };
        let snapshot = Snapshot {
            run: self.journal.run().clone(),
            spec_name: spec.name.clone(),
            circumstances: circumstances.clone(),
            graph: self.resolver.graph.stage_nodes(),
            contents,
            places,
        };
        store.specs().put_snapshot(&spec.path, &snapshot)
    }

    /// The files that this run has read or published, and their digests; `None` when those of a stage are unknown.
    fn contents(&mut self, spec: &SpecInfo) -> Result<Option<Vec<(PathBuf, Digest)>>, StoreError> {
        let mut contents = spec.files.clone();
        let graph = self.resolver.graph;
        for (idx, node) in graph.nodes().iter().enumerate() {
            contents
                .extend(self.resolver.sources(idx).list().iter().map(|source| (source.path.clone(), source.digest)));
            if node.publish.is_empty() {
                continue;
            }
            let Some(parts) = self.resolver.published(idx)? else { return Ok(None) };
            for (file, path) in &node.publish {
                // For a program or a folder more than a digest must match.
                let Some(Part::File(entry)) = parts.get(file).filter(|part| !is_program(part)) else { return Ok(None) };
                contents.push((path.clone(), entry.digest));
            }
        }
        // Several stages may read one file.
        contents.sort_unstable();
        contents.dedup();
        Ok(Some(contents))
    }
}

fn is_program(part: &Part) -> bool {
    matches!(part, Part::File(entry) if entry.executable)
}
