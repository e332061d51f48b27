//! The table of groups: every column sorts, and a row expands to its points.

use maud::{Markup, html};

use super::{group_axes, label, mean_and_sd, value_of};
use crate::facts::{GroupFacts, PointFacts, PointState, Spread, Standing, SweepReport};
use crate::page::meter::{Scale, meter};
use crate::page::metrics::{bounds, verdict};
use crate::page::words::{duration, percent, plain, points};

pub(super) fn draw(report: &SweepReport) -> Markup {
    let scale = scale(report);
    html! {
        p.sub { "Click a heading to sort, a row to see its points." }
        div.scroll { table.sorted.groups-table {
            thead { tr {
                (heading("#", "", "ascending"))
                (heading("MeanRecall", "n falling", "none"))
                @for (_, axis) in group_axes(report) {
                    (heading(&axis.name, if axis.is_numeric() { "n" } else { "" }, "none"))
                }
                (heading("n", "n falling", "none"))
                th scope="col" aria-sort="none" { button type="button" { "95% interval" } (scale.legend()) }
                (heading("to the first", "falling", "none"))
                @for metric in &report.other_metrics { (heading(&metric.title, "n falling", "none")) }
            } }
            @for (idx, group) in report.groups.iter().enumerate() { (rows(report, idx, group, scale)) }
        } }
    }
}

/// A heading that sorts by its column. Class `n` marks numbers; `falling` puts the highest first.
fn heading(title: &str, class: &str, sorted: &str) -> Markup {
    html! { th class=(class) scope="col" aria-sort=(sorted) { button type="button" { (title) } } }
}

/// The scale of the intervals of all groups.
fn scale(report: &SweepReport) -> Scale {
    let intervals = || report.groups.iter().filter_map(|group| group.interval);
    let low = intervals().map(|interval| interval.low).fold(1.0, f64::min);
    let high = intervals().map(|interval| interval.high).fold(0.0, f64::max);
    Scale::between(low.min(high), high)
}

fn rows(report: &SweepReport, idx: usize, group: &GroupFacts, scale: Scale) -> Markup {
    let is_best = report.best == Some(idx);
    let n_columns = 5 + group_axes(report).count() + report.other_metrics.len();
    html! {
        tbody.best[is_best] data-group=(idx) {
            tr.group {
                td.nowrap data-value=(idx) {
                    button.open type="button" aria-expanded="true" aria-controls={ "points-" (idx) }
                        aria-label={ "points of " (label(report, group)) } { (idx + 1) }
                    @if is_best {
                        b.tag { "best" }
                    } @else if group.standing == Standing::Reference {
                        b.tag.first { "first" }
                    }
                }
                td.n data-value=[group.mean_recall.map(|spread| spread.mean)] {
                    b { (cell(group.mean_recall.as_ref())) }
                }
                @for (axis_idx, axis) in group_axes(report) {
                    @let value = value_of(axis, axis_idx, group);
                    td.n[axis.is_numeric()] data-value=[sort_key(report, axis_idx, group)] { (value) }
                }
                @let n_measured = group.mean_recall.map_or(0, |spread| spread.n);
                td.n data-value=(n_measured) {
                    @if n_measured == group.points.len() { (n_measured) }
                    @else { b.warn { (n_measured) " of " (group.points.len()) } }
                }
                @let width = group.interval.map(|interval| interval.high - interval.low);
                td.meter-cell data-value=[width] data-tip=(bounds(group.interval)) {
                    @if let (Some(spread), Some(_)) = (group.mean_recall, group.interval) {
                        (meter(spread.mean, group.interval, scale, None))
                    }
                }
                (standing(group))
                @for (metric, spread) in report.other_metrics.iter().zip(&group.others) {
                    td.n data-value=[spread.map(|spread| spread.mean)] {
                        @if metric.is_share {
                            (cell(spread.as_ref()))
                        } @else if let Some(spread) = spread {
                            (plain(spread.mean))
                        }
                    }
                }
            }
            tr.points id={ "points-" (idx) } { td colspan=(n_columns) { (points_table(report, group)) } }
        }
    }
}

fn cell(spread: Option<&Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), mean_and_sd)
}

/// The sort key of a row: the number, or the position among the values.
fn sort_key(report: &SweepReport, axis_idx: usize, group: &GroupFacts) -> Option<f64> {
    let axis = &report.axes[axis_idx];
    let value = group.values[axis_idx]?;
    if axis.is_numeric() { axis.values[value].number } else { Some(value as f64) }
}

/// The difference to the first group, and its significance.
fn standing(group: &GroupFacts) -> Markup {
    let value = match &group.standing {
        Standing::Reference => Some(0.0),
        Standing::Compared(difference) => Some(difference.value),
        Standing::Untested(_, difference) => Some(*difference),
        Standing::Incomparable(_) | Standing::Unmeasured => None,
    };
    let class = match &group.standing {
        Standing::Compared(difference) => match verdict(difference.interval) {
            "better" => "up",
            "worse" => "down",
            _ => "same",
        },
        _ => "same",
    };
    let words = match &group.standing {
        Standing::Reference => String::new(),
        Standing::Compared(difference) => verdict(difference.interval).to_owned(),
        Standing::Untested(why, _) => format!("not tested: {why}"),
        Standing::Incomparable(what) => format!("not compared: {what}"),
        Standing::Unmeasured => "not measured".to_owned(),
    };
    html! {
        td.standing data-value=[value] {
            @if let (Some(value), false) = (value, group.standing == Standing::Reference) {
                b class=(class) { (points(value)) }
                @if let Standing::Compared(difference) = &group.standing {
                    " " span.soft { "[" (points(difference.interval.low)) ", " (points(difference.interval.high)) "]" }
                }
            }
            div { (words) }
        }
    }
}

fn points_table(report: &SweepReport, group: &GroupFacts) -> Markup {
    let seeds = || report.axes.iter().enumerate().filter(|(_, axis)| axis.is_seed);
    html! {
        table {
            thead { tr {
                th { "point" }
                @for (_, axis) in seeds() { th.n { (axis.name) } }
                th.n { "MeanRecall" }
                @for metric in &report.other_metrics { th.n { (metric.title) } }
                th { "state" } th.n { "took" } th { "its own page" }
            } }
            tbody { @for point in group.points.iter().map(|idx| &report.points[*idx]) {
                tr {
                    td { (point.number) }
                    @for (axis_idx, axis) in seeds() { td.n { (axis.values[point.values[axis_idx]].text) } }
                    td.n { (point.mean_recall.map_or_else(|| "–".to_owned(), percent)) }
                    @for (metric, value) in report.other_metrics.iter().zip(&point.others) {
                        td.n { @match value {
                            None => "–",
                            Some(value) if metric.is_share => (percent(*value)),
                            Some(value) => (plain(*value)),
                        } }
                    }
                    (state(point))
                    td.nowrap { code { "pipeline report " (report.run.id) ":" (point.number) } }
                }
            } }
        }
    }
}

fn state(point: &PointFacts) -> Markup {
    let (class, words) = match point.state {
        PointState::Ran => ("ran", format!("● ran {} of {}", point.n_ran, point.n_stages)),
        PointState::Reused => ("reused", format!("↺ reused {}", point.n_stages)),
        PointState::Failed => ("failed", "✕ failed".to_owned()),
        PointState::Skipped => ("skipped", "○ skipped".to_owned()),
    };
    html! {
        td {
            span class={ "state " (class) } { (words) }
            @for remark in &point.remarks { div.soft { (remark) } }
        }
        td.n {
            @if point.seconds > 0.0 { (duration(point.seconds)) }
            @if point.saved_seconds > 0.0 {
                " " span.soft data-tip="not spent: the results were remembered" {
                    "(" (duration(point.saved_seconds)) ")"
                }
            }
        }
    }
}
