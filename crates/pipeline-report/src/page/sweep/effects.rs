//! The effect of each axis: MeanRecall against its values, as means over everything else.

use maud::{Markup, html};

use crate::chart::{Mean, means};
use crate::facts::{AxisFacts, EffectFacts, EffectValue, SweepReport};
use crate::page::metrics::{bounds, verdict};
use crate::page::words::{percent, points};

pub(super) fn draw(report: &SweepReport) -> Markup {
    let is_uneven = report.effects.iter().any(is_uneven);
    html! {
        p.sub {
            "Each dot is the mean over all points with that value, its line the 95% interval over queries, and the \
            small dots are the points. "
            "All points have seen the same queries, so intervals that overlap say little: the differences below are \
            paired."
        }
        @if is_uneven {
            p.note { "Points are missing, so that some means are over fewer settings than others: compare with care." }
        }
        div.charts { @for effect in &report.effects {
            @let axis = &report.axes[effect.axis];
            figure {
                figcaption { (axis.name) }
                (chart(axis, effect))
                (table(axis, effect))
            }
        } }
    }
}

fn is_uneven(effect: &EffectFacts) -> bool {
    effect.values.windows(2).any(|two| two[0].points.len() != two[1].points.len())
}

fn chart(axis: &AxisFacts, effect: &EffectFacts) -> Markup {
    let columns: Vec<Mean> = effect.values.iter().map(|value| mean(axis, value)).collect();
    means(&format!("MeanRecall by {}", axis.name), &axis.name, "MeanRecall", &columns, axis.is_numeric())
}

/// The means, and the difference of each to the first.
fn table(axis: &AxisFacts, effect: &EffectFacts) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { (axis.name) } th.n { "points" } th.n { "MeanRecall" } th.n { "to the first" } th {} } }
            tbody { @for value in &effect.values {
                tr {
                    td { (axis.values[value.value].text) }
                    td.n { (value.points.len()) }
                    td.n { (percent(value.mean)) }
                    td.n { @if let Some(difference) = value.difference {
                        (points(difference.value)) " "
                        span.soft { "[" (points(difference.interval.low)) ", " (points(difference.interval.high)) "]" }
                    } }
                    td { @if let Some(difference) = value.difference { (verdict(difference.interval)) } }
                }
            } }
        } }
    }
}

fn mean(axis: &AxisFacts, value: &EffectValue) -> Mean {
    let name = axis.values[value.value].text.clone();
    let interval = value.interval.map(|interval| format!(" ({})", bounds(Some(interval)))).unwrap_or_default();
    let n_points = value.points.len();
    let noun = if n_points == 1 { "point" } else { "points" };
    Mean {
        tip: format!("{}={name}\n{}{interval}, {n_points} {noun}", axis.name, percent(value.mean)),
        value: value.mean,
        interval: value.interval,
        parts: value
            .points
            .iter()
            .map(|(point, share)| (*share, format!("point {point}: {}", percent(*share))))
            .collect(),
        name,
    }
}
