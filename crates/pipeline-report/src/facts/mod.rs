//! The facts of a report: plain data that the caller has collected.

mod rungs;
mod sweep;

use std::collections::BTreeMap;

use pipeline_core::{LineChange, Metrics};
use pipeline_data::Picture;
use pipeline_eval::analysis::{Analysis, Chance, Changes, Duplicates, Map};
use pipeline_eval::statistics::{Interval, SignTest};
use pipeline_eval::{MetricName, RankingRow};

use crate::History;

pub use rungs::{ImportanceFacts, ImportantAxis, RungFacts, RungsFacts};
pub use sweep::{
    AxisFacts, AxisValue, EffectFacts, EffectValue, GroupFacts, HeatFacts, MetricFacts, PointCurve, PointFacts,
    PointState, Spread, Standing, SweepReport, SweptStage, SweptTraining,
};

/// A run and the facts of its page.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The run itself.
    pub run: RunFacts,
    /// Its stages, inputs before readers.
    pub stages: Vec<StageFacts>,
    /// The trainings.
    pub trainings: Vec<Training>,
    /// The evaluations.
    pub evaluations: Vec<Evaluation>,
    /// The comparison with another run.
    pub comparison: Option<Comparison>,
    /// The resolved spec.
    pub spec_yaml: Option<String>,
    /// Notes about this report, such as missing bytes.
    pub notes: Vec<String>,
    /// The address of a search box over the same pool, where the page is served beside one.
    pub search: Option<String>,
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFacts {
    /// Its id.
    pub id: String,
    /// The spec's name.
    pub spec: String,
    /// The outcome, in one word.
    pub state: String,
    /// Its start, in UTC, for readers.
    pub started: String,
    /// Wall time.
    pub seconds: Option<f64>,
    /// The version of the program.
    pub version: String,
    /// The device of the tensors.
    pub device: String,
    /// The total number of threads.
    pub n_threads: Option<usize>,
    /// The name that it was given.
    pub name: Option<String>,
    /// Its note.
    pub note: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The commit of the project, in hexadecimal digits.
    pub commit: Option<String>,
    /// True if files differed from the commit; `None` when that is unknown.
    pub dirty: Option<bool>,
    /// The command line, for a shell.
    pub command: String,
    /// The machine.
    pub host: String,
    /// The instruction set of the kernels.
    pub instruction_set: String,
}

/// The state of a stage at the end of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StageState {
    /// The cache had its result.
    Reused,
    /// It ran.
    Ran,
    /// It ran and gave the same artifact as before.
    Unchanged,
    /// It failed.
    Failed,
    /// It was not started.
    Skipped,
    /// The run ended before it did.
    #[default]
    Unfinished,
}

/// A stage of the run.
#[derive(Debug, Clone, Default)]
pub struct StageFacts {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The stages that it reads, by slot.
    pub inputs: Vec<(String, String)>,
    /// Its state at the end of the run.
    pub state: StageState,
    /// Wall time of the work in this run, in seconds; `None` when nothing was computed.
    pub seconds: Option<f64>,
    /// Wall time of the original computation, in seconds, if this run reused the result.
    pub saved_seconds: Option<f64>,
    /// The number of rows written.
    pub n_rows: Option<u64>,
    /// The number of rows that could not be used.
    pub n_rejected: u64,
    /// The numbers of reused and of computed shards.
    pub shards: Option<(u64, u64)>,
    /// The artifact's size, in bytes.
    pub bytes: Option<u64>,
    /// Sentences for readers: why it ran, its report, its warnings, why it failed.
    pub remarks: Vec<String>,
    /// The digest of its manifest.
    pub key: Option<String>,
    /// The digest of its artifact.
    pub artifact: Option<String>,
    /// The canonical text of its manifest.
    pub manifest: Option<String>,
}

/// A training and its curves.
#[derive(Debug, Clone)]
pub struct Training {
    /// The stage.
    pub stage: String,
    /// Its history, step by step.
    pub history: History,
}

/// An evaluation and its measurements.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// The stage.
    pub stage: String,
    /// Its metrics.
    pub metrics: Metrics,
    /// The ranking of the images for each query.
    pub queries: Vec<RankingRow>,
    /// The rank of the best relevant query for each image, from 1, or `None` where it has no rank. Absent when the
    /// evaluation did not search by image.
    pub image_ranks: Option<Vec<Option<u32>>>,
    /// The analysis of these rankings and metrics.
    pub analysis: Analysis,
    /// The recall of rankings drawn at random; `None` when the evaluation does not say how many images are relevant.
    pub chance: Option<Chance>,
    /// The accepted metrics, or the reason why they cannot be compared.
    pub baseline: Option<Result<Metrics, String>>,
    /// Both modalities in the plane.
    pub map: Option<Map>,
    /// Images of the pool that are the same picture.
    pub duplicates: Option<Duplicates>,
    /// The pictures by image id.
    pub pictures: BTreeMap<String, Picture>,
    /// The pixels that the model is given, in words; `None` where no picture shows them.
    pub fed_as: Option<String>,
    /// The reason why pictures are missing, or are not the originals.
    pub picture_note: Option<String>,
}

/// Another run to compare with.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// The other run.
    pub run: RunFacts,
    /// The differences of the stages, by stage.
    pub stages: Vec<StageDifference>,
    /// The evaluations of the other run by stage, or the reason why they cannot be compared.
    pub evaluations: BTreeMap<String, Result<OtherEvaluation, String>>,
    /// The trainings of the other run.
    pub trainings: Vec<Training>,
}

/// The difference of a stage between two runs.
#[derive(Debug, Clone)]
pub enum StageDifference {
    /// The artifact is the same.
    Same(String),
    /// The lines of the manifests that differ, old and new: empty when only the bytes differ, `None` when the store has
    /// lost one of them.
    Changed(String, Option<Vec<LineChange>>),
    /// Only this run has it.
    Added(String),
    /// Only the other run has it.
    Removed(String),
}

/// The evaluation of the same name in the other run.
#[derive(Debug, Clone, Default)]
pub struct OtherEvaluation {
    /// Its metrics.
    pub metrics: Metrics,
    /// The differences by metric, this run's minus the other's, where they could be tested.
    pub differences: BTreeMap<MetricName, Difference>,
    /// For metrics that count hits: the queries that rose and fell.
    pub sign_tests: BTreeMap<MetricName, SignTest>,
    /// Its rankings, in the order of this run's queries; empty where they are gone.
    pub queries: Vec<RankingRow>,
    /// The queries that this run won and lost.
    pub changes: Changes,
}

/// A difference of a metric between two runs over the same queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// This run's value minus the other's.
    pub value: f64,
    /// The paired 95% interval.
    pub interval: Interval,
}
