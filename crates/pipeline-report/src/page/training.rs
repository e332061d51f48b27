//! The curves of a training: loss, learning rate and all other columns.

use maud::{Markup, html};
use pipeline_eval::HeldOutMetric;

use super::words::plain;
use crate::chart::{Axis, Curve, lines};
use crate::facts::{Comparison, Training};
use crate::history::History;

/// The most points of a curve. A longer one shows the means of neighbours, and their range.
const MAX_POINTS: usize = 240;
/// Settings of a step: worth a curve only where they change.
const SETTINGS: [&str; 2] = ["lr", "temperature"];

/// The curves, over those of the other run where it has a training of the same name.
pub(super) fn draw(trainings: &[Training], comparison: Option<&Comparison>) -> Markup {
    let others = comparison.map_or(&[][..], |comparison| &comparison.trainings);
    let other = |ours: &Training| others.iter().find(|theirs| theirs.stage == ours.stage).map(|theirs| &theirs.history);
    html! {
        @for training in trainings {
            @if trainings.len() > 1 { h3 { (training.stage) } }
            div.charts { @for chart in charts(&training.history, other(training)) { (chart) } }
        }
    }
}

/// One chart for each column, and one for all columns that are measured on held-out data.
fn charts(history: &History, other: Option<&History>) -> Vec<Markup> {
    let (valid, own): (Vec<&str>, Vec<&str>) = history.curves().partition(|name| HeldOutMetric::parse(name).is_some());
    let mut charts: Vec<Markup> = own
        .iter()
        .filter(|name| is_drawn(history, name) || other.is_some_and(|other| is_drawn(other, name)))
        .filter_map(|name| chart((history, other), title(name), &[name]))
        .collect();
    charts.extend(chart((history, other), "validation", &valid));
    charts
}

fn is_drawn(history: &History, column: &str) -> bool {
    !SETTINGS.contains(&column) || history.points(column).windows(2).any(|pair| pair[0].1 != pair[1].1)
}

fn title(column: &str) -> &str {
    match column {
        "lr" => "learning rate",
        column => column,
    }
}

fn chart((history, other): (&History, Option<&History>), title: &str, columns: &[&str]) -> Option<Markup> {
    // The second class is the other run's.
    let classes = [("c1", "c1 other"), ("c2", "c2 other"), ("c3", "c3 other"), ("c4", "c4 other"), ("c5", "c5 other")];
    let curves = columns.iter().zip(classes.into_iter().cycle()).flat_map(|(column, (class, of_other))| {
        let name = HeldOutMetric::parse(column)
            .map_or_else(|| (*column).to_owned(), |HeldOutMetric(metric)| metric.to_string());
        let Some(other) = other else { return vec![thinned(name, class, &history.points(column))] };
        let (ours, theirs) = match columns.len() {
            1 => ("this run".to_owned(), "other run".to_owned()),
            _ => (name.clone(), format!("{name}, other run")),
        };
        vec![thinned(ours, class, &history.points(column)), thinned(theirs, of_other, &other.points(column))]
    });
    let curves: Vec<Curve> = curves.filter(|curve| !curve.points.is_empty()).collect();
    let reach = |curve: &Curve| {
        let points = curve.points.iter().map(|(_, value)| *value);
        points.chain(curve.band.iter().flat_map(|(_, low, high)| [*low, *high])).collect::<Vec<_>>()
    };
    let values: Vec<f64> = curves.iter().flat_map(reach).collect();
    let (low, high) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
    let room = ((high - low) * 0.04).max(high.abs() * 1e-3);
    let last = curves.iter().filter_map(|curve| curve.points.last()).map(|(at, _)| *at).fold(1.0, f64::max);
    let first = curves.iter().filter_map(|curve| curve.points.first()).map(|(at, _)| *at).fold(1.0, f64::min);
    let x = Axis::linear("step", first.min(last - 1.0), last);
    let y = Axis::linear(title, low - room, high + room);
    let drawing = lines(title, x, y, &curves, &history.epoch_ends(), &tips(&curves));
    Some(html! { figure { figcaption { (title) } (drawing) } })
}

/// The means of neighbours, at most `max_points` of them.
pub(super) fn thin(points: &[(f64, f64)], max_points: usize) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(max_points).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        (chunk[chunk.len() / 2].0, chunk.iter().map(|(_, value)| value).sum::<f64>() / chunk.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

/// A curve of at most [`MAX_POINTS`] points.
fn thinned(name: String, class: &'static str, points: &[(f64, f64)]) -> Curve {
    let size = points.len().div_ceil(MAX_POINTS);
    if size <= 1 {
        return Curve { name, class, points: points.to_vec(), band: Vec::new() };
    }
    let chunks = points.chunks(size).map(|chunk| {
        let values = || chunk.iter().map(|(_, value)| *value);
        let mean = values().sum::<f64>() / chunk.len() as f64;
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        (chunk[chunk.len() / 2].0, mean, low, high)
    });
    let chunks: Vec<_> = chunks.collect();
    let points = chunks.iter().map(|(at, mean, _, _)| (*at, *mean)).collect();
    let band = chunks.iter().map(|(at, _, low, high)| (*at, *low, *high)).collect();
    Curve { name, class, points, band }
}

/// The values of all curves at the points of the longest: of each its last value up to there.
fn tips(curves: &[Curve]) -> Vec<(f64, String)> {
    let end = |curve: &Curve| curve.points.last().map_or(0.0, |(at, _)| *at);
    let Some(first) = curves.iter().reduce(|best, curve| if end(curve) > end(best) { curve } else { best }) else {
        return Vec::new();
    };
    let value = |curve: &Curve, at: f64| {
        let value = curve.points.iter().rfind(|(place, _)| *place <= at).map(|(_, value)| *value);
        value.filter(|_| at <= end(curve))
    };
    let tip = |at: f64| {
        let values = curves.iter().filter_map(|curve| Some(format!("{} {}", curve.name, plain(value(curve, at)?))));
        let step = if at == 0.0 { "start".to_owned() } else { format!("step {at}") };
        format!("{step}\n{}", values.collect::<Vec<_>>().join("\n"))
    };
    first.points.iter().map(|(at, _)| (*at, tip(*at))).collect()
}
