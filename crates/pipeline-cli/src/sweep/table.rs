//! The table of a sweep's results: one row a point, or one a group of seeds.

use std::collections::BTreeSet;

use pipeline_core::StageId;

use super::outcome::{COMPARED, PointResult, PointState, Results, Spread};
use super::record::{AxisRecord, SweepRecord};
use crate::failure::Failure;
use crate::table::Table;
use crate::terminal::Terminal;

/// Which rows a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The groups, where there are some; else the points.
    Groups,
    /// The points, and then the groups, if there are some.
    All,
}

/// A metric of an evaluation, with its column.
pub struct Column {
    /// The evaluation.
    pub stage: StageId,
    /// The metric.
    pub metric: String,
    /// What stands above the column.
    pub title: String,
}

/// Prints the results on stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(record: &SweepRecord, results: &Results<'_>, rows: Rows, terminal: &Terminal) -> Result<(), Failure> {
    let columns = columns(record, results);
    let show = |table: Table| terminal.data(&table.render(terminal.out, terminal.out_width()));
    if rows == Rows::All || results.groups.is_empty() {
        show(of_points(record, results, &columns))?;
    }
    if rows == Rows::All && !results.groups.is_empty() {
        terminal.data("")?;
    }
    if !results.groups.is_empty() {
        show(of_groups(record, results, &columns))?;
    }
    Ok(())
}

fn of_points(record: &SweepRecord, results: &Results<'_>, columns: &[Column]) -> Table {
    let mut header = vec!["point".to_owned()];
    header.extend(record.axes.iter().map(|axis| axis.name.clone()));
    header.extend(columns.iter().map(|column| column.title.clone()));
    header.push(String::new());
    let mut table = Table::new(&header).leave_out(lesser(columns, 1 + record.axes.len()));
    for point in &results.points {
        let mut cells = vec![point.record.point.to_string()];
        cells.extend(record.shown_values(point.record));
        cells.extend(columns.iter().map(|column| {
            let value = point.metric(&column.stage, &column.metric);
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
        }));
        let is_best = results.best == Some(point.record.point);
        cells.push(remark(point, is_best));
        table.row(cells);
    }
    table
}

fn remark(point: &PointResult<'_>, is_best: bool) -> String {
    let failed = || point.failed.iter().map(|stage| format!("`{stage}`")).collect::<Vec<_>>().join(", ");
    match point.state {
        PointState::Failed => format!("{} failed", failed()),
        PointState::Skipped => "skipped".to_owned(),
        PointState::Done if is_best => "best".to_owned(),
        PointState::Done => point.measured_on.unwrap_or_default().to_owned(),
    }
}

fn of_groups(record: &SweepRecord, results: &Results<'_>, columns: &[Column]) -> Table {
    let shared = |axis: &&AxisRecord| results.groups.iter().any(|group| group.overrides.contains_key(&axis.key));
    let axes: Vec<_> = record.axes.iter().filter(shared).collect();
    let mut header: Vec<String> = axes.iter().map(|axis| axis.name.clone()).collect();
    header.push("n".to_owned());
    header.extend(columns.iter().map(|column| column.title.clone()));
    header.push(String::new());
    let mut table = Table::new(&header).leave_out(lesser(columns, axes.len() + 1));
    for (idx, group) in results.groups.iter().enumerate() {
        let mut cells: Vec<String> =
            axes.iter().map(|axis| super::record::shown(&group.overrides[&axis.key])).collect();
        let spreads: Vec<_> = columns.iter().map(|column| group.spread(&column.stage, &column.metric)).collect();
        let n_measured = spreads.iter().flatten().map(|spread| spread.n).max().unwrap_or(0);
        let n_points = group.points.len();
        cells.push(if n_measured == n_points { n_points.to_string() } else { format!("{n_measured} of {n_points}") });
        cells.extend(spreads.iter().map(|spread| spread.as_ref().map_or_else(|| "–".to_owned(), mean_and_sd)));
        let others = group.points.iter().find_map(|number| results.points[number - 1].measured_on);
        let is_best = results.best_group == Some(idx);
        cells.push(if is_best { "best" } else { others.unwrap_or_default() }.to_owned());
        table.row(cells);
    }
    table
}

/// The columns of a table that a narrow terminal may leave out: metrics that name no best point. `start` is where metrics
/// begin.
fn lesser(columns: &[Column], start: usize) -> impl Iterator<Item = usize> {
    columns.iter().enumerate().filter(|(_, column)| column.metric != COMPARED).map(move |(idx, _)| start + idx)
}

fn mean_and_sd(spread: &Spread) -> String {
    match spread.sd {
        Some(sd) => format!("{:.4} ± {sd:.4}", spread.mean),
        None => format!("{:.4}", spread.mean),
    }
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
