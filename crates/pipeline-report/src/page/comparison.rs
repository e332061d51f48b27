//! The differences from another run: metrics query by query, params and inputs stage by stage.

use maud::{Markup, html};
use pipeline_core::LineChange;

use super::metrics::{Share, other, verdict};
use super::words::{percent, points};
use crate::facts::{Comparison, Report, StageDifference};

/// `shares` are in the order of the evaluations.
pub(super) fn draw(report: &Report, comparison: &Comparison, shares: &[Vec<Share>]) -> Markup {
    html! {
        p.sub {
            "This run beside " code { (comparison.run.id) } " of " b { (comparison.run.spec) } ", " (comparison.run.started)
            " UTC."
        }
        @for (evaluation, shares) in report.evaluations.iter().zip(shares) {
            @if let Some(Ok(_)) = other(report, evaluation) {
                div.scroll { table {
                    thead { tr {
                        th { (evaluation.stage) } th.n { "other run" } th.n { "this run" } th.n { "difference" }
                        th.n { "95%, paired" } th { "verdict" }
                    } }
                    tbody { @for share in shares { @if let Some(difference) = share.difference {
                        tr {
                            td { (share.name) }
                            td.n { (percent(share.value - difference.value)) }
                            td.n { (percent(share.value)) }
                            td.n { (points(difference.value)) }
                            td.n { (points(difference.interval.low)) " … " (points(difference.interval.high)) }
                            td.nowrap { (verdict(difference.interval)) }
                        }
                    } } }
                } }
            }
        }
        (stages(&comparison.stages))
    }
}

fn stages(differences: &[StageDifference]) -> Markup {
    let n_same = differences.iter().filter(|difference| matches!(difference, StageDifference::Same(_))).count();
    html! {
        div.scroll { table.changes {
            thead { tr { th { "stage" } th { "line of the manifest" } th { "other run" } th { "this run" } } }
            tbody { @for difference in differences { @match difference {
                StageDifference::Same(_) => {},
                StageDifference::Changed(stage, None) => tr {
                    td { (stage) } td colspan="3" { "what went into it is not remembered" }
                },
                StageDifference::Changed(stage, Some(lines)) => { (changed(stage, lines)) },
                StageDifference::Added(stage) => tr { td { (stage) } td colspan="3" { "only in this run" } },
                StageDifference::Removed(stage) => tr { td { (stage) } td colspan="3" { "only in the other run" } },
            } } }
        } }
        p.sub { (n_same) " of " (differences.len()) " stages gave the same artifact." }
    }
}

fn changed(stage: &str, lines: &[LineChange]) -> Markup {
    html! {
        @if lines.is_empty() {
            tr { td { (stage) } td colspan="3" { "the same manifest, but other bytes" } }
        }
        @for (idx, line) in lines.iter().enumerate() {
            tr {
                td { @if idx == 0 { (stage) } }
                td { code { (line.name) } }
                td.value { (value(line.old.as_deref())) }
                td.value { (value(line.new.as_deref())) }
            }
        }
    }
}

/// A value; a digest is shortened.
fn value(value: Option<&str>) -> Markup {
    let is_digest = |value: &str| value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    html! { @match value {
        None => "–",
        Some(digest) if is_digest(digest) => span.digest data-tip=(digest) { (digest[..12]) "…" },
        Some(value) => (value),
    } }
}
