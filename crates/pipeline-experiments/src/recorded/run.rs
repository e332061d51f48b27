//! A recorded run, or one point of a recorded sweep, read once for every purpose.

use std::collections::BTreeMap;

use pipeline_core::{ArtifactDigest, Key, Manifest, Metrics, StageId, Tree};
use pipeline_store::{Record, RunInfo, Store, StoreError};

use super::log::{LoggedStage, RunLog};
use super::{RecordedError, complete, find_run};
use crate::lineage::{Lineage, Origin};
use crate::sweep::{PointRecord, SweepRecord};

/// A recorded run with the records of its stages' keys.
#[derive(Debug, Clone)]
pub struct RecordedRun {
    /// Its line in the list of runs.
    pub info: RunInfo,
    /// The point of its sweep; `None` for the run as a whole.
    pub point: Option<PointRecord>,
    /// Its events, folded. Stages have their names in the spec; those of a sweep as a whole have their names in its
    /// graph.
    pub log: RunLog,
    records: BTreeMap<Key, Record>,
}

/// The result of a stage of a recorded run.
#[derive(Debug, Clone, Copy)]
pub struct StageResult<'a> {
    /// The key.
    pub key: Key,
    /// The artifact of the key.
    pub artifact: ArtifactDigest,
    /// The metrics of the stage.
    pub metrics: &'a Metrics,
    /// The record of the key; `None` once `cache gc` has removed it.
    pub record: Option<&'a Record>,
}

impl<'a> StageResult<'a> {
    /// Everything that determines the result, if the store still has it.
    pub fn manifest(&self) -> Option<&'a Manifest> {
        self.record.map(|record| &record.manifest)
    }

    /// The files of the artifact, if the store still has them: the key may have given others since.
    pub fn tree(&self) -> Option<&'a Tree> {
        self.record.map(|record| &record.tree).filter(|tree| tree.digest() == self.artifact)
    }
}

impl RecordedRun {
    /// Reads a run and the records of its stages.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(store: &Store, info: RunInfo) -> Result<Self, StoreError> {
        let log = complete::read_log(store, &info.id)?;
        let mut records = BTreeMap::new();
        for key in log.stages().iter().filter_map(|stage| stage.key) {
            records.extend(store.records().get(&key)?.map(|record| (key, record)));
        }
        Ok(Self { info, point: None, log, records })
    }

    /// Reads the run `name` among `runs`, the runs of the store: `RUN`, or for a sweep `RUN:POINT`.
    ///
    /// # Errors
    /// When there is no such run or point, or the store cannot be read.
    pub fn find(store: &Store, runs: &[RunInfo], name: &str) -> Result<Self, RecordedError> {
        match split(name) {
            Some((run, point)) => Self::read(store, find_run(runs, run)?.clone())?.at_named(store, point),
            None => Ok(Self::read(store, find_run(runs, name)?.clone())?),
        }
    }

    /// The point with this name in a sweep.
    ///
    /// # Errors
    /// When there is no such point, or the store cannot be read.
    pub fn at_named(&self, store: &Store, name: &str) -> Result<Self, RecordedError> {
        let id = &self.info.id;
        let sweep = SweepRecord::of_run(store, id)?.ok_or_else(|| RecordedError::NoSweep { run: id.clone() })?;
        let n_points = sweep.points.len();
        let number: Option<usize> = name.parse().ok();
        let point = sweep.points.into_iter().find(|point| Some(point.point) == number);
        match point {
            Some(point) => Ok(self.at(point)),
            None => Err(RecordedError::NoPoint { run: id.clone(), point: name.to_owned(), n_points }),
        }
    }

    /// A point of a sweep.
    pub fn at(&self, point: PointRecord) -> Self {
        let own_by_copy: BTreeMap<&StageId, &StageId> = point.stages.iter().map(|(own, copy)| (copy, own)).collect();
        let renamed = |stage: &LoggedStage| {
            let id = (*own_by_copy.get(&stage.id)?).clone();
            let own = |copy: &StageId| own_by_copy.get(copy).map_or_else(|| copy.clone(), |own| (*own).clone());
            let inputs = stage.inputs.iter().map(|(slot, from)| (slot.clone(), own(from))).collect();
            Some(LoggedStage { id, inputs, ..stage.clone() })
        };
        let stages: Vec<LoggedStage> = self.log.stages().iter().filter_map(renamed).collect();
        let records = stages.iter().filter_map(|stage| stage.key);
        let records = records.filter_map(|key| Some((key, self.records.get(&key)?.clone()))).collect();
        // The run has the metrics of all points: copying them for each point would take quadratic time.
        let info = self.info.without_metrics();
        Self { info, log: self.log.with_stages(stages), records, point: Some(point) }
    }

    /// The name of these results: `RUN`, or `RUN:POINT`.
    pub fn name(&self) -> String {
        match &self.point {
            Some(point) => format!("{}:{}", self.info.id, point.point),
            None => self.info.id.to_string(),
        }
    }

    /// The result of a stage; `None` for one without a result.
    pub fn result(&self, stage: &StageId) -> Option<StageResult<'_>> {
        self.result_of(self.log.stage(stage)?)
    }

    /// The results of the stages that have one, by name.
    pub fn results(&self) -> BTreeMap<&StageId, StageResult<'_>> {
        let stages = self.log.stages().iter();
        stages.filter_map(|stage| Some((&stage.id, self.result_of(stage)?))).collect()
    }

    /// The record of a stage's key; `None` once `cache gc` has removed it.
    pub fn record(&self, stage: &LoggedStage) -> Option<&Record> {
        self.records.get(&stage.key?)
    }

    /// The origin of its stages' data.
    pub fn lineage(&self) -> Lineage<'_> {
        let stages = self.log.stages().iter().map(|stage| {
            let (artifact, record) = (stage.artifact, self.record(stage));
            let manifest = artifact.and(record).map(|record| &record.manifest);
            (&stage.id, Origin { inputs: &stage.inputs, manifest, artifact })
        });
        stages.collect()
    }

    fn result_of<'a>(&'a self, stage: &'a LoggedStage) -> Option<StageResult<'a>> {
        let (artifact, report) = (stage.artifact?, stage.report.as_ref()?);
        Some(StageResult { key: stage.key?, artifact, metrics: &report.metrics, record: self.record(stage) })
    }
}

/// Splits `RUN:POINT`; ids of runs contain no colon.
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(':')
}
