//! Many curves in one chart: a few stand out, and each is marked with its group.

use maud::{Markup, html};

use super::lines::path;
use super::{Axis, Frame};

/// A curve among many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strand {
    /// The group that it belongs to: the value of its `data-group`.
    pub(crate) group: usize,
    /// Its CSS classes, which give colour and weight.
    pub(crate) class: &'static str,
    /// Its points, from left to right.
    pub(crate) points: Vec<(f64, f64)>,
    /// The tooltip.
    pub(crate) tip: String,
}

/// Draws curves over each other, the last on top.
pub(crate) fn many(title: &str, x: Axis, y: Axis, strands: &[Strand]) -> Markup {
    let frame = Frame { x, y };
    let content = html! {
        @for strand in strands {
            @let way = path(&frame, strand.points.iter().copied());
            g class={ "line " (strand.class) } data-group=(strand.group) data-tip=(strand.tip) role="img"
                aria-label=(strand.tip) tabindex="-1" {
                path.reach d=(way) {}
                path.stroke d=(way) {}
            }
        }
    };
    frame.draw_marked(title, &content)
}
