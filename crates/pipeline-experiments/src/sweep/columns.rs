//! The metrics that a sweep shows side by side for its points.

use std::collections::BTreeSet;

use pipeline_core::StageId;
use pipeline_eval::{Direction, MetricName, Quantity, ks};

use super::outcome::{COMPARED, Results};
use super::record::SweepRecord;

/// A metric of an evaluation, with its column.
pub struct Column {
    /// The evaluation.
    pub stage: StageId,
    /// The metric.
    pub metric: MetricName,
    /// Whether the titles name the evaluation.
    pub names_stage: bool,
}

impl Column {
    /// The title above the column, as the metric is named elsewhere.
    pub fn title(&self) -> String {
        self.titled(&self.metric.to_string())
    }

    /// The title for pages, such as `evaluate.Recall@5`.
    pub fn short_title(&self) -> String {
        self.titled(&self.metric.title())
    }

    fn titled(&self, metric: &str) -> String {
        if self.names_stage { format!("{}.{metric}", self.stage) } else { metric.to_owned() }
    }
}

/// `mean_recall` and the recalls of each evaluation, then `i2t_mean_recall`. Names the evaluation when there are
/// several.
pub fn columns(record: &SweepRecord, results: &Results<'_>) -> Vec<Column> {
    let mut columns = Vec::new();
    for stage in &record.evaluations {
        let of_points = || results.points.iter().filter_map(|point| point.metrics.get(stage));
        let all_ks: BTreeSet<usize> = of_points().flat_map(ks).collect();
        let recalls = all_ks.into_iter().map(|k| Quantity::RecallAt(k).into());
        let of_texts = MetricName { direction: Direction::ImageToText, ..COMPARED };
        let has_texts = of_points().any(|metrics| of_texts.value_in(metrics).is_some());
        let metrics = [COMPARED].into_iter().chain(recalls).chain(has_texts.then_some(of_texts));
        let names_stage = record.evaluations.len() != 1;
        columns.extend(metrics.map(|metric| Column { stage: stage.clone(), metric, names_stage }));
    }
    columns
}
