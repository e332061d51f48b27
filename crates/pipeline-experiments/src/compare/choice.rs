//! Chooses the results to compare: of two runs, or of points of sweeps, the stages that belong together.

use pipeline_core::StageId;
use pipeline_spec::meant;
use pipeline_store::{RunInfo, Store};

use super::CompareError;
use crate::recorded::{RecordedError, RecordedRun, find_run};
use crate::sweep::SweepRecord;

/// The number of stages that a help text names.
const MAX_NAMED: usize = 4;

/// The results that a name refers to.
pub struct Choice {
    /// The run, or the point of a sweep.
    pub run: RecordedRun,
    /// The stage whose metrics are compared, if one was named.
    stage: Option<StageId>,
    /// The number of points, for a sweep without a named point.
    n_points: Option<usize>,
}

impl Choice {
    /// The number of points, for a sweep without a named point.
    pub fn n_points(&self) -> Option<usize> {
        self.n_points
    }

    /// Finds the results by `name`: `RUN`, `RUN:STAGE`, or for a sweep `RUN:POINT` and `RUN:POINT:STAGE`.
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
        let whole = RecordedRun::read(store, run)?;
        let run = match point {
            Some(point) => whole.at_named(store, point)?,
            None => whole,
        };
        let n_points = sweep.filter(|_| point.is_none()).map(|sweep| sweep.points.len());
        let stage = stage.map(|stage| named_stage(stage, &run)).transpose()?;
        Ok(Self { run, stage, n_points })
    }

    /// The stages whose metrics are compared.
    fn measured(&self) -> Vec<StageId> {
        let stages = measured(&self.run);
        stages.filter(|id| self.stage.as_ref().is_none_or(|stage| stage == *id)).cloned().collect()
    }
}

/// The stages that have metrics, by name.
fn measured(run: &RecordedRun) -> impl Iterator<Item = &StageId> {
    run.results().into_iter().filter(|(_, result)| !result.metrics.is_empty()).map(|(id, _)| id)
}

fn named_stage(name: &str, run: &RecordedRun) -> Result<StageId, RecordedError> {
    measured(run).find(|id| id.as_str() == name).cloned().ok_or_else(|| RecordedError::NoMetrics {
        run: run.name(),
        stage: name.to_owned(),
        stages: meant_or_all(name, &measured(run).map(StageId::as_str).collect::<Vec<_>>()),
    })
}

/// The names that may be meant, else the first of all.
fn meant_or_all(name: &str, all: &[&str]) -> Vec<String> {
    let meant = meant(name, all.iter().copied());
    let names = if meant.is_empty() { all } else { meant.as_slice() };
    names.iter().take(MAX_NAMED).map(|name| (*name).to_owned()).collect()
}

/// The pairs of stages to compare: the named ones; else those of the same name; else the only one of each run.
///
/// # Errors
/// When the names are ambiguous.
pub fn pairs(earlier: &Choice, later: &Choice) -> Result<Vec<(StageId, StageId)>, CompareError> {
    let (earlier_ids, later_ids) = (earlier.measured(), later.measured());
    let common: Vec<_> = earlier_ids.iter().filter(|id| later_ids.contains(id)).cloned().collect();
    match (earlier_ids.as_slice(), later_ids.as_slice()) {
        ([one], [other]) => Ok(vec![(one.clone(), other.clone())]),
        ([], _) | (_, []) => Ok(Vec::new()),
        _ if !common.is_empty() => Ok(common.into_iter().map(|id| (id.clone(), id)).collect()),
        _ => Err(CompareError::NoCommonStage { choices: choices([earlier, later], [&earlier_ids, &later_ids]) }),
    }
}

/// Lists the choices where names are ambiguous: the points of a sweep, or the stages.
fn choices(sides: [&Choice; 2], measured: [&[StageId]; 2]) -> String {
    let of_side = |(side, ids): (&Choice, &[StageId])| {
        let info = &side.run.info;
        let name = if info.number == 0 { side.run.name() } else { info.number.to_string() };
        if let Some(n_points) = side.n_points {
            return Some(format!(
                "run {name} is a sweep of {n_points} points: `{name}:1` is its first, `pipeline runs {name}` lists them"
            ));
        }
        let named = ids.iter().take(MAX_NAMED).map(|id| format!("`{name}:{id}`")).collect::<Vec<_>>();
        let more = if ids.len() > MAX_NAMED { ", …" } else { "" };
        (ids.len() > 1).then(|| format!("of run {name} choose {}{more}", named.join(" or ")))
    };
    sides.into_iter().zip(measured).filter_map(of_side).collect::<Vec<_>>().join("\n")
}
