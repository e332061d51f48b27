//! The metrics that a page about a sweep shows beside the compared one.

use std::collections::BTreeSet;

use pipeline_core::StageId;
use pipeline_eval::Unit;
use pipeline_experiments::sweep::{COMPARED, Column, Results, SweepRecord, columns};
use pipeline_report::facts::MetricFacts;

/// The most metrics that are shown of stages that are not evaluations.
const MAX_METRICS: usize = 8;

/// The recalls of all evaluations without the compared one; without any recall, all measurements.
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
        metric: metric.as_str().into(),
        names_stage: true,
    };
    all.into_iter().take(MAX_METRICS).map(column).collect()
}

/// The columns with their headings on the page.
pub fn facts(columns: &[Column]) -> Vec<MetricFacts> {
    let is_share = |column: &Column| column.metric.quantity.unit() == Unit::Share;
    columns.iter().map(|column| MetricFacts { title: column.short_title(), is_share: is_share(column) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recalls_are_headed_as_people_name_them_and_shown_in_percent() {
        for (metric, names_stage, title, is_share) in [
            ("recall_at_5", false, "Recall@5", true),
            ("i2t_mean_recall", false, "i2t MeanRecall", true),
            ("mean_recall", true, "evaluate.MeanRecall", true),
            ("loss", true, "evaluate.loss", false),
            ("valid_mean_recall", true, "evaluate.valid_mean_recall", false),
        ] {
            let column = Column { stage: "evaluate".parse().unwrap(), metric: metric.into(), names_stage };
            assert_eq!(facts(&[column]), [MetricFacts { title: title.to_owned(), is_share }]);
        }
    }
}
