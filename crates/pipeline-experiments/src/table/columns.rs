//! The columns of a table of experiments: the params that differ, and the metrics that matter.

use std::collections::{BTreeMap, BTreeSet};

use pipeline_core::StageId;
use pipeline_eval::{MetricName, Quantity, ks};

use super::Experiment;
use crate::sweep::{COMPARED, shown};

/// The most evaluations, or metrics of commands, that have a column of their own.
const MAX_COLUMNS: usize = 4;

/// The sign for a param that a run does not set.
const UNSET: &str = "–";

/// A param that differs between runs of one spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamColumn {
    /// A short title: the param's name, with its stage where several have it.
    pub title: String,
    /// `STAGE.params.NAME`, of the first stage if several stages have the same values.
    pub key: String,
}

/// A metric of the evaluations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricColumn {
    /// METRIC or STAGE.METRIC, as [`Experiment::metric`] takes it.
    pub key: String,
    /// True for a metric by which runs are compared; the others are details.
    pub is_main: bool,
}

impl ParamColumn {
    /// The cell of an experiment.
    pub fn cell(&self, experiment: &Experiment) -> String {
        match experiment.param(&self.key) {
            Some(value) => shown(value),
            None if experiment.has_stage_of(&self.key) => UNSET.to_owned(),
            None => String::new(),
        }
    }
}

/// The params that differ between the experiments of one spec. Params of the same name and with the same values, such
/// as a seed of all stages, have one column.
pub fn differing_params(experiments: &[Experiment]) -> Vec<ParamColumn> {
    let keys: BTreeSet<&String> = experiments.iter().flat_map(|experiment| experiment.params.keys()).collect();
    let mut columns: Vec<(&str, Vec<String>, ParamColumn)> = Vec::new();
    for key in keys.into_iter().filter(|key| differs(key, experiments)) {
        let column = ParamColumn { title: String::new(), key: key.clone() };
        let cells: Vec<_> = experiments.iter().map(|experiment| column.cell(experiment)).collect();
        let name = name_of(key);
        if !columns.iter().any(|(other, values, _)| *other == name && *values == cells) {
            columns.push((name, cells, column));
        }
    }
    let names: Vec<&str> = columns.iter().map(|(name, ..)| *name).collect();
    let is_alone = |name: &str| names.iter().filter(|other| **other == name).count() == 1;
    let titled = |(name, _, column): &(&str, Vec<String>, ParamColumn)| {
        let title = if is_alone(name) { (*name).to_owned() } else { column.key.replacen(".params.", ".", 1) };
        ParamColumn { title, ..column.clone() }
    };
    columns.iter().map(titled).collect()
}

/// The main metrics of experiments: `mean_recall` and, where no run has several evaluations, the recalls. Where no run
/// has an evaluation, the first metrics of its commands.
pub fn main_metrics(experiments: &[Experiment]) -> Vec<MetricColumn> {
    let main = |key: String| MetricColumn { key, is_main: true };
    let evaluations = |experiment: &Experiment| -> Vec<StageId> {
        let measured = experiment.metrics.iter().filter(|(_, metrics)| COMPARED.value_in(metrics).is_some());
        measured.map(|(stage, _)| stage.clone()).collect()
    };
    let of_runs: Vec<Vec<StageId>> = experiments.iter().map(evaluations).collect();
    let stages: BTreeSet<&StageId> = of_runs.iter().flatten().collect();
    if stages.is_empty() {
        return of_commands(experiments).into_iter().take(MAX_COLUMNS).map(main).collect();
    }
    if of_runs.iter().any(|stages| stages.len() > 1) && stages.len() <= MAX_COLUMNS {
        return stages.into_iter().map(|stage| main(format!("{stage}.{COMPARED}"))).collect();
    }
    let mut columns = vec![main(COMPARED.to_string())];
    if of_runs.iter().all(|stages| stages.len() <= 1) {
        let all_ks: BTreeSet<usize> = experiments.iter().flat_map(|run| run.metrics.values().flat_map(ks)).collect();
        let recall = |k| MetricColumn { key: MetricName::new(Quantity::RecallAt(k)).to_string(), is_main: false };
        columns.extend(all_ks.into_iter().map(recall));
    }
    columns
}

/// True if runs of one spec that have the stage differ in the param, or in whether they set it.
fn differs(key: &str, experiments: &[Experiment]) -> bool {
    let mut by_spec: BTreeMap<&str, Option<&serde_json::Value>> = BTreeMap::new();
    experiments.iter().filter(|experiment| experiment.has_stage_of(key) || experiment.params.contains_key(key)).any(
        |experiment| {
            let value = experiment.param(key);
            *by_spec.entry(&experiment.info.spec).or_insert(value) != value
        },
    )
}

/// The metrics of runs without an evaluation, with their stage where several have one of that name.
fn of_commands(experiments: &[Experiment]) -> Vec<String> {
    let mut stages: BTreeMap<&String, BTreeSet<&StageId>> = BTreeMap::new();
    for (stage, metrics) in experiments.iter().flat_map(|experiment| &experiment.metrics) {
        metrics.keys().for_each(|name| {
            stages.entry(name).or_default().insert(stage);
        });
    }
    let named = |(name, stages): (&String, BTreeSet<&StageId>)| match stages.len() {
        1 => vec![name.clone()],
        _ => stages.iter().map(|stage| format!("{stage}.{name}")).collect(),
    };
    stages.into_iter().flat_map(named).collect()
}

fn name_of(key: &str) -> &str {
    key.rsplit_once(".params.").map_or(key, |(_, name)| name)
}
