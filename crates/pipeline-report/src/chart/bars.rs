//! Bar charts: a bar for each category.

use maud::{Markup, html};

use super::{Axis, BOTTOM, Frame, HEIGHT, number};

/// A bar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bar {
    /// The label below it.
    pub(crate) name: String,
    /// Its height.
    pub(crate) value: f64,
    /// Its CSS class, which gives the colour.
    pub(crate) class: &'static str,
    /// The tooltip.
    pub(crate) tip: String,
}

/// Draws bars from left to right.
pub(crate) fn bars(title: &str, x_label: &str, y_label: &str, bars: &[Bar]) -> Markup {
    let highest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let n_bars = bars.len().max(1) as f64;
    let frame = Frame { x: Axis::linear(x_label, 0.0, n_bars).bare(), y: Axis::linear(y_label, 0.0, highest * 1.05) };
    let width = frame.x(0.84) - frame.x(0.0);
    let content = html! {
        @for (idx, bar) in bars.iter().enumerate() {
            @let left = frame.x(idx as f64 + 0.08);
            @let top = frame.y(bar.value);
            rect class={ "bar " (bar.class) } x=(number(left)) y=(number(top)) width=(number(width))
                height=(number(HEIGHT - BOTTOM - top)) rx="2" data-tip=(bar.tip) {}
            text.tick.small x=(number(left + width / 2.0)) y=(HEIGHT - BOTTOM + 15.0) text-anchor="middle" {
                (bar.name)
            }
        }
    };
    frame.draw(title, &content)
}
