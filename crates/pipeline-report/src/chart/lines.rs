//! Line charts: curves with bands around them, and a tooltip for each x position.

use std::fmt::Write;

use maud::{Markup, html};

use super::{Axis, BOTTOM, Frame, HEIGHT, LEFT, RIGHT, TOP, WIDTH, number};

/// A curve.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curve {
    /// Its name in the legend.
    pub(crate) name: String,
    /// Its CSS class, which gives the colour.
    pub(crate) class: &'static str,
    /// Its points, from left to right.
    pub(crate) points: Vec<(f64, f64)>,
    /// Bands around some of the points: x, low, high.
    pub(crate) band: Vec<(f64, f64, f64)>,
}

/// Draws curves, with a legend if there are several. `marks` are vertical lines; `tips` are tooltips by x position,
/// ascending.
pub(crate) fn lines(title: &str, x: Axis, y: Axis, curves: &[Curve], marks: &[f64], tips: &[(f64, String)]) -> Markup {
    let frame = Frame { x, y };
    let content = html! {
        @for mark in marks {
            line.mark x1=(number(frame.x(*mark))) x2=(number(frame.x(*mark))) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
        }
        @for curve in curves {
            @if !curve.band.is_empty() { path class={ "band " (curve.class) } d=(band(&frame, &curve.band)) {} }
            path class={ "curve " (curve.class) } d=(path(&frame, curve.points.iter().copied())) {}
            @if curve.points.len() <= 12 {
                @for (at, value) in &curve.points {
                    @let (cx, cy) = (number(frame.x(*at)), number(frame.y(*value)));
                    circle class={ "dot " (curve.class) } cx=(cx) cy=(cy) r="3" {}
                }
            }
        }
        (hover(&frame, tips))
    };
    html! {
        @if curves.len() > 1 {
            p.legend { @for curve in curves { span { i class=(curve.class) {} (curve.name) } } }
        }
        (frame.draw(title, &content))
    }
}

pub(super) fn path(frame: &Frame, points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (idx, (at, value)) in points.enumerate() {
        let command = if idx == 0 { 'M' } else { 'L' };
        write!(path, "{command}{} {}", number(frame.x(at)), number(frame.y(value))).expect("a String takes any text");
    }
    path
}

fn band(frame: &Frame, band: &[(f64, f64, f64)]) -> String {
    let high = band.iter().map(|(at, _, high)| (*at, *high));
    let low = band.iter().rev().map(|(at, low, _)| (*at, *low));
    path(frame, high.chain(low)) + "Z"
}

/// Invisible columns that show the tooltips, each reaching halfway to its neighbours.
fn hover(frame: &Frame, tips: &[(f64, String)]) -> Markup {
    let places: Vec<f64> = tips.iter().map(|(at, _)| frame.x(*at)).collect();
    let edge = |idx: usize| match idx {
        0 => LEFT,
        idx if idx == places.len() => WIDTH - RIGHT,
        idx => f64::midpoint(places[idx - 1], places[idx]),
    };
    html! {
        @for (idx, (_, tip)) in tips.iter().enumerate() {
            @let width = number(edge(idx + 1) - edge(idx));
            rect.hover x=(number(edge(idx))) y=(TOP) width=(width) height=(HEIGHT - TOP - BOTTOM) data-tip=(tip) {}
        }
    }
}
