//! Scatter plots: two clouds of points.

use maud::{Markup, html};

use super::{Axis, Frame, number};

/// A cloud: its CSS class, and its points with their tooltips.
pub(crate) type Cloud<'a> = (&'static str, Vec<([f64; 2], &'a str)>);

/// Draws clouds over each other, the last on top.
pub(crate) fn scatter(title: &str, x_label: &str, y_label: &str, clouds: &[Cloud<'_>]) -> Markup {
    let axis = |label: &str, side: usize| {
        let places = || clouds.iter().flat_map(|(_, points)| points).map(|(at, _)| at[side]);
        let (low, high) = (places().fold(f64::INFINITY, f64::min), places().fold(f64::NEG_INFINITY, f64::max));
        let room = (high - low).max(1e-6) * 0.03;
        Axis::linear(label, low - room, high + room)
    };
    let frame = Frame { x: axis(x_label, 0), y: axis(y_label, 1) };
    let content = html! {
        @for (class, points) in clouds {
            g class={ "cloud " (class) } {
                @for (at, label) in points {
                    circle cx=(number(frame.x(at[0]))) cy=(number(frame.y(at[1]))) r="2.2" data-tip=(label) {}
                }
            }
        }
    };
    frame.draw(title, &content)
}
