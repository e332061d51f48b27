//! Shares with their intervals on scales where they can be seen.

use maud::{Markup, html};
use pipeline_eval::statistics::Interval;

/// The steps at which a scale may end, as shares.
const STEPS: [f64; 7] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
/// The least width of an interval for which a scale is made.
const MIN_WIDTH: f64 = 0.002;
/// The room on both sides of an interval, in widths of it.
const ROOM: f64 = 0.6;

/// A part of 0 to 100%, with round ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    range: Interval,
    step: f64,
}

impl Scale {
    /// The scale around an interval, or around a value without one.
    pub(super) fn around(value: f64, interval: Option<Interval>) -> Self {
        let Interval { low, high } = interval.unwrap_or(Interval { low: value, high: value });
        let room = (high - low).max(MIN_WIDTH) * ROOM;
        Self::between(low - room, high + room)
    }

    /// The scale from `low` to `high`, both rounded outwards.
    pub(super) fn between(low: f64, high: f64) -> Self {
        let width = (high - low).max(MIN_WIDTH);
        let step = STEPS.into_iter().rfind(|step| *step <= width / 3.0).unwrap_or(STEPS[0]);
        let low = ((low / step + 1e-9).floor() * step).clamp(0.0, 1.0 - step);
        let high = ((high / step - 1e-9).ceil() * step).clamp(low + step, 1.0);
        Self { range: Interval { low, high }, step }
    }

    /// The position of a value, in percent of the scale.
    fn place(&self, value: f64) -> f64 {
        let Interval { low, high } = self.range;
        100.0 * ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The texts of both ends.
    pub(super) fn ends(&self) -> [String; 2] {
        let n_decimals = if self.step >= 0.01 { 0 } else { 1 };
        [self.range.low, self.range.high].map(|end| format!("{:.n_decimals$}%", end * 100.0))
    }

    /// Both ends as a line below meters or in a heading.
    pub(super) fn legend(&self) -> Markup {
        let [low, high] = self.ends();
        html! { span.ends { span { (low) } " " span { (high) } } }
    }
}

/// A share and its interval on a scale, and the level of chance where that lies on it. Positions are attributes, since
/// a server's strict policy would forbid inline styles.
pub(super) fn meter(value: f64, interval: Option<Interval>, scale: Scale, chance: Option<f64>) -> Markup {
    let at = |value: f64| format!("{:.1}%", scale.place(value));
    let chance = chance.filter(|chance| (scale.range.low..=scale.range.high).contains(chance));
    html! {
        svg.meter aria-hidden="true" {
            @if let Some(chance) = chance { line.chance x1=(at(chance)) x2=(at(chance)) y1="0" y2="12" {} }
            @if let Some(Interval { low, high }) = interval {
                @let width = format!("{:.1}%", (scale.place(high) - scale.place(low)).max(0.5));
                rect.range x=(at(low)) y="2" width=(width) height="8" rx="4" {}
            }
            rect.at x=(at(value)) y="0" width="3" height="12" rx="1.5" {}
        }
    }
}

/// A difference and its interval around 0, which is in the middle; `reach` is the distance to both ends.
pub(super) fn balance(value: f64, interval: Interval, reach: f64) -> Markup {
    let place = |value: f64| 50.0 + 50.0 * (value / reach).clamp(-1.0, 1.0);
    let at = |value: f64| format!("{:.1}%", place(value));
    let width = format!("{:.1}%", (place(interval.high) - place(interval.low)).max(0.5));
    html! {
        svg.meter.balance aria-hidden="true" {
            rect.range x=(at(interval.low)) y="2" width=(width) height="8" rx="4" {}
            line.zero x1="50%" x2="50%" y1="-2" y2="14" {}
            rect.at x=(at(value)) y="0" width="3" height="12" rx="1.5" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_round_ends_around_what_it_shows() {
        let ends = |low, high| Scale::around(0.0, Some(Interval { low, high })).ends();
        assert_eq!(ends(0.1473, 0.1871), ["12%", "22%"]);
        assert_eq!(ends(0.0, 0.004), ["0.0%", "0.8%"]);
        assert_eq!(ends(0.97, 1.0), ["94%", "100%"]);
        assert_eq!(Scale::around(0.5, None).ends(), ["49.8%", "50.2%"]);
        assert_eq!(Scale::between(0.0, 1.0).ends(), ["0%", "100%"]);
    }
}
