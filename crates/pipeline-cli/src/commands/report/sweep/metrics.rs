//! The metrics that a page about a sweep tells beside the one that is compared.

use std::collections::BTreeSet;

use pipeline_core::StageId;
use pipeline_report::facts::MetricFacts;

use crate::sweep::{COMPARED, Column, Results, SweepRecord, columns};

/// More metrics of stages that are no evaluations are not told.
const MAX_METRICS: usize = 8;

/// The recalls of all evaluations without the compared one; where nothing has a recall, whatever was measured.
pub fn beside(record: &SweepRecord, results: &Results<'_>, evaluation: Option<&StageId>) -> Vec<Column> {
    let is_measured = |column: &Column| {
        let is_known = |metric: Option<f64>| metric.is_some();
        results.points.iter().any(|point| is_known(point.metric(&column.stage, &column.metric)))
    };
    let is_compared = |column: &Column| Some(&column.stage) == evaluation && column.metric == COMPARED;
    let recalls = columns(record, results).into_iter().filter(|column| is_measured(column) && !is_compared(column));
    let recalls: Vec<Column> = recalls.collect();
    if evaluation.is_some() || !recalls.is_empty() {
        return recalls;
    }
    let all = results.points.iter().flat_map(|point| &point.metrics);
    let all: BTreeSet<(&StageId, &String)> =
        all.flat_map(|(stage, metrics)| metrics.keys().map(move |metric| (stage, metric))).collect();
    let column = |(stage, metric): (&StageId, &String)| Column {
        stage: stage.clone(),
        metric: metric.clone(),
        title: format!("{stage}.{metric}"),
    };
    all.into_iter().take(MAX_METRICS).map(column).collect()
}

/// The columns as the page heads them.
pub fn told(columns: &[Column]) -> Vec<MetricFacts> {
    let title = |column: &Column| {
        let (stage, name) = match column.title.strip_suffix(&column.metric) {
            Some(stage) => (stage, column.metric.as_str()),
            None => ("", column.title.as_str()),
        };
        let name = match name.strip_prefix("recall_at_") {
            Some(k) => format!("Recall@{k}"),
            None if name == COMPARED => "MeanRecall".to_owned(),
            None => name.to_owned(),
        };
        format!("{stage}{name}")
    };
    let is_share = |column: &Column| column.metric == COMPARED || column.metric.starts_with("recall_at_");
    columns.iter().map(|column| MetricFacts { title: title(column), is_share: is_share(column) }).collect()
}
