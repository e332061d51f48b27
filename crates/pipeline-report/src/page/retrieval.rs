//! Retrieval quality: recall at every k, the ranks of the best relevant images, and the hard queries.

use maud::{Markup, html};
use pipeline_eval::Quantity;
use pipeline_eval::analysis::{Analysis, Chance, Histogram, RankBin, RecallPoint, Slice};
use pipeline_eval::statistics::Interval;

use super::meter::{Scale, meter};
use super::metrics::bounds;
use super::words::{count, percent};
use crate::chart::{Axis, Bar, Curve, bars, lines};
use crate::facts::Evaluation;

pub(super) fn draw(evaluation: &Evaluation) -> Markup {
    let analysis = &evaluation.analysis;
    if analysis.n_labelled == 0 {
        return html! { p.sub { "No query names its relevant images." } };
    }
    let pool_size = Quantity::PoolSize.value_in(&evaluation.metrics).map_or(u32::MAX, |size| size as u32);
    let columns = columns(&analysis.histogram, analysis.n_labelled, pool_size);
    html! {
        div.charts {
            figure { figcaption { "Recall at k, with 95% intervals" } (curves(analysis, evaluation.chance.as_ref())) }
            figure {
                figcaption { "Rank of the best relevant image" }
                (bars("rank of the best relevant image", "rank", "queries", &columns))
            }
        }
        div.charts {
            (slices("By characters of the query", &analysis.by_length))
            (slices("By number of relevant images", &analysis.by_relevant))
        }
    }
}

fn curves(analysis: &Analysis, chance: Option<&Chance>) -> Markup {
    let directions =
        [("text to image", "c1", &analysis.text_to_image), ("image to text", "c2", &analysis.image_to_text)];
    let mut curves: Vec<_> = directions
        .iter()
        .filter(|(_, _, points)| !points.is_empty())
        .map(|(name, class, points)| curve(name, class, points))
        .collect();
    let highest = curves.iter().flat_map(|curve| &curve.band).map(|(_, _, high)| *high).fold(0.0, f64::max);
    let tips = analysis.text_to_image.iter().enumerate().map(|(idx, RecallPoint { k, .. })| {
        let values = curves.iter().map(|curve| {
            let (_, low, high) = curve.band[idx];
            format!("{} {} ({})", curve.name, percent(curve.points[idx].1), bounds(Some(Interval { low, high })))
        });
        let of_chance = chance.and_then(|chance| chance.at.get(idx)).map(|(_, share)| percent(*share));
        let of_chance = of_chance.map(|share| format!("chance {share}"));
        (f64::from(*k), format!("Recall@{k}\n{}", values.chain(of_chance).collect::<Vec<_>>().join("\n")))
    });
    let tips: Vec<_> = tips.collect();
    let max_k = analysis.text_to_image.last().map_or(1, |point| point.k);
    if let Some(chance) = chance {
        let points = chance.at.iter().filter(|(k, _)| *k <= max_k).map(|(k, share)| (f64::from(*k), *share));
        let name = if curves.len() > 1 { "chance, text to image" } else { "chance" };
        curves.push(Curve { name: name.into(), class: "c5 other", points: points.collect(), band: Vec::new() });
    }
    lines("recall at k", Axis::log("k", f64::from(max_k)), Axis::percent("recall", highest * 1.02), &curves, &[], &tips)
}

fn curve(name: &str, class: &'static str, points: &[RecallPoint]) -> Curve {
    let band = points.iter().map(|point| (f64::from(point.k), point.interval.low, point.interval.high));
    let points = points.iter().map(|point| (f64::from(point.k), point.share));
    Curve { name: name.into(), class, points: points.collect(), band: band.collect() }
}

/// The columns of the histogram; the last one has the queries that find nothing.
fn columns(histogram: &Histogram, n_queries: usize, pool_size: u32) -> Vec<Bar> {
    let column = |bin: &RankBin| {
        let name = match bin.last {
            Some(last) => format!("≤{}", short(last)),
            None => format!(">{}", short(bin.first - 1)),
        };
        let tip = format!(
            "ranks {}–{}: {} queries, {}",
            count(bin.first.into()),
            count(bin.last.map_or(pool_size, |last| last.min(pool_size)).into()),
            count(bin.n as u64),
            percent(bin.n as f64 / n_queries as f64)
        );
        let is_shown = bin.last.is_some_and(|last| last <= 10);
        Bar { name, value: bin.n as f64, class: if is_shown { "c3" } else { "c1" }, tip }
    };
    let mut columns: Vec<_> = histogram.bins.iter().map(column).collect();
    if histogram.n_without > 0 {
        let tip = format!("no relevant image in the pool: {} queries", count(histogram.n_without as u64));
        columns.push(Bar { name: "none".into(), value: histogram.n_without as f64, class: "c5", tip });
    }
    columns
}

/// 2000 as `2k`.
fn short(n: u32) -> String {
    if n >= 1_000 && n.is_multiple_of(1_000) { format!("{}k", n / 1_000) } else { n.to_string() }
}

fn slices(title: &str, slices: &[Slice]) -> Markup {
    let most = slices.iter().map(|slice| slice.recalls.mean_interval.high).fold(0.01, f64::max);
    let least = slices.iter().map(|slice| slice.recalls.mean_interval.low).fold(most, f64::min);
    let scale = Scale::between(least, most);
    html! {
        figure {
            figcaption { (title) }
            div.scroll { table.slices {
                thead { tr { th {} th.n { "queries" } th.n { "MeanRecall" } th { "95% interval" (scale.legend()) }
                    @for point in ends(slices.first()) { th.n { "R@" (point.k) } }
                } }
                tbody { @for slice in slices {
                    @let recalls = &slice.recalls;
                    tr {
                        td { (slice.name) }
                        td.n { (count(recalls.n as u64)) }
                        td.n { (percent(recalls.mean)) }
                        @let interval = Some(recalls.mean_interval);
                        td data-tip=(bounds(interval)) { (meter(recalls.mean, interval, scale, None)) }
                        @for point in ends(Some(slice)) { td.n { (percent(point.share)) } }
                    }
                } }
            } }
        }
    }
}

/// Recall at the smallest and at the largest k.
fn ends(slice: Option<&Slice>) -> impl Iterator<Item = &RecallPoint> {
    let at = slice.map_or(&[][..], |slice| &slice.recalls.at);
    at.first().into_iter().chain(if at.len() > 1 { at.last() } else { None })
}
