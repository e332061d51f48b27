//! A side of a comparison: a run or a point of a sweep, and where its data came from.

use pipeline_core::StageId;
use pipeline_spec::{PipelineSpec, nearest};
use pipeline_store::{RunInfo, Store, StoreError};

use crate::lineage::Lineage;
use crate::recorded::{RecordedError, RunResults, find_run};
use crate::sweep::SweepRecord;

/// Results, and the stage that was asked for.
pub struct PastRun {
    /// What the stages came to.
    pub results: RunResults,
    /// Where their data came from.
    pub lineage: Lineage,
    /// The only stage whose metrics matter.
    pub chosen: Option<StageId>,
    /// The points of a sweep of which none was asked for.
    pub n_points: Option<usize>,
}

impl PastRun {
    /// The run that `name` means: `RUN`, `RUN:STAGE`, or of a sweep `RUN:POINT` and `RUN:POINT:STAGE`.
    ///
    /// # Errors
    /// When there is no such run, point or stage, or the store cannot be read.
    pub fn find(store: &Store, runs: &[RunInfo], name: &str) -> Result<Self, RecordedError> {
        let (run, rest) = name.split_once(':').map_or((name, None), |(run, rest)| (run, Some(rest)));
        let run = find_run(runs, run)?.clone();
        let sweep = SweepRecord::of_run(store, &run.id)?;
        let (point, stage) = match rest {
            Some(rest) if sweep.is_some() => match rest.split_once(':') {
                Some((point, stage)) => (Some(point), Some(stage)),
                None if rest.parse::<usize>().is_ok() => (Some(rest), None),
                None => (None, Some(rest)),
            },
            stage => (None, stage),
        };
        let mut past = Self::of(store, RunResults::of(store, run, point)?)?;
        past.n_points = sweep.filter(|_| point.is_none()).map(|sweep| sweep.points.len());
        past.chosen = stage.map(|stage| choose(stage, &past.results)).transpose()?;
        Ok(past)
    }

    /// These results with where their data came from.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(store: &Store, results: RunResults) -> Result<Self, RecordedError> {
        let spec = recorded_spec(store, &results.run)?;
        Ok(Self::with_spec(results, spec.as_ref()))
    }

    /// These results with where their data came from, as the recorded spec tells; nothing is known without it.
    pub fn with_spec(results: RunResults, spec: Option<&PipelineSpec>) -> Self {
        let past = |id: &StageId| {
            let stage = results.stages.get(id)?;
            Some((stage.artifact, stage.manifest().cloned()))
        };
        let lineage = spec.map_or_else(Lineage::default, |spec| Lineage::of_run(spec, past));
        Self { results, lineage, chosen: None, n_points: None }
    }
}

fn choose(name: &str, results: &RunResults) -> Result<StageId, RecordedError> {
    let measured = || results.stages.iter().filter(|(_, stage)| !stage.metrics.is_empty()).map(|(id, _)| id);
    measured().find(|id| id.as_str() == name).cloned().ok_or_else(|| RecordedError::NoMetrics {
        run: results.name(),
        stage: name.to_owned(),
        nearest: nearest(name, measured().map(StageId::as_str)).and_then(|near| near.parse().ok()),
    })
}

/// The spec that a run has kept; none when this program cannot read it any more.
fn recorded_spec(store: &Store, run: &RunInfo) -> Result<Option<PipelineSpec>, StoreError> {
    let yaml = store.runs().spec(&run.id)?;
    Ok(yaml.and_then(|yaml| pipeline_spec::parse(&yaml, "spec.yaml".as_ref()).ok()))
}
