//! The current metrics: of stages that are up to date, with digests of the data that they were measured on.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{Key, StageId};
use pipeline_data::ResultsOf;
use pipeline_engine::{Decision, Graph, Plan};
use pipeline_eval::MetricName;
use pipeline_spec::meant;
use pipeline_store::Store;

use super::GateError;
use super::baseline::{BestRanks, Measured};
use crate::causes::in_one_line;
use crate::lineage::Lineage;

/// The measurements of all stages of a spec.
pub struct Measurements {
    current: BTreeMap<StageId, Measured>,
    keys: BTreeMap<StageId, Key>,
    stale: BTreeSet<StageId>,
}

/// A requested metric.
pub struct Metric<'a> {
    /// The stage that measures it.
    pub stage: &'a StageId,
    /// All measurements of the stage.
    pub measured: &'a Measured,
    /// Its name, without the stage.
    pub name: MetricName,
    /// Its value.
    pub value: f64,
}

impl Measurements {
    /// Collects the measurements of stages that are up to date in `plan`.
    pub fn of(graph: &Graph, plan: &Plan) -> Self {
        let lineage = Lineage::of_plan(graph, plan);
        let mut measurements = Self { current: BTreeMap::new(), keys: BTreeMap::new(), stale: BTreeSet::new() };
        for stage in &plan.stages {
            match &stage.decision {
                Decision::Reuse { key, artifact, report } => {
                    let measured = Measured {
                        artifact: *artifact,
                        queries: lineage.data(&stage.id, "queries"),
                        pool: lineage.data(&stage.id, "images"),
                        metrics: report.metrics.clone(),
                        per_query: None,
                        per_image: None,
                    };
                    measurements.current.insert(stage.id.clone(), measured);
                    measurements.keys.insert(stage.id.clone(), *key);
                }
                Decision::Run { .. } | Decision::Depends { .. } | Decision::MayBeDemanded { .. } => {
                    measurements.stale.insert(stage.id.clone());
                }
            }
        }
        measurements
    }

    /// The measurements of a stage, with the best ranks of its queries and images from its artifact, if it has them.
    /// The inner error says why they are missing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn with_ranks(&self, stage: &StageId, store: &Store) -> Result<Result<Measured, String>, GateError> {
        let mut measured = self.current[stage].clone();
        let Some(record) = store.records().get(&self.keys[stage])? else {
            return Ok(Err("unmeasured: its record is gone".to_owned()));
        };
        let open = match store.cas().open(&record.tree) {
            Ok(open) => open,
            Err(error) => {
                return Ok(Err(format!("unmeasured: the results are not there: {}", in_one_line(&error))));
            }
        };
        let read = |of: ResultsOf| {
            let results = pipeline_stages::read_results(open.folder(), of)?;
            Ok::<_, GateError>(results.as_ref().map(BestRanks::of))
        };
        measured.per_query = read(ResultsOf::Queries)?;
        measured.per_image = read(ResultsOf::Images)?;
        Ok(Ok(measured))
    }

    /// Finds a metric by `NAME` or `STAGE.NAME`; the inner error says why it is not measured. `usual` is the stage that
    /// had a metric of that name in the baseline.
    ///
    /// # Errors
    /// When several stages have a metric of that name.
    pub fn find(&self, metric: &str, usual: Option<&StageId>) -> Result<Result<Metric<'_>, String>, GateError> {
        let (stage, name) = match self.named_stage(metric) {
            Some((stage, name)) => (Some(stage), name),
            None => (usual.cloned(), metric),
        };
        let stage = match stage {
            Some(stage) => stage,
            None => match self.only_stage_with(name)? {
                Some(stage) => stage,
                None => return Ok(Err(self.nobody_has(name))),
            },
        };
        Ok(self.value_of(&stage, name))
    }

    /// Splits `STAGE.NAME`; stage names may contain dots, metrics do not.
    fn named_stage<'m>(&self, metric: &'m str) -> Option<(StageId, &'m str)> {
        let (stage, name) = metric.rsplit_once('.')?;
        let stage: StageId = stage.parse().ok()?;
        (self.current.contains_key(&stage) || self.stale.contains(&stage)).then_some((stage, name))
    }

    fn only_stage_with(&self, name: &str) -> Result<Option<StageId>, GateError> {
        let having = self.current.iter().filter(|(_, measured)| measured.metrics.contains_key(name));
        let stages: Vec<_> = having.map(|(stage, _)| stage).collect();
        match stages.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some((*only).clone())),
            several => {
                let stages = several.iter().map(|stage| (*stage).clone()).collect();
                Err(GateError::SeveralStages { metric: name.to_owned(), stages })
            }
        }
    }

    /// The metrics that a name may mean, where no stage has it and all are up to date.
    pub fn meant(&self, metric: &str) -> Vec<String> {
        let known = || self.current.values().flat_map(|measured| measured.metrics.keys().map(String::as_str));
        let name = metric.rsplit('.').next().unwrap_or(metric);
        let is_unknown = self.stale.is_empty() && known().all(|known| known != name);
        let names: BTreeSet<&str> = known().collect();
        let meant = if is_unknown { meant(name, names.iter().copied()) } else { Vec::new() };
        meant.into_iter().map(str::to_owned).collect()
    }

    /// All metrics of all stages, if all are up to date: then no run can bring others.
    pub fn all_names(&self) -> Option<BTreeSet<&str>> {
        let names = self.current.values().flat_map(|measured| measured.metrics.keys().map(String::as_str));
        self.stale.is_empty().then(|| names.collect())
    }

    fn nobody_has(&self, name: &str) -> String {
        let stale: Vec<_> = self.stale.iter().map(|stage| format!("`{stage}`")).collect();
        match stale.as_slice() {
            [] => format!("unmeasured: no stage has a metric `{name}`"),
            [only] => format!("unmeasured: {only} is not up to date"),
            several => format!("unmeasured: {} stages are not up to date", several.len()),
        }
    }

    fn value_of(&self, stage: &StageId, name: &str) -> Result<Metric<'_>, String> {
        let Some((stage, measured)) = self.current.get_key_value(stage) else {
            return Err(format!("unmeasured: `{stage}` is not up to date"));
        };
        match measured.metrics.get(name) {
            Some(value) if value.is_finite() => Ok(Metric { stage, measured, name: name.into(), value: *value }),
            Some(value) => Err(format!("unmeasured: `{stage}` reports {value}")),
            None => Err(format!("unmeasured: `{stage}` has no metric `{name}`")),
        }
    }
}
