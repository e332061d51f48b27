//! Metrics with their intervals and comparisons.

use std::cmp::Ordering;

use maud::{Markup, html};
use pipeline_eval::statistics::Interval;
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
}

/// MeanRecall first, then each Recall@k.
pub(super) fn shares(report: &Report, evaluation: &Evaluation) -> Vec<Share> {
    let resampled = evaluation.analysis.recalls.as_ref();
    let other = other(report, evaluation).and_then(Result::ok);
    let accepted = evaluation.baseline.as_ref().and_then(|baseline| baseline.as_ref().ok());
    let share = |metric: MetricName, resampled: Option<Interval>| {
        Some(Share {
            name: metric.title(),
            value: metric.value_in(&evaluation.metrics)?,
            interval: metric.interval_in(&evaluation.metrics).or(resampled),
            baseline: accepted.and_then(|metrics| metric.value_in(metrics)),
            difference: other.and_then(|other| other.differences.get(&metric).copied()),
        })
    };
    let mean = share(Quantity::MeanRecall.into(), resampled.map(|all| all.mean_interval));
    let at_k = evaluation.analysis.ks.iter().filter_map(|k| {
        let point = resampled.and_then(|all| all.at.iter().find(|point| point.k == *k));
        share(Quantity::RecallAt(*k as usize).into(), point.map(|point| point.interval))
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

/// A share and its interval on a track with this range. Positions are attributes, since a server's strict policy would
/// forbid inline styles.
pub(super) fn meter(value: f64, interval: Option<Interval>, range: Interval) -> Markup {
    let share = |value: f64| 100.0 * ((value - range.low) / (range.high - range.low)).clamp(0.0, 1.0);
    let at = |value: f64| format!("{:.1}%", share(value));
    html! {
        svg.meter aria-hidden="true" {
            @if let Some(Interval { low, high }) = interval {
                @let width = format!("{:.1}%", (share(high) - share(low)).max(0.5));
                rect.range x=(at(low)) y="2" width=(width) height="8" rx="4" {}
            }
            rect.at x=(at(value)) y="0" width="3" height="12" rx="1.5" {}
        }
    }
}

/// The whole range of a share.
pub(super) const ALL: Interval = Interval { low: 0.0, high: 1.0 };

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
