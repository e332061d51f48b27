//! Which points went on from rung to rung, and which axes matter.

use pipeline_experiments::sweep::{HalvingRecord, Importance, PointState, Results, SweepRecord, importance, shown};
use pipeline_report::facts::{ImportanceFacts, ImportantAxis, RungFacts, RungsFacts};

/// The rungs; `None` for a sweep without them.
pub fn collect(record: &SweepRecord, results: &Results<'_>) -> Option<RungsFacts> {
    let halving = record.halving.as_ref()?;
    let axis = record.axes.iter().find(|axis| axis.key == halving.resource);
    Some(RungsFacts {
        resource: halving.resource.clone(),
        resource_name: axis.map_or_else(|| halving.resource.clone(), |axis| axis.name.clone()),
        metric: halving.metric_name(),
        factor: halving.factor,
        rungs: (0..halving.n_begun).map(|rung_idx| rung(halving, results, rung_idx)).collect(),
    })
}

fn rung(halving: &HalvingRecord, results: &Results<'_>, rung_idx: usize) -> RungFacts {
    let on_rung = || results.points.iter().filter(move |point| point.record.rungs.len() > rung_idx);
    let goes_on = |n_rungs: usize| n_rungs > rung_idx + 1;
    let mut values: Vec<(f64, bool)> = on_rung()
        .filter_map(|point| Some(((*point.measured.get(rung_idx)?)?, goes_on(point.record.rungs.len()))))
        .collect();
    values.sort_by(|one, two| halving.better_first(one.0, two.0));
    let stopped = on_rung().filter(|point| point.state == PointState::Stopped);
    RungFacts {
        value: halving.rungs.get(rung_idx).map(shown).unwrap_or_default(),
        n_points: on_rung().count(),
        n_failed: on_rung().count() - values.len(),
        n_promoted: values.iter().filter(|(_, goes_on)| *goes_on).count(),
        best: values.first().map(|(value, _)| *value),
        cut: values.iter().rev().find(|(_, goes_on)| *goes_on).map(|(value, _)| *value),
        worst: values.last().map(|(value, _)| *value),
        stopped: stopped.filter(|point| !goes_on(point.record.rungs.len())).map(|point| point.record.point).collect(),
    }
}

/// The importance of the axes; `None` where no point was measured, or one axis has all there is to say.
pub fn important(record: &SweepRecord, results: &Results<'_>) -> Option<ImportanceFacts> {
    let Importance { metric, rung, n_points, axes, unknown } = importance(record, results)?;
    let n_wide = record.axes.iter().filter(|axis| record.differs_on(axis)).count();
    let axis = |axis: pipeline_experiments::sweep::AxisImportance| ImportantAxis {
        name: axis.name,
        share: axis.share,
        chance: axis.chance,
        n_groups: axis.n_groups,
    };
    let axes = axes.into_iter().map(axis).collect();
    (n_wide > 1).then_some(ImportanceFacts { metric, rung, n_points, axes, unknown })
}
