//! The MeanRecall by the values of two axes, as a table whose cells are coloured.

use maud::{Markup, html};

use crate::facts::{HeatFacts, SweepReport};
use crate::page::words::percent;

/// The number of steps of the colour scale.
const N_COLOURS: f64 = 9.0;

pub(super) fn draw(report: &SweepReport) -> Markup {
    html! {
        p.sub {
            "Each cell is the mean MeanRecall over all points with these two values, of stronger colour the higher it \
            is; the best is framed. "
            "Values that were drawn from a range are put into bins."
        }
        @if report.heat.len() > 1 {
            label.chooser hidden {
                "axes "
                select {
                    @for (idx, heat) in report.heat.iter().enumerate() { option value=(idx) { (names(report, heat)) } }
                }
            }
        }
        div.heats { @for heat in &report.heat { (table(report, heat)) } }
    }
}

fn names(report: &SweepReport, heat: &HeatFacts) -> String {
    let [x, y] = heat.axes.map(|axis| &report.axes[axis].name);
    format!("{y} × {x}")
}

fn table(report: &SweepReport, heat: &HeatFacts) -> Markup {
    let means = || heat.cells.iter().flatten().map(|(mean, _)| *mean);
    let (low, high) = (means().fold(f64::INFINITY, f64::min), means().fold(f64::NEG_INFINITY, f64::max));
    let [x, y] = heat.axes.map(|axis| &report.axes[axis].name);
    html! {
        figure.heat {
            figcaption { (names(report, heat)) }
            div.scroll { table {
                thead { tr {
                    th.corner { (y) " ↓  " (x) " →" }
                    @for column in &heat.columns { th scope="col" { (column) } }
                } }
                tbody { @for (row, cells) in heat.rows.iter().zip(heat.cells.chunks(heat.columns.len().max(1))) {
                    tr {
                        th scope="row" { (row) }
                        @for (cell, column) in cells.iter().zip(&heat.columns) { @match cell {
                            None => td.empty { "·" },
                            Some((mean, n)) => {
                                @let rank = (mean - low) / (high - low).max(f64::MIN_POSITIVE);
                                @let colour = (rank * (N_COLOURS - 1.0)).round();
                                @let best = if *mean == high { " best" } else { "" };
                                @let noun = if *n == 1 { "point" } else { "points" };
                                @let recall = percent(*mean);
                                @let tip = format!("{y}={row}, {x}={column}\nMeanRecall {recall}, {n} {noun}");
                                td class={ "h" (colour) (best) } data-tip=(tip) { (percent(*mean)) }
                            },
                        } }
                    }
                } }
            } }
        }
    }
}
