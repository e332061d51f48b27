//! The metrics by which the points of a sweep are shown side by side.

use std::collections::BTreeSet;

use pipeline_core::StageId;

use super::outcome::{COMPARED, Results};
use super::record::SweepRecord;

/// A metric of an evaluation, with its column.
pub struct Column {
    /// The evaluation.
    pub stage: StageId,
    /// The metric.
    pub metric: String,
    /// What stands above the column.
    pub title: String,
}

/// What is said of images as queries, where it was measured.
const IMAGE_TO_TEXT: &str = "i2t_mean_recall";

/// `mean_recall` and the recalls of each evaluation, which is named when there are several; `i2t_mean_recall` behind them.
pub fn columns(record: &SweepRecord, results: &Results<'_>) -> Vec<Column> {
    let mut columns = Vec::new();
    for stage in &record.evaluations {
        let of_points = results.points.iter().filter_map(|point| point.metrics.get(stage));
        let metrics: BTreeSet<&str> = of_points.flat_map(|metrics| metrics.keys().map(String::as_str)).collect();
        let ranks: BTreeSet<u64> =
            metrics.iter().filter_map(|name| name.strip_prefix("recall_at_")?.parse().ok()).collect();
        let of_texts = metrics.contains(IMAGE_TO_TEXT).then(|| IMAGE_TO_TEXT.to_owned());
        let recalls = ranks.iter().map(|k| format!("recall_at_{k}"));
        let names = [COMPARED.to_owned()].into_iter().chain(recalls).chain(of_texts);
        columns.extend(names.map(|metric| {
            let title = if record.evaluations.len() == 1 { metric.clone() } else { format!("{stage}.{metric}") };
            Column { stage: stage.clone(), metric, title }
        }));
    }
    columns
}
