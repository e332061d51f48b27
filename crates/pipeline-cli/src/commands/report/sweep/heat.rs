//! The MeanRecall by the values of two axes; values that were drawn from a range are put into bins.

use pipeline_report::facts::{AxisFacts, HeatFacts};

use super::Sweep;
use super::queries::Found;

/// The most values of a numeric axis that stand by themselves.
const MAX_VALUES: usize = 8;
/// The number of bins of an axis with more values.
const N_BINS: usize = 6;
/// The ratio of the largest to the smallest value from which bins are equal on a logarithmic scale.
const MIN_RATIO: f64 = 20.0;
/// The most pairs of axes.
const MAX_PAIRS: usize = 15;

/// The pairs of axes with several values, those that differ most first.
pub fn collect(sweep: &Sweep<'_>) -> Vec<HeatFacts> {
    let axes: Vec<(usize, Bins)> = sweep
        .axes
        .iter()
        .enumerate()
        .filter(|(idx, axis)| !axis.is_seed && sweep.is_wide(*idx))
        .map(|(idx, axis)| (idx, Bins::of(axis)))
        .collect();
    let mut pairs: Vec<HeatFacts> = Vec::new();
    for (idx, (y, rows)) in axes.iter().enumerate() {
        for (x, columns) in &axes[idx + 1..] {
            pairs.push(pair(sweep, (*x, columns), (*y, rows)));
        }
    }
    pairs.retain(|pair| pair.cells.iter().flatten().count() > 1);
    pairs.sort_by(|a, b| spread(b).total_cmp(&spread(a)).then(a.axes.cmp(&b.axes)));
    pairs.truncate(MAX_PAIRS);
    pairs
}

fn pair(sweep: &Sweep<'_>, (x, columns): (usize, &Bins), (y, rows): (usize, &Bins)) -> HeatFacts {
    let n_columns = columns.names.len();
    let mut sums = vec![(0.0, 0); n_columns * rows.names.len()];
    for (point_idx, values) in sweep.values.iter().enumerate() {
        let is_comparable = !matches!(sweep.found(point_idx), Some(Found::Incomparable(_)));
        let Some(mean_recall) = sweep.mean_recall(point_idx).filter(|_| is_comparable) else { continue };
        let (Some(at_x), Some(at_y)) = (values[x], values[y]) else { continue };
        let (sum, n) = &mut sums[rows.of_value[at_y] * n_columns + columns.of_value[at_x]];
        *sum += mean_recall;
        *n += 1;
    }
    let cells = sums.into_iter().map(|(sum, n)| (n > 0).then(|| (sum / n as f64, n))).collect();
    HeatFacts { axes: [x, y], columns: columns.names.clone(), rows: rows.names.clone(), cells }
}

/// The difference between the highest and the lowest mean.
fn spread(heat: &HeatFacts) -> f64 {
    let means = || heat.cells.iter().flatten().map(|(mean, _)| *mean);
    means().fold(f64::NEG_INFINITY, f64::max) - means().fold(f64::INFINITY, f64::min)
}

/// The bins of an axis in chart order.
#[derive(Debug, PartialEq)]
struct Bins {
    names: Vec<String>,
    /// The index of the bin of each value.
    of_value: Vec<usize>,
}

impl Bins {
    fn of(axis: &AxisFacts) -> Self {
        let numbers: Vec<f64> = axis.values.iter().filter_map(|value| value.number).collect();
        if axis.is_numeric() && numbers.len() > MAX_VALUES {
            return Self::of_numbers(&numbers);
        }
        let order = axis.order();
        let mut of_value = vec![0; order.len()];
        order.iter().enumerate().for_each(|(bin, value)| of_value[*value] = bin);
        Self { names: order.iter().map(|value| axis.values[*value].text.clone()).collect(), of_value }
    }

    /// Bins of equal width, on a logarithmic scale where the numbers have many sizes.
    fn of_numbers(numbers: &[f64]) -> Self {
        let (low, high) = numbers
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(*number), high.max(*number)));
        let is_log = low > 0.0 && high / low >= MIN_RATIO;
        let place = |number: f64| if is_log { number.ln() } else { number };
        let width = ((place(high) - place(low)) / N_BINS as f64).max(f64::MIN_POSITIVE);
        let bin = |number: &f64| (((place(*number) - place(low)) / width) as usize).min(N_BINS - 1);
        let edge = |idx: usize| {
            let edge = place(low) + width * idx as f64;
            short(if is_log { edge.exp() } else { edge })
        };
        let names = (0..N_BINS).map(|idx| format!("{} – {}", edge(idx), edge(idx + 1))).collect();
        Self { names, of_value: numbers.iter().map(bin).collect() }
    }
}

/// A number with three significant digits.
fn short(number: f64) -> String {
    let rounded: f64 = format!("{number:.2e}").parse().unwrap_or(number);
    let is_plain = rounded == 0.0 || (1e-3..1e6).contains(&rounded.abs());
    if is_plain { rounded.to_string() } else { format!("{rounded:e}") }
}

#[cfg(test)]
mod tests {
    use pipeline_report::facts::AxisValue;

    use super::*;

    fn axis(numbers: &[f64]) -> AxisFacts {
        let value = |number: &f64| AxisValue { text: number.to_string(), number: Some(*number) };
        AxisFacts { values: numbers.iter().map(value).collect(), ..AxisFacts::default() }
    }

    #[test]
    fn few_values_stand_by_themselves_in_ascending_order() {
        let bins = Bins::of(&axis(&[0.1, 0.03, 0.05]));
        assert_eq!(bins.names, ["0.03", "0.05", "0.1"]);
        assert_eq!(bins.of_value, [2, 0, 1]);
    }

    #[test]
    fn drawn_values_are_put_into_bins_that_hold_all_of_them() {
        let numbers: Vec<f64> = (0..40).map(|idx| 1e-5 * 10_f64.powf(f64::from(idx) / 13.0)).collect();
        let bins = Bins::of(&axis(&numbers));
        assert_eq!((bins.names.len(), bins.of_value[0], bins.of_value[39]), (N_BINS, 0, N_BINS - 1));
        assert_eq!(bins.names[0], "1e-5 – 3.16e-5");
        assert!(
            bins.of_value.windows(2).all(|two| two[0] <= two[1]) && (0..N_BINS).all(|bin| bins.of_value.contains(&bin))
        );
        let linear = Bins::of(&axis(&(0..10).map(f64::from).collect::<Vec<_>>()));
        assert_eq!((linear.names[5].as_str(), linear.of_value[9]), ("7.5 – 9", 5));
    }
}
