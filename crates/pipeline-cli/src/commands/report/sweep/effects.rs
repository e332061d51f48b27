//! The effect of each axis: for each value the mean over all points that have it.

use pipeline_report::facts::{Difference, EffectFacts, EffectValue};

use super::Sweep;
use super::groups::{differences, resampled};
use super::queries::Found;

/// The effects of all axes with several values; those of seeds only where nothing else was swept.
pub fn collect(sweep: &Sweep<'_>) -> Vec<EffectFacts> {
    let wide: Vec<usize> = (0..sweep.axes.len()).filter(|idx| sweep.is_wide(*idx)).collect();
    let has_others = wide.iter().any(|idx| !sweep.axes[*idx].is_seed);
    let axes = wide.into_iter().filter(|idx| !has_others || !sweep.axes[*idx].is_seed);
    let effects = axes.map(|axis| EffectFacts { axis, values: values(sweep, axis) });
    effects.filter(|effect| !effect.values.is_empty()).collect()
}

fn values(sweep: &Sweep<'_>, axis_idx: usize) -> Vec<EffectValue> {
    let comparable = |idx: &usize| !matches!(sweep.found(*idx), None | Some(Found::Incomparable(_)));
    let with = |value: usize| {
        let points = 0..sweep.record.points.len();
        points.filter(move |idx| sweep.values[*idx][axis_idx] == Some(value))
    };
    let (mut values, mut columns) = (Vec::new(), Vec::new());
    for value in sweep.axes[axis_idx].order() {
        let points: Vec<usize> = with(value).filter(comparable).collect();
        let shares = points.iter().filter_map(|idx| Some((sweep.record.points[*idx].point, sweep.mean_recall(*idx)?)));
        let shares: Vec<(usize, f64)> = shares.collect();
        if shares.is_empty() {
            continue;
        }
        let mean = shares.iter().map(|(_, share)| share).sum::<f64>() / shares.len() as f64;
        let found = Found::mean(points.iter().filter_map(|idx| sweep.found(*idx)));
        columns.push(found.and_then(|found| found.values().cloned()));
        values.push(EffectValue { value, mean, interval: None, difference: None, points: shares });
    }
    let first = values.first().map_or(0.0, |value| value.mean);
    let paired = resampled(&differences(&columns, 0));
    for ((value, interval), paired) in values.iter_mut().zip(resampled(&columns)).zip(paired) {
        value.interval = interval;
        value.difference = paired.map(|interval| Difference { value: value.mean - first, interval });
    }
    values
}
