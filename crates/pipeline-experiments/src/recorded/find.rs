//! Finds a recorded run by its name for users: its id, a prefix of one, a given name, its number, `last` or `last~1`.

use pipeline_core::RunId;
use pipeline_spec::nearest;
use pipeline_store::{RunInfo, StoreError};

use super::titles::spec_titles;

/// The name of the newest run.
const LAST: &str = "last";

/// The number of runs that a help text names.
const MAX_NAMED: usize = 3;

/// The reason why a name does not identify a recorded run.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// No run has the name.
    #[error("there is no run `{name}`")]
    NoRun {
        /// The name.
        name: String,
        /// The nearest id or given name.
        nearest: Option<String>,
        /// The newest runs with their specs, newest first, as people name them.
        newest: Vec<(String, String)>,
    },
    /// Several runs were given the name.
    #[error("{n_runs} runs have the name `{name}`")]
    SameName {
        /// The name.
        name: String,
        /// The number of runs.
        n_runs: usize,
        /// The newest of them, newest first, as people name them.
        newest: Vec<String>,
    },
    /// Several runs begin with the name.
    #[error("`{name}` is the beginning of {n_runs} runs")]
    SeveralRuns {
        /// The name.
        name: String,
        /// The number of runs.
        n_runs: usize,
        /// The newest of them, newest first, as people name them.
        newest: Vec<String>,
    },
    /// The name has a point, but the run is not a sweep.
    #[error("run {run} is not a sweep, so it has no points")]
    NoSweep {
        /// The run.
        run: RunId,
    },
    /// The sweep has no such point.
    #[error("the sweep {run} has no point `{point}`")]
    NoPoint {
        /// The run.
        run: RunId,
        /// The name of the point.
        point: String,
        /// The number of its points.
        n_points: usize,
    },
    /// The run has no metrics of the stage.
    #[error("run {run} has no metrics of a stage `{stage}`")]
    NoMetrics {
        /// The run or the point.
        run: String,
        /// The name of the stage.
        stage: String,
        /// The stages with metrics that may be meant, else all.
        stages: Vec<String>,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RecordedError {
    /// Advice with the available names.
    pub fn help(&self) -> Option<String> {
        let did_you_mean = |name: &str| Some(format!("did you mean `{name}`?"));
        match self {
            Self::NoRun { nearest: Some(near), .. } => did_you_mean(near),
            Self::NoRun { newest, .. } if newest.is_empty() => Some("nothing has run in this store".to_owned()),
            Self::NoRun { newest, .. } => {
                let names: Vec<_> = newest.iter().map(|(run, spec)| format!("`{run}` ({spec})")).collect();
                Some(format!("the newest are {}; `pipeline runs` lists all", names.join(", ")))
            }
            Self::SeveralRuns { newest, .. } | Self::SameName { newest, .. } => Some(listed(newest)),
            Self::NoSweep { .. } => None,
            Self::NoPoint { n_points, .. } => Some(format!("its points are 1 to {n_points}")),
            Self::NoMetrics { stages, .. } => pipeline_spec::did_you_mean(stages),
            Self::Store(error) => error.help(),
        }
    }
}

fn listed(newest: &[String]) -> String {
    let names: Vec<_> = newest.iter().map(|run| format!("`{run}`")).collect();
    format!("the newest are {}; `pipeline runs` lists all", names.join(", "))
}

/// Finds the run by `name`: `last`, `last~1` (the one before) and so on, an id, a given name, a number as `runs` lists
/// it, or a unique prefix of an id.
///
/// # Errors
/// When it matches no run or several.
pub fn find_run<'a>(runs: &'a [RunInfo], name: &str) -> Result<&'a RunInfo, RecordedError> {
    if let Some(back) = name.strip_prefix(LAST).and_then(n_back)
        && let Some(run) = runs.iter().rev().nth(back)
    {
        return Ok(run);
    }
    if let Some(run) = runs.iter().find(|run| run.id.0 == name) {
        return Ok(run);
    }
    let given = named(runs, name);
    match given.as_slice() {
        [] => {}
        [run] => return Ok(run),
        several => {
            let (n_runs, newest) = (several.len(), newest(several.iter().copied()));
            return Err(RecordedError::SameName { name: name.to_owned(), n_runs, newest });
        }
    }
    if let [run] = numbered(runs, name).as_slice() {
        return Ok(run);
    }
    let candidates: Vec<_> = runs.iter().filter(|run| !name.is_empty() && run.id.0.starts_with(name)).collect();
    match candidates.as_slice() {
        [run] => Ok(run),
        [] => Err(not_found(runs, name)),
        several => {
            let (n_runs, newest) = (several.len(), newest(several.iter().copied()));
            Err(RecordedError::SeveralRuns { name: name.to_owned(), n_runs, newest })
        }
    }
}

/// The runs that were given this name.
pub fn named<'a>(runs: &'a [RunInfo], name: &str) -> Vec<&'a RunInfo> {
    runs.iter().filter(|run| run.labels.name.as_deref() == Some(name)).collect()
}

/// The runs with this number; two can have one only where files cannot be locked.
fn numbered<'a>(runs: &'a [RunInfo], name: &str) -> Vec<&'a RunInfo> {
    let number = name.parse().ok().filter(|number: &u64| *number > 0 && number.to_string() == name);
    runs.iter().filter(|run| Some(run.number) == number).collect()
}

/// The number of runs before the last that `~N` means; an empty suffix means the last itself.
fn n_back(suffix: &str) -> Option<usize> {
    if suffix.is_empty() { Some(0) } else { suffix.strip_prefix('~')?.parse().ok() }
}

fn not_found(runs: &[RunInfo], name: &str) -> RecordedError {
    let names = runs.iter().flat_map(|run| run.labels.name.as_deref().into_iter().chain([run.id.0.as_str()]));
    let nearest = nearest(name, names.chain((!name.starts_with(LAST)).then_some(LAST))).map(str::to_owned);
    let titles = spec_titles(runs);
    let newest = runs.iter().rev().take(MAX_NAMED).map(|run| (short(run), titles[&run.id].clone())).collect();
    RecordedError::NoRun { name: name.to_owned(), nearest, newest }
}

/// The name by which people call a run.
fn short(run: &RunInfo) -> String {
    match (&run.labels.name, run.number) {
        (Some(name), _) => name.clone(),
        (None, 0) => run.id.to_string(),
        (None, number) => number.to_string(),
    }
}

/// The newest of these runs, by their numbers where they have some: names may be those of several.
fn newest<'a>(runs: impl DoubleEndedIterator<Item = &'a RunInfo>) -> Vec<String> {
    let named = |run: &RunInfo| if run.number == 0 { run.id.to_string() } else { run.number.to_string() };
    runs.rev().take(MAX_NAMED).map(named).collect()
}
