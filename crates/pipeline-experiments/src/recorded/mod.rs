//! What a recorded run, or one point of a recorded sweep, has come to: named `RUN`, `last` or `RUN:POINT`.

mod find;
mod log;

use std::collections::BTreeMap;

use pipeline_core::{ArtifactDigest, Event, Key, Manifest, Metrics, StageId, Tree};
use pipeline_store::{Record, RunInfo, Store};

pub use find::{RecordedError, find_run};
pub use log::{FailedStage, RunLog};

use crate::sweep::{PointRecord, SweepRecord};

/// The stages of a run that came to a result.
#[derive(Debug, Clone)]
pub struct RunResults {
    /// The run.
    pub run: RunInfo,
    /// The point of its sweep; none for the run as a whole.
    pub point: Option<PointRecord>,
    /// What its stages came to, by their names in the spec; for a sweep as a whole by their names in its graph.
    pub stages: BTreeMap<StageId, StageResult>,
}

/// What a stage came to.
#[derive(Debug, Clone, PartialEq)]
pub struct StageResult {
    /// The key.
    pub key: Key,
    /// The artifact that the key gave.
    pub artifact: ArtifactDigest,
    /// What the stage has measured.
    pub metrics: Metrics,
    /// What the store remembers of the key; none once `cache gc` has forgotten it.
    pub record: Option<Record>,
}

impl StageResult {
    /// Everything that could change the result, if it is remembered.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.record.as_ref().map(|record| &record.manifest)
    }

    /// The files of the artifact, if they are remembered: the key may have given others since.
    pub fn tree(&self) -> Option<&Tree> {
        self.record.as_ref().map(|record| &record.tree).filter(|tree| tree.digest() == self.artifact)
    }
}

impl RunResults {
    /// The results that `name` names among `runs`, the runs of the store.
    ///
    /// # Errors
    /// When there is no such run or point, or the store cannot be read.
    pub fn find(store: &Store, runs: &[RunInfo], name: &str) -> Result<Self, RecordedError> {
        match split(name) {
            Some((run, point)) => Self::of(store, find_run(runs, run)?.clone(), Some(point)),
            None => Self::of(store, find_run(runs, name)?.clone(), None),
        }
    }

    /// The results of a run, or of a point of it.
    ///
    /// # Errors
    /// When there is no such point, or the store cannot be read.
    pub fn of(store: &Store, run: RunInfo, point: Option<&str>) -> Result<Self, RecordedError> {
        let all = stages(store, &run)?;
        let whole = Self { run, point: None, stages: all };
        let Some(point) = point else { return Ok(whole) };
        Ok(whole.at(find_point(store, &whole.run, point)?))
    }

    /// Of the results of a whole sweep those of a point.
    pub fn at(&self, point: PointRecord) -> Self {
        let own = point.stages.iter().filter_map(|(stage, copy)| Some((stage.clone(), self.stages.get(copy)?.clone())));
        // The run knows the metrics of all points: to copy them for each would take the square of their number.
        let RunInfo { id, spec, state, pinned, seconds, started_ms, problem, number, metrics: _ } = &self.run;
        let (id, spec, metrics) = (id.clone(), spec.clone(), BTreeMap::new());
        let (state, pinned, problem) = (*state, *pinned, problem.clone());
        let (seconds, started_ms, number) = (*seconds, *started_ms, *number);
        let run = RunInfo { id, spec, state, pinned, metrics, seconds, started_ms, problem, number };
        Self { stages: own.collect(), run, point: Some(point) }
    }

    /// The name in the spec of a stage of the run; none for a stage of another point.
    pub fn name_in_spec(&self, stage: &StageId) -> Option<StageId> {
        let Some(point) = &self.point else { return Some(stage.clone()) };
        let (own, _) = point.stages.iter().find(|(_, copy)| *copy == stage)?;
        Some(own.clone())
    }

    /// What names these results: `RUN`, or `RUN:POINT`.
    pub fn name(&self) -> String {
        match &self.point {
            Some(point) => format!("{}:{}", self.run.id, point.point),
            None => self.run.id.to_string(),
        }
    }
}

/// Splits `RUN:POINT`; ids of runs have no colon.
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(':')
}

fn find_point(store: &Store, run: &RunInfo, name: &str) -> Result<PointRecord, RecordedError> {
    let Some(sweep) = SweepRecord::of_run(store, &run.id)? else {
        return Err(RecordedError::NoSweep { run: run.id.clone() });
    };
    let n_points = sweep.points.len();
    let point =
        name.parse().ok().and_then(|number: usize| sweep.points.into_iter().find(|point| point.point == number));
    point.ok_or_else(|| RecordedError::NoPoint { run: run.id.clone(), point: name.to_owned(), n_points })
}

/// What the stages of a run came to, by the names that its events have for them.
fn stages(store: &Store, run: &RunInfo) -> Result<BTreeMap<StageId, StageResult>, RecordedError> {
    let mut stages = BTreeMap::new();
    for record in store.runs().events(&run.id)? {
        let (stage, key, artifact, report) = match record.event {
            Event::StageReused { stage, key, artifact, report } => (stage, key, artifact, report),
            Event::StageFinished { stage, key, artifact, report, .. } => (stage, key, artifact, report),
            Event::StageFailed { stage, .. } => {
                stages.remove(&stage);
                continue;
            }
            _ => continue,
        };
        let record = store.records().get(&key)?;
        stages.insert(stage, StageResult { key, artifact, metrics: report.metrics, record });
    }
    Ok(stages)
}
