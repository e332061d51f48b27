//! What a page about a sweep is made of.

use pipeline_eval::statistics::Interval;

use super::{Difference, RunFacts, StageFacts};

/// A sweep and the facts of its page.
#[derive(Debug, Clone, Default)]
pub struct SweepReport {
    /// The run that went through all points.
    pub run: RunFacts,
    /// What was swept, in the order of the spec.
    pub axes: Vec<AxisFacts>,
    /// The evaluation whose MeanRecall is compared; `None` when no point has measured it.
    pub evaluation: Option<String>,
    /// The other metrics of groups and points.
    pub other_metrics: Vec<MetricFacts>,
    /// Points that differ in their seeds only, in the order of their first points.
    pub groups: Vec<GroupFacts>,
    /// The points, in order.
    pub points: Vec<PointFacts>,
    /// The index of the group that the others are compared with: the first that has a MeanRecall.
    pub reference: Option<usize>,
    /// The index of the group with the highest MeanRecall, of those that can be compared; `None` when there are not
    /// two.
    pub best: Option<usize>,
    /// What each axis does, where it has several values; those of seeds only where nothing else was swept.
    pub effects: Vec<EffectFacts>,
    /// The stages of the spec, inputs before readers.
    pub stages: Vec<SweptStage>,
    /// The resolved spec with its sweep.
    pub spec_yaml: Option<String>,
    /// What the reader should know about this page, such as bytes that are gone.
    pub notes: Vec<String>,
    /// The address of a search box, where the page is served beside one.
    pub search: Option<String>,
}

/// A metric beside the MeanRecall that is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricFacts {
    /// How a column is headed.
    pub title: String,
    /// Whether it is a share, shown in percent.
    pub is_share: bool,
}

/// What was swept.
#[derive(Debug, Clone, Default)]
pub struct AxisFacts {
    /// `STAGE.params.NAME` or `vars.NAME`.
    pub key: String,
    /// A short name.
    pub name: String,
    /// Its values.
    pub values: Vec<AxisValue>,
    /// Whether it is a seed with several values: points that differ in nothing else are one group.
    pub is_seed: bool,
}

/// A value of an axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AxisValue {
    /// As people read it.
    pub text: String,
    /// The number that it is, if it is one.
    pub number: Option<f64>,
}

impl AxisFacts {
    /// The indices of the values in the order in which a chart shows them: numbers rise, others stand as in the spec.
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
    /// The standard deviation of a sample, by n - 1; `None` for one value.
    pub sd: Option<f64>,
    /// The number of values.
    pub n: usize,
}

/// Points that differ in their seeds only.
#[derive(Debug, Clone, Default)]
pub struct GroupFacts {
    /// For each axis the index of its value; `None` for seeds.
    pub values: Vec<Option<usize>>,
    /// The indices of its points.
    pub points: Vec<usize>,
    /// Its MeanRecall.
    pub mean_recall: Option<Spread>,
    /// The 95% interval of that mean over queries; `None` where it could not be had.
    pub interval: Option<Interval>,
    /// How it stands to the reference.
    pub standing: Standing,
    /// The other metrics, in the order of the report's.
    pub others: Vec<Option<Spread>>,
}

impl GroupFacts {
    /// Whether it was measured over the data of the reference.
    pub fn is_comparable(&self) -> bool {
        matches!(self.standing, Standing::Reference | Standing::Compared(_) | Standing::Untested(..))
    }
}

/// How a group stands to the one that all are compared with.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Standing {
    /// It is that group.
    Reference,
    /// The paired difference of the MeanRecalls.
    Compared(Difference),
    /// It could be compared, but what its queries found is not there: why, and the difference of the means.
    Untested(String, f64),
    /// It was measured over other data: on what.
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
    /// For each axis the index of its value.
    pub values: Vec<usize>,
    /// How it stands.
    pub state: PointState,
    /// Wall time of the stages that ran for it and not for all points.
    pub seconds: f64,
    /// What its stages that were reused took when they were computed, those of all points left out.
    pub saved_seconds: f64,
    /// Stages that ran, those of all points included.
    pub n_ran: usize,
    /// All of its stages.
    pub n_stages: usize,
    /// Its MeanRecall.
    pub mean_recall: Option<f64>,
    /// The other metrics, in the order of the report's.
    pub others: Vec<Option<f64>>,
    /// Why it failed.
    pub remarks: Vec<String>,
}

/// How a point stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PointState {
    /// Some of its stages ran.
    Ran,
    /// All of its stages were remembered.
    Reused,
    /// A stage that it needs failed.
    Failed,
    /// A stage that it needs was not looked at.
    #[default]
    Skipped,
}

/// What the values of an axis do: means over everything else.
#[derive(Debug, Clone, Default)]
pub struct EffectFacts {
    /// The index of the axis.
    pub axis: usize,
    /// Its values that were measured, in the order of a chart.
    pub values: Vec<EffectValue>,
}

/// What one value of an axis does.
#[derive(Debug, Clone, Default)]
pub struct EffectValue {
    /// The index of the value.
    pub value: usize,
    /// The mean over the points that have it.
    pub mean: f64,
    /// The 95% interval of that mean over queries, if it could be had.
    pub interval: Option<Interval>,
    /// The paired difference to the first of the values, if it is another and the difference could be tested.
    pub difference: Option<Difference>,
    /// The number and the MeanRecall of each of these points.
    pub points: Vec<(usize, f64)>,
}

/// A stage of the spec, and the stages of the sweep that stand for it.
#[derive(Debug, Clone, Default)]
pub struct SweptStage {
    /// Its name in the spec.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// One stage for each distinct definition.
    pub copies: Vec<StageFacts>,
}
