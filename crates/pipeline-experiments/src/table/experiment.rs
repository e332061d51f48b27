//! An experiment: a recorded run with its params and its metrics.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{Metrics, StageId};
use pipeline_spec::{PipelineSpec, Value as Node};
use pipeline_store::{RunInfo, RunState, Store};
use serde_json::Value;

use crate::recorded::{read_log, recorded_spec};
use crate::sweep::{Results, SweepRecord, to_json};

/// A recorded run with its params and its metrics.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Its line in the list of runs.
    pub info: RunInfo,
    /// The params by `STAGE.params.NAME`; of a sweep those that it varies are the lists of their values. Empty when
    /// this program cannot read the recorded spec.
    pub params: BTreeMap<String, Value>,
    /// The metrics by stage; of a sweep those of its best point.
    pub metrics: BTreeMap<StageId, Metrics>,
    /// The number of points; `None` for a run that is not a sweep.
    pub n_points: Option<usize>,
    /// The number of rungs that it has begun, and that of all rungs; `None` without rungs.
    pub rungs: Option<(usize, usize)>,
    stages: BTreeSet<StageId>,
}

impl Experiment {
    /// Reads the params and metrics of these runs, in their order.
    pub fn read_all(store: &Store, runs: Vec<RunInfo>) -> Vec<Self> {
        runs.into_iter().map(|info| Self::read(store, info)).collect()
    }

    /// Reads the params and metrics of a run. Leaves out those that cannot be read: its state says why.
    pub fn read(store: &Store, info: RunInfo) -> Self {
        let metrics = info.metrics.clone();
        let mut experiment =
            Self { info, params: BTreeMap::new(), metrics, n_points: None, rungs: None, stages: BTreeSet::new() };
        if experiment.info.state == RunState::Damaged {
            return experiment;
        }
        if let Ok(Some(spec)) = recorded_spec(store, &experiment.info.id) {
            experiment.params = params_of(&spec);
            experiment.stages = spec.stages.iter().map(|stage| stage.id.clone()).collect();
        }
        if let Ok(Some(sweep)) = SweepRecord::of_run(store, &experiment.info.id) {
            experiment.take_sweep(store, &sweep);
        }
        experiment
    }

    /// The result in one word, such as `ok`.
    pub fn result(&self) -> &'static str {
        match self.info.state {
            RunState::Done if self.info.is_no_op => "no-op",
            RunState::Done => "ok",
            RunState::Failed => "failed",
            RunState::Interrupted => "interrupted",
            RunState::Running => "running",
            RunState::Died => "died",
            RunState::Damaged => "damaged",
        }
    }

    /// True for a run in which nothing ran and that has no name, note, tag or pin.
    pub fn is_idle(&self) -> bool {
        self.info.is_no_op && self.info.labels.is_empty() && !self.info.pinned
    }

    /// The value of METRIC, the highest where several stages have it, or of STAGE.METRIC.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let named = |(stage, metrics): (&StageId, &Metrics)| {
            let own = name.strip_prefix(stage.as_str()).and_then(|rest| rest.strip_prefix('.'));
            own.and_then(|own| metrics.get(own)).or_else(|| metrics.get(name)).copied()
        };
        self.metrics.iter().filter_map(named).reduce(f64::max)
    }

    /// The value of a param as tables show it; `None` where it has its default or its stage is absent.
    pub fn param(&self, key: &str) -> Option<&Value> {
        self.params.get(key)
    }

    /// True if the run has the stage of this param.
    pub(super) fn has_stage_of(&self, key: &str) -> bool {
        let stage = key.rsplit_once(".params.").map_or(key, |(stage, _)| stage);
        self.stages.iter().any(|id| id.as_str() == stage)
    }

    /// True if the run has the metric or the param.
    pub(super) fn has(&self, key: &str) -> bool {
        self.params.contains_key(key) || self.metric(key).is_some()
    }

    /// The keys of its metrics and params.
    pub(super) fn keys(&self) -> Vec<String> {
        let metrics = self.metrics.iter().flat_map(|(stage, metrics)| {
            metrics.keys().flat_map(move |name| [name.clone(), format!("{stage}.{name}")])
        });
        metrics.chain(self.params.keys().cloned()).collect()
    }

    /// Takes the varied params of a sweep, and the metrics of its best point. Without a best point it has none, since
    /// its points may not be comparable.
    fn take_sweep(&mut self, store: &Store, sweep: &SweepRecord) {
        self.n_points = Some(sweep.points.len());
        self.rungs = sweep.halving.as_ref().map(|halving| (halving.n_begun, halving.rungs.len()));
        for axis in &sweep.axes {
            self.params.insert(axis.key.clone(), axis.values.clone().into());
        }
        self.metrics.clear();
        let Ok(log) = read_log(store, &self.info.id) else { return };
        let results = Results::of(sweep, &log);
        let best = results.points.into_iter().find(|point| Some(point.record.point) == results.best);
        self.metrics = best.map(|point| point.metrics).unwrap_or_default();
    }
}

fn params_of(spec: &PipelineSpec) -> BTreeMap<String, Value> {
    let mut params = BTreeMap::new();
    for stage in &spec.stages {
        if let Node::Map(entries) = &stage.params.value {
            let named =
                entries.iter().map(|(name, node)| (format!("{}.params.{}", stage.id, name.value), to_json(node)));
            params.extend(named);
        }
    }
    params
}
