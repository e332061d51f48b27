//! The rungs of a sweep that stops bad points early: how many points were on each, and where the line was drawn.

use maud::{Markup, html};

use crate::facts::{RungFacts, RungsFacts};
use crate::page::words::plain;

pub(super) fn draw(rungs: &RungsFacts) -> Markup {
    html! {
        p.sub {
            "All points begin on the first rung. The best 1 of " (rungs.factor) " by " code { (rungs.metric) }
            " go on to the next, with more of " code { (rungs.resource) } "; only those on the last are evaluated."
        }
        div.scroll { table {
            thead { tr {
                th { "rung" } th.n { (rungs.resource_name) } th.n { "points" } th.n { "failed" } th.n { "went on" }
                th.n { "best" } th.n { "last that went on" } th.n { "worst" } th { "stopped points" }
            } }
            tbody { @for (idx, rung) in rungs.rungs.iter().enumerate() { (row(idx, rung)) } }
        } }
    }
}

fn row(idx: usize, rung: &RungFacts) -> Markup {
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), plain);
    let stopped: Vec<String> = rung.stopped.iter().map(ToString::to_string).collect();
    html! {
        tr {
            td { (idx + 1) }
            td.n { (rung.value) }
            td.n { (rung.n_points) }
            td.n { (rung.n_failed) }
            td.n { (rung.n_promoted) }
            td.n { (value(rung.best)) }
            td.n { (value(rung.cut)) }
            td.n { (value(rung.worst)) }
            td { (stopped.join(", ")) }
        }
    }
}
