//! Parallel coordinates: a line for each group through its values to its MeanRecall.

use maud::{Markup, html};

use super::{group_axes, label, mean_and_sd};
use crate::chart::{Axis, Line, Track, parallel};
use crate::facts::{GroupFacts, SweepReport};

/// The number of steps of the colour scale.
const N_COLOURS: f64 = 9.0;

/// The lines; `None` where there are not two groups to compare.
pub(super) fn draw(report: &SweepReport) -> Option<Markup> {
    let mut measured: Vec<(usize, &GroupFacts, f64)> = report
        .groups
        .iter()
        .enumerate()
        .filter(|(_, group)| group.is_comparable())
        .filter_map(|(idx, group)| Some((idx, group, group.mean_recall?.mean)))
        .collect();
    if measured.len() < 2 {
        return None;
    }
    // The best are drawn last, on top.
    measured.sort_by(|a, b| a.2.total_cmp(&b.2));
    let (low, high) = (measured[0].2, measured[measured.len() - 1].2);
    let room = ((high - low) * 0.04).max(1e-4);
    let scale = Axis::percent_between("MeanRecall", low - room, high + room);
    let mut tracks: Vec<Track> = Vec::new();
    let mut orders = Vec::new();
    for (axis_idx, axis) in group_axes(report) {
        let order = axis.order();
        let names: Vec<&str> = order.iter().map(|value| axis.values[*value].text.as_str()).collect();
        tracks.push(Track::of_names(&axis.name, &names));
        orders.push((axis_idx, order));
    }
    let labels = scale.ticks.iter().map(|(value, text)| (scale.share(*value), text.clone()));
    tracks.push(Track { name: "MeanRecall".to_owned(), labels: labels.collect() });
    let lines = measured.iter().map(|(idx, group, mean)| {
        let rank = (mean - low) / (high - low).max(f64::MIN_POSITIVE);
        let place = |(axis_idx, order): &(usize, Vec<usize>)| {
            let position = order.iter().position(|value| Some(*value) == group.values[*axis_idx]).unwrap_or(0);
            Track::meeting(position, order.len(), rank)
        };
        let colour = (rank * (N_COLOURS - 1.0)).round();
        let best = if report.best == Some(*idx) { " best" } else { "" };
        let spread = group.mean_recall.as_ref().map(mean_and_sd).unwrap_or_default();
        Line {
            group: *idx,
            class: format!("q{colour}{best}"),
            places: orders.iter().map(place).chain([scale.share(*mean)]).collect(),
            tip: format!("{}\nMeanRecall {spread}", label(report, group)),
        }
    });
    let lines: Vec<_> = lines.collect();
    Some(html! {
        p.sub {
            "Each line is a group of points, of stronger colour the higher its MeanRecall; lines of one value lie \
            beside each other in that order. "
            "Point at a line, or reach it with Tab and the arrow keys: its row is marked. Click it to see its points."
        }
        div.scroll { (parallel("groups by their values and MeanRecall", &tracks, &lines)) }
    })
}
