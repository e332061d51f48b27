//! The facts of a page about a sweep, collected from its recorded run.

mod curves;
mod effects;
mod groups;
mod heat;
mod metrics;
mod points;
mod queries;
mod rungs;
mod stages;

use std::collections::BTreeMap;

use pipeline_core::StageId;
use pipeline_experiments::recorded::RunLog;
use pipeline_experiments::sweep::{self, AxisRecord, COMPARED, Column, Results, SweepRecord};
use pipeline_report::facts::{AxisFacts, AxisValue, SweepReport};
use serde_json::Value;

use super::described::DescribedRun;
use super::subject::Subject;
use crate::failure::Failure;
use queries::Found;

/// The data of a sweep.
struct Sweep<'a> {
    record: &'a SweepRecord,
    results: &'a Results<'a>,
    log: &'a RunLog,
    run: &'a DescribedRun<'a>,
    axes: Vec<AxisFacts>,
    /// The index of the value at each point and axis.
    values: Vec<Vec<Option<usize>>>,
    /// The evaluation whose MeanRecall is compared.
    evaluation: Option<&'a StageId>,
    /// The metrics beside it.
    columns: Vec<Column>,
    /// The results of each point's queries, where it has a MeanRecall.
    found: Vec<Option<Found>>,
}

/// Collects the facts of the page.
///
/// # Errors
/// When the store cannot be read.
pub fn report(subject: &Subject, record: &SweepRecord) -> Result<SweepReport, Failure> {
    let run = DescribedRun::new(&subject.store, &subject.run)?;
    let log = &subject.run.log;
    let results = &Results::of(record, log);
    let evaluation = sweep::compared(record, &results.points);
    let found = match evaluation {
        None => Vec::new(),
        Some(evaluation) => {
            let reference = groups::reference_point(record, results, evaluation);
            let at = |point_idx: usize| subject.run.at(record.points[point_idx].clone());
            queries::read(&subject.store, record.points.len(), &at, reference, evaluation)?
        }
    };
    let columns = metrics::beside(record, results, evaluation);
    let values = record.points.iter().map(|point| values_of(record, &point.overrides)).collect();
    let sweep = Sweep { record, results, log, run: &run, axes: axes(record), values, evaluation, columns, found };
    let groups = groups::collect(&sweep);
    Ok(SweepReport {
        effects: effects::collect(&sweep),
        heat: heat::collect(&sweep),
        trainings: curves::collect(&subject.store, &sweep),
        rungs: rungs::collect(record, results),
        importance: rungs::important(record, results),
        points: points::collect(&sweep),
        reference: groups.reference,
        best: groups.best,
        groups: groups.groups,
        stages: stages::collect(&sweep),
        evaluation: evaluation.map(ToString::to_string),
        other_metrics: metrics::facts(&sweep.columns),
        notes: untested(&sweep.found).into_iter().collect(),
        axes: sweep.axes,
        run: run.facts.clone(),
        spec_yaml: run.yaml.clone(),
        search: None,
    })
}

impl Sweep<'_> {
    /// Whether measured points differ on an axis.
    fn is_wide(&self, axis_idx: usize) -> bool {
        self.record.differs_on(&self.record.axes[axis_idx])
    }

    /// The MeanRecall of a point.
    fn mean_recall(&self, point_idx: usize) -> Option<f64> {
        self.results.points[point_idx].metric(self.evaluation?, &COMPARED)
    }

    /// The results of a point's queries.
    fn found(&self, point_idx: usize) -> Option<&Found> {
        self.found.get(point_idx)?.as_ref()
    }
}

/// The index of the overriding value on each axis; `None` for an axis without one.
fn values_of(record: &SweepRecord, overrides: &BTreeMap<String, Value>) -> Vec<Option<usize>> {
    let value = |axis: &AxisRecord| {
        let value = overrides.get(&axis.key)?;
        axis.values.iter().position(|known| known == value)
    };
    record.axes.iter().map(value).collect()
}

fn axes(record: &SweepRecord) -> Vec<AxisFacts> {
    let seeds = sweep::seeds(record);
    let value = |value: &Value| AxisValue { text: sweep::shown(value), number: value.as_f64() };
    let axis = |axis: &AxisRecord| AxisFacts {
        key: axis.key.clone(),
        name: axis.name.clone(),
        values: axis.values.iter().map(value).collect(),
        is_seed: seeds.contains(&axis.key.as_str()),
    };
    record.axes.iter().map(axis).collect()
}

/// The reason why intervals are missing; usually it is the same for all points.
fn untested(found: &[Option<Found>]) -> Option<String> {
    let reasons = found.iter().flatten().filter_map(|found| match found {
        Found::Untested(why) => Some(why),
        Found::Values(_) | Found::Incomparable(_) => None,
    });
    let reasons: Vec<_> = reasons.collect();
    let first = reasons.first()?;
    Some(format!("{} of {} points cannot be compared query by query: {first}.", reasons.len(), found.len()))
}
