//! The metrics that a page about a sweep shows beside the one that is compared.

use std::collections::BTreeSet;

use pipeline_core::StageId;
use pipeline_experiments::sweep::{COMPARED, Column, Results, SweepRecord, columns};
use pipeline_report::facts::MetricFacts;

/// The most metrics that are shown of stages that are no evaluations.
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
pub fn facts(columns: &[Column]) -> Vec<MetricFacts> {
    let fact = |column: &Column| {
        let stage = column.title.strip_suffix(&column.metric).unwrap_or_default();
        let (direction, name) = match column.metric.strip_prefix("i2t_") {
            Some(name) => ("i2t ", name),
            None => ("", column.metric.as_str()),
        };
        let (name, is_share) = match name.strip_prefix("recall_at_") {
            Some(k) => (format!("Recall@{k}"), true),
            None if name == COMPARED => ("MeanRecall".to_owned(), true),
            None => (name.to_owned(), false),
        };
        MetricFacts { title: format!("{stage}{direction}{name}"), is_share }
    };
    columns.iter().map(fact).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recalls_are_headed_as_people_name_them_and_shown_in_percent() {
        for (title, metric, expect, is_share) in [
            ("recall_at_5", "recall_at_5", "Recall@5", true),
            ("i2t_mean_recall", "i2t_mean_recall", "i2t MeanRecall", true),
            ("other.mean_recall", "mean_recall", "other.MeanRecall", true),
            ("projection.loss", "loss", "projection.loss", false),
        ] {
            let stage = "evaluate".parse().unwrap();
            let column = Column { stage, metric: metric.to_owned(), title: title.to_owned() };
            assert_eq!(facts(&[column]), [MetricFacts { title: expect.to_owned(), is_share }]);
        }
    }
}
