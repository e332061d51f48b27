//! Parallel coordinates: vertical axes side by side, and a line across them for each item with a value on every axis.

use maud::{Markup, html};

use super::{number, shortened};

const HEIGHT: f64 = 330.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 14.0;
/// The margin beside the first and the last axis.
const MARGIN: f64 = 74.0;
/// The least distance between axes.
const MIN_STEP: f64 = 130.0;
const WIDTH: f64 = 860.0;
/// The most characters of a label beside an axis, and above it.
const MAX_CHARS: usize = 16;
const MAX_TITLE_CHARS: usize = 24;
/// The most labels beside an axis.
const MAX_LABELS: usize = 14;

/// A vertical axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    /// The title above it.
    pub(crate) name: String,
    /// Its labels and their positions: 0 is the lower end, 1 the upper.
    pub(crate) labels: Vec<(f64, String)>,
}

impl Track {
    /// A track with these names at equal distances, the first at the lower end.
    pub(crate) fn of_names(name: &str, names: &[&str]) -> Self {
        let every = names.len().div_ceil(MAX_LABELS).max(1);
        let labels = names.iter().enumerate().step_by(every);
        let labels = labels.map(|(idx, text)| (Self::place(idx, names.len()), (*text).to_owned()));
        Self { name: name.to_owned(), labels: labels.collect() }
    }

    /// The position of the `idx`th of `n` names.
    fn place(idx: usize, n: usize) -> f64 {
        let band = band(n);
        if n > 1 { band / 2.0 + (1.0 - band) * idx as f64 / (n - 1) as f64 } else { 0.5 }
    }

    /// The position at which a line crosses the `idx`th of `n` names. Lines of one name lie side by side, ordered by
    /// their `rank` from 0 to 1, so that none covers another.
    pub(crate) fn meeting(idx: usize, n: usize, rank: f64) -> f64 {
        Self::place(idx, n) + (rank - 0.5) * band(n)
    }
}

/// The share of an axis over which the lines of one of `n` names spread.
fn band(n: usize) -> f64 {
    (0.5 / n.max(1) as f64).min(0.12)
}

/// A line through all axes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// The group that it represents: the value of its `data-group`.
    pub(crate) group: usize,
    /// Its CSS class, which gives the colour.
    pub(crate) class: String,
    /// Its positions on the axes, from 0 to 1.
    pub(crate) places: Vec<f64>,
    /// The tooltip.
    pub(crate) tip: String,
}

/// Draws lines over each other, the last on top.
pub(crate) fn parallel(title: &str, tracks: &[Track], lines: &[Line]) -> Markup {
    let n_steps = tracks.len().saturating_sub(1).max(1) as f64;
    let step = ((WIDTH - 2.0 * MARGIN) / n_steps).max(MIN_STEP);
    let width = 2.0 * MARGIN + n_steps * step;
    let x = |idx: usize| MARGIN + idx as f64 * step;
    let y = |place: f64| HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM);
    html! {
        svg.chart.parallel.marked viewBox={ "0 0 " (number(width)) " " (HEIGHT) } role="group" aria-label=(title) {
            @for idx in 0..tracks.len() {
                line.base x1=(number(x(idx))) x2=(number(x(idx))) y1=(y(1.0)) y2=(y(0.0)) {}
            }
            @for line in lines {
                @let way = way(&line.places, &x, &y);
                g class={ "line " (line.class) } data-group=(line.group) data-tip=(line.tip) role="img"
                    aria-label=(line.tip) tabindex="-1" {
                    path.reach d=(way) {}
                    path.stroke d=(way) {}
                }
            }
            @for (idx, track) in tracks.iter().enumerate() {
                @let is_last = idx + 1 == tracks.len() && idx > 0;
                @let (offset, anchor) = if is_last { (9.0, "start") } else { (-9.0, "end") };
                text.axis x=(number(x(idx))) y="16" text-anchor="middle" { (shortened(&track.name, MAX_TITLE_CHARS)) }
                @for (place, label) in &track.labels {
                    @let height = number(y(*place));
                    line.notch x1=(number(x(idx) - 4.0)) x2=(number(x(idx) + 4.0)) y1=(height) y2=(height) {}
                    text.tick x=(number(x(idx) + offset)) y=(number(y(*place) + 4.0)) text-anchor=(anchor) {
                        (shortened(label, MAX_CHARS))
                    }
                }
            }
        }
    }
}

/// A curve that crosses every axis at a right angle, so that the eye can follow it where lines cross.
fn way(places: &[f64], x: &dyn Fn(usize) -> f64, y: &dyn Fn(f64) -> f64) -> String {
    let mut way = String::new();
    for (idx, place) in places.iter().enumerate() {
        let (at, height) = (number(x(idx)), number(y(*place)));
        match idx.checked_sub(1) {
            None => way.push_str(&format!("M{at} {height}")),
            Some(before) => {
                let middle = number(f64::midpoint(x(before), x(idx)));
                let from = number(y(places[before]));
                way.push_str(&format!("C{middle} {from} {middle} {height} {at} {height}"));
            }
        }
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_with_many_names_shows_some_of_them() {
        let names: Vec<String> = (0..30).map(|idx| idx.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let track = Track::of_names("x", &names);
        assert!(track.labels.len() <= MAX_LABELS, "{}", track.labels.len());
        assert_eq!(track.labels[1].1, "3");
        assert_eq!(Track::of_names("x", &["a"]).labels, [(0.5, "a".to_owned())]);
    }

    #[test]
    fn lines_of_one_name_stand_side_by_side_and_apart_from_the_next() {
        for n in [2, 5, 40] {
            assert!(Track::meeting(0, n, 0.0) >= 0.0 && Track::meeting(n - 1, n, 1.0) <= 1.0 + 1e-12);
            assert!(Track::meeting(0, n, 0.0) < Track::meeting(0, n, 1.0));
            assert!(Track::meeting(0, n, 1.0) < Track::meeting(1, n, 0.0));
        }
    }

    #[test]
    fn a_line_meets_every_axis_where_its_value_is() {
        let way = way(&[0.0, 1.0], &|idx| idx as f64 * 100.0, &|place| 50.0 - place * 50.0);
        assert_eq!(way, "M0 50C50 50 50 0 100 0");
    }
}
