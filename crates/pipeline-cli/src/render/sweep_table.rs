//! The table of a sweep's results: one row per point, or one per group of seeds.

use pipeline_experiments::sweep::{
    AxisImportance, AxisRecord, COMPARED, Column, Importance, PointResult, PointState, Results, Spread, SweepRecord,
    columns, shown,
};

use crate::failure::Failure;
use crate::format::counted;
use crate::table::Table;
use crate::terminal::Terminal;

/// The rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The groups, if there are any; else the points.
    Groups,
    /// The points, and then the groups, if there are any.
    All,
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

/// The importance of several axes in one line; `None` for one axis, whose rows say it all.
pub fn importance(importance: &Importance) -> Option<String> {
    let Importance { metric, rung, n_points, axes, unknown } = importance;
    if axes.len() < 2 || unknown.is_some() {
        return None;
    }
    let rung = rung.as_ref().map(|rung| format!(" with {rung}")).unwrap_or_default();
    let axis = |axis: &AxisImportance| format!("{} {:.0}% (chance {:.3})", axis.name, 100.0 * axis.share, axis.chance);
    let axes: Vec<_> = axes.iter().map(axis).collect();
    Some(format!("variance of `{metric}`{rung} over {n_points} points by axis: {}", axes.join(", ")))
}

/// The numbers of points by state in one line, such as `24 points: 23 done, 1 failed`.
pub fn summary(results: &Results<'_>) -> String {
    let n_in = |state: PointState| results.points.iter().filter(|point| point.state == state).count();
    let states = [
        (PointState::Done, "done"),
        (PointState::Stopped, "stopped"),
        (PointState::Failed, "failed"),
        (PointState::Skipped, "skipped"),
    ];
    let counts = states.into_iter().map(|(state, word)| (n_in(state), word)).filter(|(n, _)| *n > 0);
    let counts: Vec<_> = counts.map(|(n, word)| format!("{n} {word}")).collect();
    format!("{}: {}", counted(results.points.len() as u64, "point"), counts.join(", "))
}

fn of_points(record: &SweepRecord, results: &Results<'_>, columns: &[Column]) -> Table {
    let mut header = vec!["point".to_owned()];
    header.extend(record.axes.iter().map(|axis| axis.name.clone()));
    // The metric that promotes points, on the last rung that a point has reached.
    let rung = record.halving.as_ref().map(|halving| match record.evaluations.contains(&halving.stage) {
        true => format!("{} on its rung", halving.metric),
        false => halving.metric.clone(),
    });
    let start = 1 + record.axes.len() + usize::from(rung.is_some());
    header.extend(rung);
    header.extend(columns.iter().map(|column| column.title()));
    header.push(String::new());
    let mut table = Table::new(&header).leave_out(lesser(columns, start)).shorten(1..=record.axes.len());
    for point in &results.points {
        let mut cells = vec![point.record.point.to_string()];
        cells.extend(record.shown_values(point.record));
        cells.extend(record.halving.as_ref().map(|_| four_digits(point.measured.last().copied().flatten())));
        cells.extend(columns.iter().map(|column| four_digits(point.metric(&column.stage, &column.metric))));
        let is_best = results.best == Some(point.record.point);
        cells.push(remark(record, point, is_best));
        table.row(cells);
    }
    table
}

fn four_digits(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

fn remark(record: &SweepRecord, point: &PointResult<'_>, is_best: bool) -> String {
    let n_rungs = record.halving.as_ref().map_or(1, |halving| halving.rungs.len());
    let rung = || format!("rung {} of {n_rungs}", point.record.rungs.len());
    let failed = || point.failed.iter().map(|stage| format!("`{stage}`")).collect::<Vec<_>>().join(", ");
    match point.state {
        PointState::Failed if n_rungs > 1 => format!("{} failed on {}", failed(), rung()),
        PointState::Failed => format!("{} failed", failed()),
        PointState::Stopped => format!("stopped on {}", rung()),
        PointState::Skipped => "skipped".to_owned(),
        PointState::Done if is_best => "best".to_owned(),
        PointState::Done if !record.is_final(point.record) => format!("on {}", rung()),
        PointState::Done => point.measured_on.unwrap_or_default().to_owned(),
    }
}

fn of_groups(record: &SweepRecord, results: &Results<'_>, columns: &[Column]) -> Table {
    let shared = |axis: &&AxisRecord| results.groups.iter().any(|group| group.overrides.contains_key(&axis.key));
    let axes: Vec<_> = record.axes.iter().filter(shared).collect();
    let mut header: Vec<String> = axes.iter().map(|axis| axis.name.clone()).collect();
    header.push("n".to_owned());
    header.extend(columns.iter().map(|column| column.title()));
    header.push(String::new());
    let mut table = Table::new(&header).leave_out(lesser(columns, axes.len() + 1)).shorten(0..axes.len());
    for (idx, group) in results.groups.iter().enumerate() {
        let mut cells: Vec<String> = axes.iter().map(|axis| shown(&group.overrides[&axis.key])).collect();
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

/// The columns of a table that a narrow terminal may leave out: metrics that do not select the best point. `start` is
/// the first column with metrics.
fn lesser(columns: &[Column], start: usize) -> impl Iterator<Item = usize> {
    columns.iter().enumerate().filter(|(_, column)| column.metric != COMPARED).map(move |(idx, _)| start + idx)
}

fn mean_and_sd(spread: &Spread) -> String {
    match spread.sd {
        Some(sd) => format!("{:.4} ± {sd:.4}", spread.mean),
        None => format!("{:.4}", spread.mean),
    }
}
