//! Means side by side, each with its interval and individual values.

use maud::{Markup, html};
use pipeline_eval::statistics::Interval;

use super::{Axis, BOTTOM, Frame, HEIGHT, TOP, number, shortened};

/// The characters that all names below the chart share.
const MAX_CHARS: usize = 60;
/// The share of a column over which its values spread, so that they do not overlap.
const SPREAD: f64 = 0.36;

/// A mean and the values behind it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mean {
    /// The label below it.
    pub(crate) name: String,
    /// The mean itself.
    pub(crate) value: f64,
    /// The 95% confidence interval.
    pub(crate) interval: Option<Interval>,
    /// The individual values, with their tooltips.
    pub(crate) parts: Vec<(f64, String)>,
    /// The tooltip.
    pub(crate) tip: String,
}

/// Draws means of shares from left to right; `is_ordered` connects neighbours by lines.
pub(crate) fn means(title: &str, x_label: &str, y_label: &str, means: &[Mean], is_ordered: bool) -> Markup {
    let values = || means.iter().flat_map(values_of);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let room = ((high - low) * 0.06).max(5e-4);
    let n_means = means.len().max(1);
    let frame = Frame {
        x: Axis::linear(x_label, 0.0, n_means as f64).bare(),
        y: Axis::percent_between(y_label, (low - room).max(0.0), (high + room).min(1.0)),
    };
    let at = |idx: usize| frame.x(idx as f64 + 0.5);
    let width = frame.x(1.0) - frame.x(0.0);
    let content = html! {
        @for (idx, mean) in means.iter().enumerate() {
            rect.hover x=(number(at(idx) - width / 2.0)) y=(TOP) width=(number(width)) height=(HEIGHT - TOP - BOTTOM)
                data-tip=(mean.tip) {}
            text.tick.small x=(number(at(idx))) y=(HEIGHT - BOTTOM + 15.0) text-anchor="middle" {
                (shortened(&mean.name, MAX_CHARS / n_means))
            }
        }
        @if is_ordered && means.len() > 1 { path.curve.c1.faint d=(way(&frame, means)) {} }
        @for (idx, mean) in means.iter().enumerate() {
            @let n_parts = mean.parts.len();
            @for (part_idx, (value, tip)) in mean.parts.iter().enumerate() {
                @let offset = if n_parts > 1 { part_idx as f64 / (n_parts - 1) as f64 - 0.5 } else { 0.0 };
                @let cx = at(idx) + offset * width * SPREAD;
                circle.part cx=(number(cx)) cy=(number(frame.y(*value))) r="2.6" data-tip=(tip) {}
            }
            @if let Some(Interval { low, high }) = mean.interval {
                @let x = number(at(idx));
                line.whisker.c1 x1=(x) x2=(x) y1=(number(frame.y(low))) y2=(number(frame.y(high))) {}
            }
            circle.dot.c1 cx=(number(at(idx))) cy=(number(frame.y(mean.value))) r="4.2" data-tip=(mean.tip) {}
        }
    };
    frame.draw(title, &content)
}

fn values_of(mean: &Mean) -> impl Iterator<Item = f64> {
    let bounds = mean.interval.into_iter().flat_map(|Interval { low, high }| [low, high]);
    mean.parts.iter().map(|(value, _)| *value).chain([mean.value]).chain(bounds)
}

/// The line from mean to mean.
fn way(frame: &Frame, means: &[Mean]) -> String {
    let points = means.iter().enumerate().map(|(idx, mean)| {
        let command = if idx == 0 { 'M' } else { 'L' };
        format!("{command}{} {}", number(frame.x(idx as f64 + 0.5)), number(frame.y(mean.value)))
    });
    points.collect()
}
