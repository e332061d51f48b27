//! What each axis does: MeanRecall against its values, as means over everything else.

use maud::{Markup, html};

use crate::chart::{Mean, means};
use crate::facts::{AxisFacts, EffectFacts, EffectValue, SweepReport};
use crate::page::metrics::bounds;
use crate::page::words::percent;

pub(super) fn draw(report: &SweepReport) -> Markup {
    let is_uneven = report.effects.iter().any(is_uneven);
    html! {
        p.sub {
            "Each dot is the mean over all points with that value, its line the 95% interval over queries, and the small dots are the points."
        }
        @if is_uneven {
            p.note { "Points are missing, so that some means are over fewer settings than others: compare with care." }
        }
        div.charts { @for effect in &report.effects {
            @let axis = &report.axes[effect.axis];
            figure {
                figcaption { (axis.name) }
                (chart(axis, effect))
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
