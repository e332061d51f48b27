//! Charts as inline SVG. They carry classes and no colours, so that the page's style can be light or dark.

mod axis;
mod bars;
mod graph;
mod lines;
mod many;
mod means;
mod parallel;
mod scatter;

pub(crate) use axis::Axis;
pub(crate) use bars::{Bar, bars};
pub(crate) use graph::{Node, graph};
pub(crate) use lines::{Curve, lines};
pub(crate) use many::{Strand, many};
pub(crate) use means::{Mean, means};
pub(crate) use parallel::{Line, Track, parallel};
pub(crate) use scatter::scatter;

use maud::{Markup, html};

/// The size of a chart, in the units of its view box.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// The position of a chart's frame, and its axes.
struct Frame {
    x: Axis,
    y: Axis,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// Axes, grid and labels around `content`, which is one picture.
    fn draw(&self, title: &str, content: &Markup) -> Markup {
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(title) { (self.around(content)) }
        }
    }

    /// The same, whose content has parts that can be reached.
    fn draw_marked(&self, title: &str, content: &Markup) -> Markup {
        html! {
            svg.chart.marked viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="group" aria-label=(title) {
                (self.around(content))
            }
        }
    }

    fn around(&self, content: &Markup) -> Markup {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        html! {
                @for (value, text) in &self.y.ticks {
                    line.grid x1=(LEFT) x2=(right) y1=(number(self.y(*value))) y2=(number(self.y(*value))) {}
                    text.tick x=(LEFT - 7.0) y=(number(self.y(*value) + 4.0)) text-anchor="end" { (text) }
                }
                @for (value, text) in &self.x.ticks {
                    line.grid x1=(number(self.x(*value))) x2=(number(self.x(*value))) y1=(TOP) y2=(bottom) {}
                    text.tick x=(number(self.x(*value))) y=(bottom + 17.0) text-anchor="middle" { (text) }
                }
                text.axis x=(f64::midpoint(LEFT, right)) y=(HEIGHT - 6.0) text-anchor="middle" { (self.x.label) }
                @let middle = f64::midpoint(TOP, bottom);
                text.axis transform={ "translate(12 " (middle) ") rotate(-90)" } text-anchor="middle" {
                    (self.y.label)
                }
                (content)
                line.base x1=(LEFT) x2=(right) y1=(bottom) y2=(bottom) {}
        }
    }
}

/// A coordinate with one decimal: a tenth of a pixel is enough, and the page stays small.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// The text, cut to at most `max_chars` characters.
fn shortened(text: &str, max_chars: usize) -> String {
    if text.chars().count() <= max_chars {
        return text.to_owned();
    }
    text.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect()
}
