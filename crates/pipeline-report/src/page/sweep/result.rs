//! The result: the best group, the reference group, and the difference between them.

use maud::{Markup, html};

use super::{label, mean_and_sd};
use crate::facts::{GroupFacts, PointState, Standing, SweepReport};
use crate::page::meter::{Scale, meter};
use crate::page::metrics::{bounds, verdict};
use crate::page::words::{count, percent, points};

pub(super) fn draw(report: &SweepReport) -> Markup {
    let reference = report.reference.map(|idx| &report.groups[idx]);
    let best = report.best.map(|idx| &report.groups[idx]);
    html! {
        p.sub { (summary(report)) }
        @match (reference, best) {
            (Some(reference), Some(best)) => { (tiles(report, reference, best)) },
            (Some(reference), None) => div.tiles.pair { (tile(report, only(report), reference, true)) },
            (None, _) => p.note { "No point has measured MeanRecall, so there is nothing to compare." },
        }
        @if reference.is_some() { (reading(report)) }
    }
}

fn only(report: &SweepReport) -> &'static str {
    if report.groups.len() > 1 { "Only group that can be compared" } else { "All points" }
}

/// The number of points, by state.
fn summary(report: &SweepReport) -> String {
    let states = [
        (PointState::Ran, "ran"),
        (PointState::Reused, "reused"),
        (PointState::Failed, "failed"),
        (PointState::Skipped, "skipped"),
    ];
    let n_in = |state: PointState| report.points.iter().filter(|point| point.state == state).count();
    let parts = states.into_iter().map(|(state, word)| (n_in(state), word)).filter(|(n, _)| *n > 0);
    let parts: Vec<_> = parts.map(|(n, word)| format!("{} {word}", count(n as u64))).collect();
    let axes: Vec<_> = report.axes.iter().map(|axis| format!("{} ({})", axis.name, axis.values.len())).collect();
    format!("{} points of {}: {}.", count(report.points.len() as u64), axes.join(" × "), parts.join(", "))
}

fn tiles(report: &SweepReport, reference: &GroupFacts, best: &GroupFacts) -> Markup {
    let n_comparable = report.groups.iter().filter(|group| group.is_comparable()).count();
    let is_first = best.standing == Standing::Reference;
    html! {
        div.tiles.pair {
            (tile(report, &format!("Best of {n_comparable} groups"), best, true))
            @if !is_first { (tile(report, "First group", reference, false)) }
            div.tile {
                h4 { "Best against first" }
                @match &best.standing {
                    Standing::Compared(difference) => {
                        p.big { (points(difference.value)) small { " points" } }
                        p.label { (verdict(difference.interval)) }
                        p.sub {
                            "95%, paired over queries: "
                            span.nowrap { (points(difference.interval.low)) " … " (points(difference.interval.high)) }
                        }
                    },
                    Standing::Untested(why, difference) => {
                        p.big { (points(*difference)) small { " points" } }
                        p.sub { "not tested: " (why) }
                    },
                    _ => p.sub { "The first group is the best: no other has a higher MeanRecall." },
                }
            }
        }
    }
}

fn tile(report: &SweepReport, title: &str, group: &GroupFacts, is_first: bool) -> Markup {
    html! {
        div.tile.first[is_first] {
            h4 { (title) }
            @if let Some(spread) = &group.mean_recall {
                p.big { (percent(spread.mean)) }
                @let scale = Scale::around(spread.mean, group.interval);
                div.scale aria-hidden="true" { (meter(spread.mean, group.interval, scale, None)) (scale.legend()) }
                p.label { (label(report, group)) }
                p.sub {
                    @if spread.sd.is_some() { "MeanRecall " (mean_and_sd(spread)) ", " (spread.n) " seeds" }
                    @else { "MeanRecall, one point" }
                    @if group.interval.is_some() { "; 95%: " span.nowrap { (bounds(group.interval)) } }
                }
            }
        }
    }
}

/// Explains the numbers, and what cannot be compared.
fn reading(report: &SweepReport) -> Markup {
    let n_groups = report.groups.len();
    let n_other = report.groups.iter().filter(|group| matches!(group.standing, Standing::Incomparable(_))).count();
    let n_without = report.points.iter().filter(|point| point.mean_recall.is_none()).count();
    html! {
        p.sub {
            "± is the standard deviation over seeds; intervals are over queries, of the mean over the seeds of a \
            group. "
            "Groups are compared with the first query by query, as "
            code { "pipeline diff" } " compares runs. "
            @if n_groups > 2 {
                "The best of several is flattered by the choice: measure it again, with other seeds or queries, before \
                you rely on it."
            }
        }
        @if n_other > 0 {
            p.note {
                (n_other) " of " (n_groups) " groups were measured over other data than the first and are not "
                "compared: the table names the data."
            }
        }
        @if n_without > 0 {
            p.note {
                (n_without) " of " (report.points.len()) " points have no MeanRecall: means are over the others."
            }
        }
    }
}
