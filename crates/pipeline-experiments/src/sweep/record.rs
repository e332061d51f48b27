//! `sweep.json`: the points of a sweep and their stages in its graph; kept with the run from its start.
//!
//! `{version, axes: [{key, name, values, range?}], evaluations: [STAGE], points: [{point, overrides: {KEY: VALUE},
//! stages: {STAGE: STAGE OF THE GRAPH}, rungs?: [STAGE OF THE GRAPH], failed?: [STAGE]}], halving?: {resource, rungs:
//! [VALUE], factor, stage, metric, n_begun}}`; points count from 1. An axis with a `range` has the values that were
//! drawn from it. With `halving` a point has the stages of its highest rung, in `rungs` the stage that measured it on
//! each, and in `failed` the stages that failed on a rung before those of this run. The results of the stages are in
//! `events.jsonl` and `metrics.json`.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::{RunId, StageId};
use pipeline_spec::{Node, Value};
use pipeline_store::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::halving::HalvingRecord;

/// The file's name in the folder of the run.
const FILE: &str = "sweep.json";

/// The version of the file's format.
const VERSION: u32 = 1;

/// The points of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    version: u32,
    /// The axes, in the order of the spec.
    pub axes: Vec<AxisRecord>,
    /// The stages of the spec that are evaluations, in its order.
    pub evaluations: Vec<StageId>,
    /// The points, in order.
    pub points: Vec<PointRecord>,
    /// The rungs, if bad points are stopped early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<HalvingRecord>,
}

/// An axis of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AxisRecord {
    /// `STAGE.params.NAME` or `vars.NAME`.
    pub key: String,
    /// A short name for tables.
    pub name: String,
    /// The values; of a range those that were drawn.
    pub values: Vec<serde_json::Value>,
    /// The range from which they were drawn, such as `{"log_uniform": [1e-5, 1e-2]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<serde_json::Value>,
}

/// A point of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointRecord {
    /// Its number, from 1.
    pub point: usize,
    /// The overrides, by key.
    pub overrides: BTreeMap<String, serde_json::Value>,
    /// For each stage of the spec, its copy in the graph. A point on a lower rung than the last has only those that
    /// promote it.
    pub stages: BTreeMap<StageId, StageId>,
    /// The stage of the graph that measures it on each rung that it has reached; empty without rungs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<StageId>,
    /// The stages of the spec that failed on an earlier rung, because of which the graph has none of its stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<StageId>,
}

impl SweepRecord {
    /// The record of these points.
    pub fn new(
        axes: Vec<AxisRecord>,
        evaluations: Vec<StageId>,
        points: Vec<PointRecord>,
        halving: Option<HalvingRecord>,
    ) -> Self {
        Self { version: VERSION, axes, evaluations, points, halving }
    }

    /// The file to keep with the run: its name and its content.
    pub fn attachment(&self) -> (&'static str, Vec<u8>) {
        (FILE, serde_json::to_vec_pretty(self).expect("a record has only string keys"))
    }

    /// Reads the record of a run; `None` when the run is not a sweep, or this program cannot read its record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of_run(store: &Store, run: &RunId) -> Result<Option<Self>, StoreError> {
        let json = store.runs().attachment(run, FILE)?;
        let record = json.and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        Ok(record.filter(|record| record.version == VERSION && record.is_whole()))
    }

    /// Whether the points count from 1 and each has a value on every axis: nobody has verified what was read.
    fn is_whole(&self) -> bool {
        let has_all = |point: &PointRecord| self.axes.iter().all(|axis| point.overrides.contains_key(&axis.key));
        self.points.iter().zip(1..).all(|(point, number)| point.point == number && has_all(point))
    }

    /// Whether a point got all of its resource: only those are measured by the evaluations.
    pub fn is_final(&self, point: &PointRecord) -> bool {
        self.halving.as_ref().is_none_or(|halving| point.rungs.len() == halving.rungs.len())
    }

    /// The copies of a stage of the spec in the graph, over all points; empty if the spec has no such stage.
    pub fn copies_of(&self, stage: &StageId) -> BTreeSet<StageId> {
        self.points.iter().filter_map(|point| point.stages.get(stage).cloned()).collect()
    }

    /// Whether measured points differ on an axis: with rungs, all of them have the whole resource.
    pub fn differs_on(&self, axis: &AxisRecord) -> bool {
        let is_resource = self.halving.as_ref().is_some_and(|halving| halving.resource == axis.key);
        axis.values.len() > 1 && !is_resource
    }

    /// The value of a point on each axis, as tables show it.
    pub fn shown_values(&self, point: &PointRecord) -> Vec<String> {
        self.axes.iter().map(|axis| shown(&point.overrides[&axis.key])).collect()
    }
}

/// A value as tables show it: texts without quotes.
pub fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// A value of a spec as JSON; numbers that JSON cannot hold become text.
pub fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) if value.is_finite() => json!(value),
        Value::Float(_) => json!(node.to_yaml()),
        Value::Str(text) => json!(text),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => entries.iter().map(|(name, node)| (name.value.clone(), to_json(node))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_whose_points_lack_a_value_or_a_number_is_none() {
        let axis =
            AxisRecord { key: "vars.lr".into(), name: "lr".into(), values: vec![json!(1), json!(2)], range: None };
        let point = |point: usize, key: &str| PointRecord {
            point,
            overrides: BTreeMap::from([(key.to_owned(), json!(point))]),
            stages: BTreeMap::new(),
            rungs: Vec::new(),
            failed: Vec::new(),
        };
        let record = |points| SweepRecord::new(vec![axis.clone()], Vec::new(), points, None);
        assert!(record(vec![point(1, "vars.lr"), point(2, "vars.lr")]).is_whole());
        assert!(!record(vec![point(1, "vars.lr"), point(2, "vars.rl")]).is_whole());
        assert!(!record(vec![point(1, "vars.lr"), point(3, "vars.lr")]).is_whole());
    }
}
