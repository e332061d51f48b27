//! Reads the log of a recorded run, and completes one of an earlier version from the spec beside it.

use std::collections::BTreeMap;

use pipeline_core::{Event, EventRecord, RunId, StageId};
use pipeline_spec::PipelineSpec;
use pipeline_store::{Store, StoreError};

use super::log::RunLog;
use crate::sweep::SweepRecord;

/// Reads the log of a run.
///
/// # Errors
/// When the store cannot be read, or the run was changed after it ended.
pub fn read_log(store: &Store, run: &RunId) -> Result<RunLog, StoreError> {
    log_of(store, run, &store.runs().events(run)?)
}

/// The log of a run with known events.
///
/// # Errors
/// When the store cannot be read, or the run was changed after it ended.
pub fn log_of(store: &Store, run: &RunId, events: &[EventRecord]) -> Result<RunLog, StoreError> {
    let mut log = RunLog::of(events.iter().map(|record| &record.event));
    let nodes = events.iter().flat_map(|record| match &record.event {
        Event::RunStarted { graph, .. } => graph.as_slice(),
        _ => &[],
    });
    nodes.for_each(|node| log.stage_mut(&node.stage).inputs.clone_from(&node.inputs));
    complete(&mut log, store, run)?;
    Ok(log)
}

/// Adds kinds and inputs to a log whose first event lacks them, as far as the recorded spec can be read.
///
/// # Errors
/// When the store cannot be read.
pub fn complete(log: &mut RunLog, store: &Store, run: &RunId) -> Result<(), StoreError> {
    // An event of a later version has the kinds of all stages; in an older log only stages that ran have theirs.
    if log.has_graph {
        return Ok(());
    }
    let Some(spec) = recorded_spec(store, run)? else { return Ok(()) };
    match SweepRecord::of_run(store, run)? {
        Some(sweep) => sweep.points.iter().for_each(|point| add(log, &spec, &|own| point.stages.get(own).cloned())),
        None => add(log, &spec, &|own| Some(own.clone())),
    }
    Ok(())
}

/// Adds the stages of the spec under their names in the log.
fn add(log: &mut RunLog, spec: &PipelineSpec, logged: &dyn Fn(&StageId) -> Option<StageId>) {
    for stage in &spec.stages {
        let Some(id) = logged(&stage.id).filter(|id| log.stage(id).is_some()) else { continue };
        let inputs = stage.inputs.iter().filter_map(|(slot, from)| Some((slot.value.clone(), logged(&from.value)?)));
        let inputs: BTreeMap<_, _> = inputs.collect();
        let logged = log.stage_mut(&id);
        (logged.kind, logged.inputs) = (stage.kind.value.clone(), inputs);
    }
}

/// The recorded spec of a run; `None` when this program can no longer read it.
///
/// # Errors
/// When the store cannot be read.
pub fn recorded_spec(store: &Store, run: &RunId) -> Result<Option<PipelineSpec>, StoreError> {
    let yaml = store.runs().spec(run)?;
    Ok(yaml.and_then(|yaml| pipeline_spec::parse(&yaml, "spec.yaml".as_ref()).ok()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipeline_core::{Device, Digest, Key, Outcome, RunReason, StageNode, StageReport};

    use super::*;
    use crate::recorded::{Fate, Remark};
    use pipeline_store::RunOrigin;

    const SPEC: &str = "stages:\n  a: { kind: load-queries }\n  b: { kind: extract-text, inputs: { queries: a } }\n";

    fn id(name: &str) -> StageId {
        name.parse().unwrap()
    }

    fn graph() -> Vec<StageNode> {
        let inputs = BTreeMap::from([("queries".to_owned(), id("a"))]);
        vec![
            StageNode { stage: id("a"), kind: "load-queries".into(), inputs: BTreeMap::new() },
            StageNode { stage: id("b"), kind: "extract-text".into(), inputs },
        ]
    }

    /// Records a run in which `a` is reused and `b` fails.
    fn record(store: &Store, graph: Vec<StageNode>) -> RunId {
        let mut folder = store.runs().start(5, "demo", &RunOrigin::default()).unwrap();
        folder.write_spec(SPEC).unwrap();
        let run = folder.id().clone();
        let (key, artifact) = (Key(Digest::of(b"key")), Digest::of(b"artifact"));
        let started = Event::RunStarted {
            run: run.clone(),
            spec: "demo".into(),
            stages: vec![id("a"), id("b")],
            graph,
            version: "0.1.0".into(),
            device: Device::Cpu,
            cards: Vec::new(),
            n_jobs: 1,
            n_threads: 2,
        };
        let events = [
            started,
            Event::StageReused { stage: id("a"), key, artifact, report: StageReport::default() },
            Event::StageStarted { stage: id("b"), kind: "extract-text".into(), key, why: RunReason::New },
            Event::StageFailed { stage: id("b"), errors: vec!["disk full".into()], help: None, seconds: 1.0 },
            Event::RunFinished { outcome: Outcome::Failed, seconds: 2.0, metrics: BTreeMap::new(), remote: None },
        ];
        for event in events {
            folder.append_event(&EventRecord { at_ms: 5, event }).unwrap();
        }
        run
    }

    fn read(folder: &Path, graph: Vec<StageNode>) -> RunLog {
        let store = Store::open(folder).unwrap();
        let run = record(&store, graph);
        read_log(&store, &run).unwrap()
    }

    #[test]
    fn a_log_of_an_older_version_is_completed_by_its_spec() {
        let folder = tempfile::tempdir().unwrap();
        for graph in [graph(), Vec::new()] {
            let log = read(folder.path(), graph);
            let kinds: Vec<_> = log.stages().iter().map(|stage| (stage.id.as_str(), stage.kind.as_str())).collect();
            assert_eq!(kinds, [("a", "load-queries"), ("b", "extract-text")]);
            assert_eq!(log.stage(&id("b")).unwrap().inputs["queries"], id("a"));
        }
    }

    #[test]
    fn a_log_says_what_became_of_each_stage() {
        let folder = tempfile::tempdir().unwrap();
        let log = read(folder.path(), graph());
        assert_eq!((log.n_stages, log.n_reused, log.n_ran, log.failures.len()), (2, 1, 0, 1));
        let failed = log.stage(&id("b")).unwrap();
        assert_eq!((failed.fate, failed.artifact), (Fate::Failed, None));
        let errors = Remark::Errors(vec!["disk full".to_owned()]);
        assert_eq!(failed.remarks, [Remark::Reason(RunReason::New), errors]);
        assert_eq!(log.stage(&id("a")).unwrap().fate, Fate::Reused);
    }
}
