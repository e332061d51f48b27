//! Retrieval quality: recall at every k, the ranks of the best relevant images, and the hard queries.

use maud::{Markup, html};
use pipeline_eval::Quantity;
use pipeline_eval::statistics::Interval;

use super::metrics::{bounds, meter};
use super::words::{count, percent};
use crate::chart::{Axis, Bar, Curve, bars, lines};
use crate::facts::Evaluation;
use pipeline_eval::analysis::n_within;
use pipeline_eval::analysis::wilson;
use pipeline_eval::analysis::{Slice, by_length, by_relevant};

/// The largest k of the curve.
const MAX_K: u32 = 100;
/// The upper bounds of the histogram's bins; each bin begins after the one before.
const BINS: [u32; 13] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, u32::MAX];

pub(super) fn draw(evaluation: &Evaluation) -> Markup {
    let queries: Vec<_> = evaluation.labelled().collect();
    let ranks: Vec<Option<u32>> = queries.iter().map(|query| query.rank).collect();
    if ranks.is_empty() {
        return html! { p.sub { "No query names its relevant images." } };
    }
    let ks = evaluation.ks();
    let pool_size = Quantity::PoolSize.value_in(&evaluation.metrics).map_or(u32::MAX, |size| size as u32);
    html! {
        div.charts {
            figure {
                figcaption { "Recall at k, with 95% intervals" }
                (curves(&ranks, evaluation.image_ranks.as_deref(), pool_size))
            }
            figure { figcaption { "Rank of the best relevant image" } (histogram(&ranks, pool_size)) }
        }
        div.charts {
            (slices("By characters of the query", &by_length(&queries, &ks)))
            (slices("By number of relevant images", &by_relevant(&queries, &ks)))
        }
    }
}

fn curves(ranks: &[Option<u32>], image_ranks: Option<&[Option<u32>]>, pool_size: u32) -> Markup {
    let max_k = MAX_K.min(pool_size.max(2));
    let mut curves = vec![curve("text to image", "c1", ranks, max_k)];
    curves.extend(image_ranks.map(|ranks| curve("image to text", "c2", ranks, max_k)));
    let highest = curves.iter().flat_map(|curve| &curve.band).map(|(_, _, high)| *high).fold(0.0, f64::max);
    let tips = (1..=max_k).map(|k| {
        let values = curves.iter().map(|curve| {
            let (_, low, high) = curve.band[k as usize - 1];
            let share = curve.points[k as usize - 1].1;
            format!("{} {} ({})", curve.name, percent(share), bounds(Some(Interval { low, high })))
        });
        (f64::from(k), format!("Recall@{k}\n{}", values.collect::<Vec<_>>().join("\n")))
    });
    let tips: Vec<_> = tips.collect();
    lines("recall at k", Axis::log("k", f64::from(max_k)), Axis::percent("recall", highest * 1.02), &curves, &[], &tips)
}

fn curve(name: &str, class: &'static str, ranks: &[Option<u32>], max_k: u32) -> Curve {
    let at = |k: u32| (n_within(ranks.iter(), k), ranks.len());
    let points = (1..=max_k).map(|k| (f64::from(k), at(k).0 as f64 / at(k).1.max(1) as f64));
    let band = (1..=max_k)
        .filter_map(|k| wilson(at(k).0, at(k).1).map(|interval| (f64::from(k), interval.low, interval.high)));
    Curve { name: name.into(), class, points: points.collect(), band: band.collect() }
}

fn histogram(ranks: &[Option<u32>], pool_size: u32) -> Markup {
    let mut columns = Vec::new();
    let mut first = 1;
    for last in BINS {
        if first > pool_size {
            break;
        }
        let n = ranks.iter().flatten().filter(|rank| (first..=last).contains(*rank)).count();
        let name = if last == u32::MAX { format!(">{}", short(first - 1)) } else { format!("≤{}", short(last)) };
        let tip = format!(
            "ranks {}–{}: {} queries, {}",
            count(first.into()),
            count(last.min(pool_size).into()),
            count(n as u64),
            percent(n as f64 / ranks.len() as f64)
        );
        columns.push(Bar { name, value: n as f64, class: if last <= 10 { "c3" } else { "c1" }, tip });
        first = last.saturating_add(1);
    }
    let n_without = ranks.iter().filter(|rank| rank.is_none()).count();
    if n_without > 0 {
        let tip = format!("no relevant image in the pool: {} queries", count(n_without as u64));
        columns.push(Bar { name: "none".into(), value: n_without as f64, class: "c5", tip });
    }
    bars("rank of the best relevant image", "rank", "queries", &columns)
}

/// 2000 as `2k`.
fn short(n: u32) -> String {
    if n >= 1_000 && n.is_multiple_of(1_000) { format!("{}k", n / 1_000) } else { n.to_string() }
}

fn slices(title: &str, slices: &[Slice]) -> Markup {
    let most = slices.iter().map(|slice| slice.recalls.mean_interval.high).fold(0.01, f64::max);
    let range = Interval { low: 0.0, high: most };
    html! {
        figure {
            figcaption { (title) }
            div.scroll { table.slices {
                thead { tr { th {} th.n { "queries" } th.n { "MeanRecall" } th { "95% interval" }
                    @for (k, ..) in ends(slices.first()) { th.n { "R@" (k) } }
                } }
                tbody { @for slice in slices {
                    @let recalls = &slice.recalls;
                    tr {
                        td { (slice.name) }
                        td.n { (count(recalls.n as u64)) }
                        td.n { (percent(recalls.mean)) }
                        @let interval = Some(recalls.mean_interval);
                        td data-tip=(bounds(interval)) { (meter(recalls.mean, interval, range)) }
                        @for (_, share, _) in ends(Some(slice)) { td.n { (percent(*share)) } }
                    }
                } }
            } }
        }
    }
}

/// Recall at the smallest and at the largest k.
fn ends(slice: Option<&Slice>) -> impl Iterator<Item = &(u32, f64, Interval)> {
    let at = slice.map_or(&[][..], |slice| &slice.recalls.at);
    at.first().into_iter().chain(if at.len() > 1 { at.last() } else { None })
}
