//! The axes of the sweep, the resolved spec, and the digests of all stages.

use maud::{Markup, html};

use crate::facts::SweepReport;
use crate::page::config;

pub(super) fn draw(report: &SweepReport) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "axis" } th.n { "values" } th {} } }
            tbody { @for axis in &report.axes {
                tr {
                    td.nowrap { code { (axis.key) } }
                    td.n { (axis.values.len()) }
                    td.values {
                        @for (idx, value) in axis.values.iter().enumerate() {
                            @if idx > 0 { ", " } code { (value.text) }
                        }
                        @if axis.is_seed { " " span.soft { "a seed: points that differ in it only are one group" } }
                    }
                }
            } }
        } }
        (config::spec(report.spec_yaml.as_deref()))
        (config::digests(report.stages.iter().flat_map(|stage| &stage.copies)))
        p.sub { "The manifests of a point, with every param, are in its own page." }
    }
}
