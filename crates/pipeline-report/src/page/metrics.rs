//! Metrics with their intervals and comparisons.

use std::cmp::Ordering;

use maud::{Markup, html};
use pipeline_eval::statistics::{Interval, SignTest};
use pipeline_eval::{MetricName, Quantity};

use super::words::{percent, plain, points};
use crate::facts::{Difference, Evaluation, OtherEvaluation, Report};

/// A metric that is a share: MeanRecall or a Recall@k.
pub(super) struct Share {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) interval: Option<Interval>,
    /// The accepted value.
    pub(super) baseline: Option<f64>,
    /// The paired difference to the other run.
    pub(super) difference: Option<Difference>,
    /// The queries that rose and fell against the other run.
    pub(super) signs: Option<SignTest>,
    /// The value of rankings drawn at random.
    pub(super) chance: Option<f64>,
}

/// MeanRecall first, then each Recall@k.
pub(super) fn shares(report: &Report, evaluation: &Evaluation) -> Vec<Share> {
    let resampled = evaluation.analysis.recalls.as_ref();
    let other = other(report, evaluation).and_then(Result::ok);
    let accepted = evaluation.baseline.as_ref().and_then(|baseline| baseline.as_ref().ok());
    let chance = evaluation.chance.as_ref();
    let share = |metric: MetricName, resampled: Option<Interval>, chance: Option<f64>| {
        Some(Share {
            name: metric.title(),
            value: metric.value_in(&evaluation.metrics)?,
            interval: metric.interval_in(&evaluation.metrics).or(resampled),
            baseline: accepted.and_then(|metrics| metric.value_in(metrics)),
            difference: other.and_then(|other| other.differences.get(&metric).copied()),
            signs: other.and_then(|other| other.sign_tests.get(&metric).copied()),
            chance,
        })
    };
    let of_mean = chance.map(|chance| chance.mean);
    let mean = share(Quantity::MeanRecall.into(), resampled.map(|all| all.mean_interval), of_mean);
    let at_k = evaluation.analysis.ks.iter().filter_map(|k| {
        let point = resampled.and_then(|all| all.at.iter().find(|point| point.k == *k));
        let at_k = chance.and_then(|chance| chance.at.iter().find(|(at, _)| at == k)).map(|(_, share)| *share);
        share(Quantity::RecallAt(*k as usize).into(), point.map(|point| point.interval), at_k)
    });
    mean.into_iter().chain(at_k).collect()
}

/// The evaluation of the other run that belongs to this one.
pub(super) fn other<'a>(
    report: &'a Report,
    evaluation: &Evaluation,
) -> Option<Result<&'a OtherEvaluation, &'a String>> {
    Some(report.comparison.as_ref()?.evaluations.get(&evaluation.stage)?.as_ref())
}

/// The differences to the baseline and to the other run, with their significance.
pub(super) fn deltas(share: &Share) -> Markup {
    html! {
        @if let Some(baseline) = share.baseline {
            @let is_within = share.interval.is_some_and(|Interval { low, high }| (low..=high).contains(&baseline));
            (delta(share.value - baseline, !is_within, html! { " vs baseline " (percent(baseline)) }))
        }
        @if let Some(Difference { value, interval }) = share.difference {
            (delta(value, interval.side_of_zero().is_some(), html! {
                " vs other run, " span.nowrap { "[" (points(interval.low)) ", " (points(interval.high)) "]" } ": "
                (verdict(interval))
            }))
        }
    }
}

/// A difference, coloured only where it may be significant.
fn delta(value: f64, is_telling: bool, against: Markup) -> Markup {
    let (class, sign) = match value {
        value if value >= 0.000_05 => ("up", "▲"),
        value if value <= -0.000_05 => ("down", "▼"),
        _ => ("same", "="),
    };
    let class = if is_telling { class } else { "same" };
    html! { p.delta { b class=(class) { (sign) " " (points(value)) } (against) } }
}

/// The verdict of a paired interval.
pub(super) fn verdict(interval: Interval) -> &'static str {
    match interval.side_of_zero() {
        Some(Ordering::Greater) => "better",
        Some(_) => "worse",
        None => "no evidence of a difference",
    }
}

/// Low and high, in percent.
pub(super) fn bounds(interval: Option<Interval>) -> String {
    interval.map(|Interval { low, high }| format!("{}–{}", plain_percent(low), percent(high))).unwrap_or_default()
}

fn plain_percent(share: f64) -> String {
    percent(share).trim_end_matches('%').to_owned()
}

/// All metrics of an evaluation, beside those of the baseline and the other run.
pub(super) fn table(report: &Report, evaluation: &Evaluation) -> Markup {
    let accepted = evaluation.baseline.as_ref().and_then(|baseline| baseline.as_ref().ok());
    let other = other(report, evaluation).and_then(Result::ok);
    let metrics = &evaluation.metrics;
    let is_bound = |name: &MetricName| name.bound.is_some() && name.whole().value_in(metrics).is_some();
    let names = metrics.iter().map(|(name, value)| (MetricName::from(name.as_str()), *value));
    let cell = |value: Option<f64>| value.map(plain).unwrap_or_default();
    html! {
        details {
            summary { "All metrics" }
            div.scroll { table {
                thead { tr {
                    th { "metric" } th.n { "value" } th.n { "95% interval" }
                    @if accepted.is_some() { th.n { "baseline" } }
                    @if other.is_some() { th.n { "other run" } }
                } }
                tbody { @for (name, value) in names.filter(|(name, _)| !is_bound(name)) {
                    tr {
                        td { code { (name) } }
                        td.n { (plain(value)) }
                        td.n {
                            @if let Some(Interval { low, high }) = name.interval_in(metrics) {
                                (plain(low)) "–" (plain(high))
                            }
                        }
                        @if let Some(accepted) = accepted { td.n { (cell(name.value_in(accepted))) } }
                        @if let Some(other) = other { td.n { (cell(name.value_in(&other.metrics))) } }
                    }
                } }
            } }
        }
    }
}
