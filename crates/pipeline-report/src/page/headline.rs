//! The result: MeanRecall and each Recall@k with intervals, and comparisons with the baseline and another run.

use maud::{Markup, html};
use pipeline_eval::Quantity;

use super::meter::{Scale, meter};
use super::metrics::{Share, bounds, deltas, other, table};
use super::words::{count, percent};
use crate::facts::{Evaluation, Report};

/// `shares` are in the order of the evaluations.
pub(super) fn draw(report: &Report, shares: &[Vec<Share>]) -> Markup {
    let several = report.evaluations.len() > 1;
    html! {
        @for (evaluation, shares) in report.evaluations.iter().zip(shares) {
            @if several { h3 { (evaluation.stage) } }
            (one(report, evaluation, shares))
        }
    }
}

fn one(report: &Report, evaluation: &Evaluation, shares: &[Share]) -> Markup {
    html! {
        div.tiles {
            @for (idx, share) in shares.iter().enumerate() { (tile(share, idx == 0)) }
        }
        p.sub { (over(evaluation)) }
        @if let Some(Err(why)) = &evaluation.baseline { p.note { "Not compared with the baseline: " (why) "." } }
        @if let Some(Err(why)) = other(report, evaluation) { p.note { "Not compared with the other run: " (why) "." } }
        (table(report, evaluation))
    }
}

fn tile(share: &Share, is_first: bool) -> Markup {
    html! {
        div.tile.first[is_first] {
            h4 { (share.name) }
            p.big { (percent(share.value)) }
            @let scale = Scale::around(share.value, share.interval);
            div.scale aria-hidden="true" { (meter(share.value, share.interval, scale, share.chance)) (scale.legend()) }
            p.sub.apart {
                @if share.interval.is_some() { span.nowrap { "95%: " (bounds(share.interval)) } }
                @if let Some(chance) = share.chance {
                    " "
                    span.nowrap data-tip="the expected value of rankings drawn at random" {
                        "chance " (percent(chance))
                    }
                }
            }
            (deltas(share))
        }
    }
}

/// The sizes of the query set and of the pool.
fn over(evaluation: &Evaluation) -> Markup {
    let metric = |quantity: Quantity| quantity.value_in(&evaluation.metrics).map(|value| count(value as u64));
    html! {
        "Any-hit recall: a query counts when one of its relevant images is among the first k."
        @if let Some(n_queries) = metric(Quantity::NQueries) { " " (n_queries) " queries" }
        @if let Some(pool_size) = metric(Quantity::PoolSize) { " over a pool of " (pool_size) " images" }
        @if let Some(n_answerable) = metric(Quantity::NAnswerable) {
            "; " (n_answerable) " have a relevant image in the pool"
        }
        "."
    }
}
