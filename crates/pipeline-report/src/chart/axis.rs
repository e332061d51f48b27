//! Axes: their range, scale and ticks.

/// One axis of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(super) label: String,
    pub(crate) ticks: Vec<(f64, String)>,
    low: f64,
    high: f64,
    is_log: bool,
}

/// The approximate number of ticks of a linear axis.
const N_TICKS: f64 = 5.0;

impl Axis {
    /// A linear axis from `low` to `high`.
    pub(crate) fn linear(label: &str, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let step = nice_step((high - low) / N_TICKS);
        let n_decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last).map(|idx| idx as f64 * step).map(|value| (value, tick(value, n_decimals)));
        Self { label: label.into(), ticks: ticks.collect(), low, high, is_log: false }
    }

    /// A linear axis of shares from 0, whose ticks are percentages.
    pub(crate) fn percent(label: &str, high: f64) -> Self {
        Self::percent_between(label, 0.0, high.clamp(0.01, 1.0))
    }

    /// A linear axis of shares from `low` to `high`, whose ticks are percentages.
    pub(crate) fn percent_between(label: &str, low: f64, high: f64) -> Self {
        let axis = Self::linear(label, low * 100.0, high * 100.0);
        let ticks = axis.ticks.into_iter().map(|(value, text)| (value / 100.0, format!("{text}%"))).collect();
        Self { ticks, low: axis.low / 100.0, high: axis.high / 100.0, ..axis }
    }

    /// A logarithmic axis from 1 to `high`.
    pub(crate) fn log(label: &str, high: f64) -> Self {
        let decades = (0..9).map(|exponent| 10_f64.powi(exponent));
        let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * decade));
        let ticks = ticks.take_while(|value| *value <= high).map(|value| (value, format!("{value:.0}")));
        Self { label: label.into(), ticks: ticks.collect(), low: 1.0, high: high.max(2.0), is_log: true }
    }

    /// The same axis without ticks.
    pub(crate) fn bare(self) -> Self {
        Self { ticks: Vec::new(), ..self }
    }

    /// The position of a value along the axis: 0 at its start, 1 at its end.
    pub(crate) fn share(&self, value: f64) -> f64 {
        let place = |value: f64| if self.is_log { value.ln() } else { value };
        (place(value) - place(self.low)) / (place(self.high) - place(self.low))
    }
}

/// A tick label; with an exponent, such as `5e-4`, where it would need too many decimals.
fn tick(value: f64, n_decimals: usize) -> String {
    let text = format!("{value:.n_decimals$}");
    match text.parse::<f64>() {
        Ok(rounded) if n_decimals > 3 && rounded != 0.0 => format!("{rounded:e}"),
        Ok(_) if n_decimals > 3 => "0".to_owned(),
        _ => text,
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn nice_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= step * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        for (axis, expect) in [
            (Axis::linear("", 2.31, 2.93), &["2.4", "2.6", "2.8"][..]),
            (Axis::linear("", 0.0, 100.0), &["0", "20", "40", "60", "80", "100"]),
            (Axis::linear("", 0.0, 0.004), &["0.000", "0.001", "0.002", "0.003", "0.004"]),
            (Axis::linear("", 0.0, 0.001), &["0", "2e-4", "4e-4", "6e-4", "8e-4", "1e-3"]),
            (Axis::linear("", 0.001, 0.0014), &["1e-3", "1.1e-3", "1.2e-3", "1.3e-3", "1.4e-3"]),
            (Axis::linear("", 3.0, 3.0), &["3.0", "3.2", "3.4", "3.6", "3.8", "4.0"]),
            (Axis::percent("", 0.5), &["0%", "10%", "20%", "30%", "40%", "50%"]),
            (Axis::percent_between("", 0.151, 0.168), &["15.5%", "16.0%", "16.5%"]),
            (Axis::log("", 100.0), &["1", "2", "5", "10", "20", "50", "100"]),
        ] {
            assert_eq!(texts(&axis), expect);
        }
    }

    #[test]
    fn a_value_lies_where_its_scale_says() {
        assert_eq!(Axis::linear("", 2.0, 4.0).share(3.0), 0.5);
        assert!((Axis::log("", 100.0).share(10.0) - 0.5).abs() < 1e-12);
    }
}
