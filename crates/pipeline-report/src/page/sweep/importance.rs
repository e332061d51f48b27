//! The importance of each axis: the share of the variance that it explains, and how often chance explains as much.

use maud::{Markup, html};

use crate::facts::{ImportanceFacts, ImportantAxis};
use crate::page::words::percent;

/// The largest share of shuffles at which an importance is called more than chance.
const LEVEL: f64 = 0.05;

pub(super) fn draw(importance: &ImportanceFacts) -> Markup {
    html! {
        @if let Some(unknown) = &importance.unknown {
            p.sub { "Nothing can be said: " (unknown) "." }
        } @else {
            p.sub {
                "The share of the variance of " code { (importance.metric) }
                @if let Some(rung) = &importance.rung { ", measured with " code { (rung) } "," }
                " over " (importance.n_points) " points that each axis explains by itself (ε² of an analysis of "
                "variance; the values of a range are cut into groups of equal size). What axes do only together is "
                "in no share. "
                "Chance: how often the same points, shuffled, give an axis as large a share."
            }
            div.scroll { table {
                thead { tr { th { "axis" } th.n { "share" } th.n { "chance" } th.n { "groups" } th {} } }
                tbody { @for axis in &importance.axes { (row(axis)) } }
            } }
        }
    }
}

fn row(axis: &ImportantAxis) -> Markup {
    html! {
        tr {
            td.nowrap { code { (axis.name) } }
            td.n { (percent(axis.share)) }
            td.n { (format!("{:.3}", axis.chance)) }
            td.n { (axis.n_groups) }
            td { @if axis.chance > LEVEL { span.soft { "as good as chance" } } @else { "matters" } }
        }
    }
}
