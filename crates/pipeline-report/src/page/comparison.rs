//! The differences from another run: metrics query by query, params and inputs stage by stage.

use std::cmp::Ordering;

use maud::{Markup, html};
use pipeline_core::LineChange;
use pipeline_eval::Quantity;

use super::meter::balance;
use super::metrics::{Share, other, verdict};
use super::words::{count, percent, points};
use crate::facts::{Comparison, Difference, Evaluation, Report, StageDifference};

/// `shares` are in the order of the evaluations.
pub(super) fn draw(report: &Report, comparison: &Comparison, shares: &[Vec<Share>]) -> Markup {
    html! {
        p.sub {
            "This run beside " code { (comparison.run.id) } " of " b { (comparison.run.spec) } ", "
            (comparison.run.started) " UTC" @if let Some(name) = &comparison.run.name { ", " b { (name) } } "."
        }
        @for (evaluation, shares) in report.evaluations.iter().zip(shares) {
            @if let Some(Ok(_)) = other(report, evaluation) { (metrics(report, evaluation, shares)) }
        }
        h3 { "Changed" }
        (stages(&comparison.stages))
    }
}

fn metrics(report: &Report, evaluation: &Evaluation, shares: &[Share]) -> Markup {
    let compared: Vec<(&Share, Difference)> =
        shares.iter().filter_map(|share| Some((share, share.difference?))).collect();
    let reach = compared.iter().flat_map(|(_, difference)| [difference.interval.low, difference.interval.high]);
    let reach = reach.map(f64::abs).fold(0.001, f64::max) * 1.1;
    html! {
        @if report.evaluations.len() > 1 { h3 { (evaluation.stage) } }
        @if let Some((share, difference)) = compared.first() { p.meaning { (meaning(evaluation, share, *difference)) } }
        div.scroll { table.compared {
            thead { tr {
                th { "metric" } th.n { "other run" } th.n { "this run" } th.n { "difference" }
                th.meter-cell {
                    "95%, paired" span.ends { span { (points(-reach)) } " " span { "0" } " " span { (points(reach)) } }
                }
                th { "interval" } th { "won, lost" } th { "verdict" }
            } }
            tbody { @for (share, difference) in &compared {
                tr {
                    td { (share.name) }
                    td.n { (percent(share.value - difference.value)) }
                    td.n { (percent(share.value)) }
                    td.n { b { (points(difference.value)) } }
                    td.meter-cell { (balance(difference.value, difference.interval, reach)) }
                    td.nowrap { (points(difference.interval.low)) " … " (points(difference.interval.high)) }
                    td.nowrap { @if let Some(signs) = share.signs {
                        span data-tip=(format!("exact sign test: p = {:.4}", signs.p)) {
                            span.up { "+" (count(signs.n_up as u64)) } " "
                            span.down { "−" (count(signs.n_down as u64)) }
                        }
                    } }
                    td.nowrap { (verdict(difference.interval)) }
                }
            } }
        } }
    }
}

/// The main difference in a sentence, and its meaning.
fn meaning(evaluation: &Evaluation, share: &Share, Difference { value, interval }: Difference) -> String {
    let n_queries = Quantity::NQueries.value_in(&evaluation.metrics);
    let over = n_queries.map(|n| format!("Over the same {} queries ", count(n as u64))).unwrap_or_default();
    let moved = match value {
        value if value > 0.0 => format!("rose by {:.2} points", value * 100.0),
        value if value < 0.0 => format!("fell by {:.2} points", -value * 100.0),
        _ => "stayed the same".to_owned(),
    };
    let conclusion = match interval.side_of_zero() {
        Some(Ordering::Greater) => "this run is better, and chance does not explain it",
        Some(_) => "this run is worse, and chance does not explain it",
        None => "there is no evidence that one of the two is better",
    };
    format!(
        "{over}{} {moved}. The 95% interval of the difference is {} … {}: {conclusion}.",
        share.name,
        points(interval.low),
        points(interval.high)
    )
}

/// What was changed by hand first; what follows from it, such as other inputs, can be opened.
fn stages(differences: &[StageDifference]) -> Markup {
    let n_same = differences.iter().filter(|difference| matches!(difference, StageDifference::Same(_))).count();
    let (own, followed): (Vec<_>, Vec<_>) = differences.iter().flat_map(rows).partition(|row| !row.is_input());
    html! {
        @if own.is_empty() { p.sub { "No param, source or version." } } @else { (table(&own)) }
        @if !followed.is_empty() {
            details {
                summary { "Inputs that differ in consequence " small.soft { (followed.len()) } }
                (table(&followed))
            }
        }
        p.sub { (n_same) " of " (differences.len()) " stages gave the same artifact." }
    }
}

/// A difference of a stage: a line of its manifest, or a sentence.
enum Row<'a> {
    Line(&'a str, &'a LineChange),
    Sentence(&'a str, &'static str),
}

impl Row<'_> {
    fn is_input(&self) -> bool {
        matches!(self, Self::Line(_, line) if line.name.starts_with("input."))
    }
}

fn rows(difference: &StageDifference) -> Vec<Row<'_>> {
    match difference {
        StageDifference::Same(_) => Vec::new(),
        StageDifference::Changed(stage, None) => vec![Row::Sentence(stage, "its manifest is gone")],
        StageDifference::Changed(stage, Some(lines)) if lines.is_empty() => {
            vec![Row::Sentence(stage, "the same manifest, but other bytes")]
        }
        StageDifference::Changed(stage, Some(lines)) => lines.iter().map(|line| Row::Line(stage, line)).collect(),
        StageDifference::Added(stage) => vec![Row::Sentence(stage, "only in this run")],
        StageDifference::Removed(stage) => vec![Row::Sentence(stage, "only in the other run")],
    }
}

fn table(rows: &[Row<'_>]) -> Markup {
    html! {
        div.scroll { table.changes {
            thead { tr { th { "stage" } th { "line of the manifest" } th { "other run" } th { "this run" } } }
            tbody { @for row in rows { tr { @match row {
                Row::Sentence(stage, sentence) => { td { (stage) } td colspan="3" { (sentence) } },
                Row::Line(stage, line) => {
                    td { (stage) }
                    td { code { (line.name) } }
                    td.value { (value(line.old.as_deref())) }
                    td.value { (value(line.new.as_deref())) }
                },
            } } } }
        } }
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
