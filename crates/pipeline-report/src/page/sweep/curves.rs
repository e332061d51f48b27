//! The curves of all trainings over each other: the best groups stand out.

use maud::{Markup, html};
use pipeline_eval::{HeldOutMetric, Quantity};

use super::label;
use crate::chart::{Axis, Strand, many};
use crate::facts::{PointCurve, SweepReport, SweptTraining};
use crate::page::training::thin;
use crate::page::words::{percent, plain};

/// The colours of the best groups, the best first.
const BEST: [&str; 3] = ["c1 best", "c2 best", "c3 best"];
/// The most points of a curve.
const MAX_POINTS: usize = 60;

pub(super) fn draw(report: &SweepReport) -> Markup {
    let best = best(report);
    html! {
        p.sub {
            "Each curve is a training. Point at one, or reach it with Tab and the arrow keys: its group is marked here \
            and in the table."
        }
        p.legend {
            @for (group, class) in best.iter().zip(BEST) {
                span { i class=(class) {} (label(report, &report.groups[*group])) }
            }
            @if report.groups.len() > best.len() { span { i.c5 {} "other groups" } }
        }
        @for training in &report.trainings {
            @if report.trainings.len() > 1 { h3 { (training.stage) } }
            div.charts { @for column in columns(training) {
                @if let Some(chart) = chart(report, training, &column, &best) { (chart) }
            } }
            @if training.n_left_out > 0 {
                p.sub { (training.n_left_out) " further trainings are not drawn, none of them among the best." }
            }
        }
    }
}

/// The groups with the highest MeanRecall, the best first.
fn best(report: &SweepReport) -> Vec<usize> {
    let groups = report.groups.iter().enumerate().filter(|(_, group)| group.is_comparable());
    let mut means: Vec<(usize, f64)> = groups.filter_map(|(idx, group)| Some((idx, group.mean_recall?.mean))).collect();
    means.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    means.truncate(BEST.len().min(report.groups.len().saturating_sub(1)).max(1));
    means.into_iter().map(|(idx, _)| idx).collect()
}

/// The loss, and the MeanRecall and the loss of held-out data.
fn columns(training: &SweptTraining) -> Vec<String> {
    let is_drawn = |name: &str| match HeldOutMetric::parse(name) {
        Some(HeldOutMetric(metric)) => metric.quantity == Quantity::MeanRecall || metric.to_string() == "loss",
        None => name == "loss",
    };
    let mut columns: Vec<String> = Vec::new();
    for name in training.curves.iter().flat_map(|curve| curve.history.curves()).filter(|name| is_drawn(name)) {
        if !columns.iter().any(|known| known == name) {
            columns.push(name.to_owned());
        }
    }
    columns
}

fn chart(report: &SweepReport, training: &SweptTraining, column: &str, best: &[usize]) -> Option<Markup> {
    let mut strands: Vec<(usize, Strand)> =
        training.curves.iter().filter_map(|curve| strand(report, curve, column, best)).collect();
    // The best are drawn last, on top.
    strands.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    let strands: Vec<Strand> = strands.into_iter().map(|(_, strand)| strand).collect();
    let points = || strands.iter().flat_map(|strand| &strand.points);
    let (low, high) = (points().map(|at| at.1).reduce(f64::min)?, points().map(|at| at.1).reduce(f64::max)?);
    let (first, last) = (points().map(|at| at.0).reduce(f64::min)?, points().map(|at| at.0).reduce(f64::max)?);
    let room = ((high - low) * 0.04).max(high.abs() * 1e-3);
    let title = HeldOutMetric::parse(column).map_or_else(|| column.to_owned(), |_| column.replacen('_', " ", 1));
    let x = Axis::linear("step", first.min(last - 1.0), last);
    let y = Axis::linear(&title, low - room, high + room);
    Some(html! { figure { figcaption { (title) } (many(&title, x, y, &strands)) } })
}

/// A curve and its place among the best groups; all others share the last place.
fn strand(report: &SweepReport, curve: &PointCurve, column: &str, best: &[usize]) -> Option<(usize, Strand)> {
    let groups: Vec<usize> = (0..report.groups.len())
        .filter(|idx| report.groups[*idx].points.iter().any(|point| curve.points.contains(point)))
        .collect();
    let place = best.iter().position(|group| groups.contains(group));
    let group = place.map_or_else(|| groups.first().copied(), |place| Some(best[place]))?;
    let points = thin(&curve.history.points(column), MAX_POINTS);
    let (_, end) = points.last()?;
    let numbers: Vec<_> = curve.points.iter().map(|point| report.points[*point].number.to_string()).collect();
    let noun = if numbers.len() == 1 { "point" } else { "points" };
    let mean_recall = curve.points.iter().find_map(|point| report.points[*point].mean_recall);
    let mean_recall = mean_recall.map(|value| format!(", MeanRecall {}", percent(value))).unwrap_or_default();
    let tip = format!(
        "{noun} {}: {}\n{column} {} at its end{mean_recall}",
        numbers.join(", "),
        label(report, &report.groups[group]),
        plain(*end)
    );
    let class = place.map_or("c5 muted", |place| BEST[place]);
    Some((place.unwrap_or(usize::MAX), Strand { group, class, points, tip }))
}
