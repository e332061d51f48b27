//! The facts of a page about a sweep.

use pipeline_eval::statistics::Interval;

use super::{Difference, ImportanceFacts, RunFacts, RungsFacts, StageFacts};
use crate::History;

/// A sweep and the facts of its page.
#[derive(Debug, Clone, Default)]
pub struct SweepReport {
    /// The run of all points.
    pub run: RunFacts,
    /// The axes, in the order of the spec.
    pub axes: Vec<AxisFacts>,
    /// The evaluation whose MeanRecall is compared; `None` when no point has measured it.
    pub evaluation: Option<String>,
    /// The other metrics of groups and points.
    pub other_metrics: Vec<MetricFacts>,
    /// Points that differ in their seeds only, in the order of their first points.
    pub groups: Vec<GroupFacts>,
    /// The points, in order.
    pub points: Vec<PointFacts>,
    /// The index of the reference group: the first that has a MeanRecall.
    pub reference: Option<usize>,
    /// The index of the group with the highest MeanRecall among comparable groups; `None` when fewer than two are
    /// comparable.
    pub best: Option<usize>,
    /// The effect of each axis that has several values; of seeds only where nothing else was swept.
    pub effects: Vec<EffectFacts>,
    /// The MeanRecall by the values of two axes, for each pair of axes with several values.
    pub heat: Vec<HeatFacts>,
    /// The trainings of the points, by stage of the spec.
    pub trainings: Vec<SweptTraining>,
    /// The rungs, if bad points were stopped early.
    pub rungs: Option<RungsFacts>,
    /// The importance of the axes, if several were swept and measured.
    pub importance: Option<ImportanceFacts>,
    /// The stages of the spec, inputs before readers.
    pub stages: Vec<SweptStage>,
    /// The resolved spec with its sweep.
    pub spec_yaml: Option<String>,
    /// Notes about this page, such as missing bytes.
    pub notes: Vec<String>,
    /// The address of a search box, where the page is served beside one.
    pub search: Option<String>,
}

/// A metric beside the MeanRecall that is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricFacts {
    /// The heading of its column.
    pub title: String,
    /// Whether it is a share, shown in percent.
    pub is_share: bool,
}

/// An axis of the sweep.
#[derive(Debug, Clone, Default)]
pub struct AxisFacts {
    /// `STAGE.params.NAME` or `vars.NAME`.
    pub key: String,
    /// A short name.
    pub name: String,
    /// Its values.
    pub values: Vec<AxisValue>,
    /// Whether it is a seed with several values: points that differ in seeds only form one group.
    pub is_seed: bool,
}

/// A value of an axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AxisValue {
    /// The text for people.
    pub text: String,
    /// Its number, if it is numeric.
    pub number: Option<f64>,
}

impl AxisFacts {
    /// The indices of the values in chart order: numbers ascend, others keep the order of the spec.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        if self.is_numeric() {
            order.sort_by(|a, b| self.values[*a].number.partial_cmp(&self.values[*b].number).unwrap_or(a.cmp(b)));
        }
        order
    }

    /// Whether all of its values are numbers.
    pub fn is_numeric(&self) -> bool {
        self.values.iter().all(|value| value.number.is_some())
    }
}

/// A metric over several points.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation, divided by n - 1; `None` for one value.
    pub sd: Option<f64>,
    /// The number of values.
    pub n: usize,
}

/// Points that differ in their seeds only.
#[derive(Debug, Clone, Default)]
pub struct GroupFacts {
    /// The index of its value on each axis; `None` for seeds.
    pub values: Vec<Option<usize>>,
    /// The indices of its points.
    pub points: Vec<usize>,
    /// Its MeanRecall.
    pub mean_recall: Option<Spread>,
    /// The 95% interval of that mean over queries; `None` where it is unknown.
    pub interval: Option<Interval>,
    /// Its comparison with the reference.
    pub standing: Standing,
    /// The other metrics, in the order of the report's.
    pub others: Vec<Option<Spread>>,
}

impl GroupFacts {
    /// Whether it was measured on the same data as the reference.
    pub fn is_comparable(&self) -> bool {
        matches!(self.standing, Standing::Reference | Standing::Compared(_) | Standing::Untested(..))
    }
}

/// The comparison of a group with the reference.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Standing {
    /// It is the reference.
    Reference,
    /// The paired difference of the MeanRecalls.
    Compared(Difference),
    /// It is comparable, but the results of its queries are missing: the reason, and the difference of the means.
    Untested(String, f64),
    /// It was measured on other data: a description of the data.
    Incomparable(String),
    /// It has no MeanRecall, or there is none to compare it with.
    #[default]
    Unmeasured,
}

/// A point.
#[derive(Debug, Clone, Default)]
pub struct PointFacts {
    /// Its number, from 1.
    pub number: usize,
    /// The index of its value on each axis.
    pub values: Vec<usize>,
    /// Its state.
    pub state: PointState,
    /// Wall time of the stages that ran for it and not for all points, in seconds.
    pub seconds: f64,
    /// Original wall time of its reused stages, without those of all points, in seconds.
    pub saved_seconds: f64,
    /// The number of stages that ran, with those of all points.
    pub n_ran: usize,
    /// The number of all its stages.
    pub n_stages: usize,
    /// Its MeanRecall.
    pub mean_recall: Option<f64>,
    /// The other metrics, in the order of the report's.
    pub others: Vec<Option<f64>>,
    /// The reason of its failure.
    pub remarks: Vec<String>,
}

/// The state of a point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PointState {
    /// Some of its stages ran.
    Ran,
    /// All of its stages were reused.
    Reused,
    /// A stage that it needs failed.
    Failed,
    /// A stage that it needs was not started.
    #[default]
    Skipped,
}

/// The effect of an axis: for each value the mean over everything else.
#[derive(Debug, Clone, Default)]
pub struct EffectFacts {
    /// The index of the axis.
    pub axis: usize,
    /// Its measured values, in chart order.
    pub values: Vec<EffectValue>,
}

/// The effect of one value of an axis.
#[derive(Debug, Clone, Default)]
pub struct EffectValue {
    /// The index of the value.
    pub value: usize,
    /// The mean over the points that have it.
    pub mean: f64,
    /// The 95% interval of that mean over queries, if it is known.
    pub interval: Option<Interval>,
    /// The paired difference to the first value, if this is another one and the difference could be tested.
    pub difference: Option<Difference>,
    /// The number and the MeanRecall of each of its points.
    pub points: Vec<(usize, f64)>,
}

/// The MeanRecall by the values of two axes, as means over everything else.
#[derive(Debug, Clone, Default)]
pub struct HeatFacts {
    /// The indices of the axes from left to right, and from top to bottom.
    pub axes: [usize; 2],
    /// The values, or the ranges of values, from left to right.
    pub columns: Vec<String>,
    /// The same from top to bottom.
    pub rows: Vec<String>,
    /// `[rows, columns]`: the mean over the measured points, and their number.
    pub cells: Vec<Option<(f64, usize)>>,
}

/// A training stage of the spec, and the different trainings that the points have of it.
#[derive(Debug, Clone, Default)]
pub struct SweptTraining {
    /// Its name in the spec.
    pub stage: String,
    /// The different trainings.
    pub curves: Vec<PointCurve>,
    /// The number of trainings that are left out.
    pub n_left_out: usize,
}

/// A training of one or several points.
#[derive(Debug, Clone, Default)]
pub struct PointCurve {
    /// The indices of its points.
    pub points: Vec<usize>,
    /// Its history, step by step.
    pub history: History,
}

/// A stage of the spec, and the stages of the sweep that are copies of it.
#[derive(Debug, Clone, Default)]
pub struct SweptStage {
    /// Its name in the spec.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// One stage for each distinct definition.
    pub copies: Vec<StageFacts>,
}
