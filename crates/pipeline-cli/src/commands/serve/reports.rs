//! The pages beside the search box: about the run whose result is searched, and about the sweep of its spec.
//!
//! Each is made on first request and kept; it reads recorded results and computes no stage.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pipeline_core::{Key, RunId, StageId};
use pipeline_experiments::recorded::{RecordedRun, read_log};
use pipeline_experiments::sweep::{PointRecord, SweepRecord};
use pipeline_experiments::{EvaluationPool, Opened};
use pipeline_report::Page;
use pipeline_store::{RunInfo, RunState, Store, path_of_sweeps};

use super::response::Response;
use crate::commands::report::{self, Options, Subject};
use crate::failure::Failure;

/// The most runs to search for the result, the newest first.
const MAX_RUNS: usize = 200;

/// The pages about the searched pool.
pub struct Reports {
    store: Store,
    /// The spec, if it was named itself.
    spec: Option<PathBuf>,
    /// The named run.
    named: Option<RunId>,
    evaluation: StageId,
    /// The key of the evaluation; `None` while it is not up to date.
    key: Option<Key>,
    /// The last sweep of the spec, or the named run if it is a sweep.
    swept: Option<RunId>,
    report: Kept,
    sweep: Kept,
}

/// A page, kept once it is made.
#[derive(Default)]
struct Kept(Mutex<Option<Response>>);

impl Reports {
    /// Finds the runs for the pages; makes no page yet.
    pub fn new(opened: &Opened, searching: &EvaluationPool, named: Option<RunId>) -> Self {
        let spec = named.is_none().then(|| opened.spec.file.clone());
        let is_sweep = |run: &RunId| matches!(SweepRecord::of_run(&opened.store, run), Ok(Some(_)));
        let swept = match (&named, &spec) {
            (Some(run), _) => Some(run.clone()),
            (None, Some(spec)) => opened.store.specs().last(&path_of_sweeps(spec)).map(|last| last.run),
            (None, None) => None,
        };
        Self {
            store: opened.store.clone(),
            spec,
            named,
            evaluation: searching.evaluation.clone(),
            key: searching.result,
            swept: swept.filter(is_sweep),
            report: Kept::default(),
            sweep: Kept::default(),
        }
    }

    /// The addresses of the pages with the texts of their links.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let report = self.key.map(|_| ("/report", "Report"));
        let sweep = self.swept.as_ref().map(|_| ("/sweep", "Sweep"));
        report.into_iter().chain(sweep)
    }

    /// The page about the run whose result is searched.
    pub fn report(&self) -> Response {
        self.report.or_made(|| {
            let Some(key) = self.key else {
                return Ok(Err(format!("`{}` is not up to date, so there is no report about it", self.evaluation)));
            };
            match self.run_with(&key)? {
                Some(run) => self.page(run, None).map(Ok),
                None => Ok(Err("no run in the store has this result: `pipeline run` records one".to_owned())),
            }
        })
    }

    /// The page about the sweep.
    pub fn sweep(&self) -> Response {
        self.sweep.or_made(|| {
            let runs = self.store.runs().list()?;
            let run = runs.into_iter().find(|run| Some(&run.id) == self.swept.as_ref());
            let record = run.as_ref().map(|run| SweepRecord::of_run(&self.store, &run.id)).transpose()?.flatten();
            match run.zip(record) {
                Some((run, record)) => self.page(RecordedRun::read(&self.store, run)?, Some(record)).map(Ok),
                None => Ok(Err("the spec has not been swept: `pipeline sweep` does that".to_owned())),
            }
        })
    }

    fn page(&self, run: RecordedRun, sweep: Option<SweepRecord>) -> Result<Page, Failure> {
        let subject = Subject { store: self.store.clone(), run, other: None, spec: self.spec.clone(), sweep };
        report::page(&subject, &Options { search: Some("/".to_owned()), ..Options::default() })
    }

    /// The run, or the point of a sweep, that has the result of this key: the named run, else the newest.
    fn run_with(&self, key: &Key) -> Result<Option<RecordedRun>, Failure> {
        let mut runs = self.store.runs().list()?;
        runs.retain(|run| run.state != RunState::Damaged);
        runs.sort_by_key(|run| Some(&run.id) == self.named.as_ref());
        for run in runs.into_iter().rev().take(MAX_RUNS) {
            if let Some(results) = self.results_with(run, key)? {
                return Ok(Some(results));
            }
        }
        Ok(None)
    }

    fn results_with(&self, run: RunInfo, key: &Key) -> Result<Option<RecordedRun>, Failure> {
        let log = read_log(&self.store, &run.id)?;
        let Some(stage) = log.stages().iter().find(|stage| stage.key == Some(*key) && stage.artifact.is_some()) else {
            return Ok(None);
        };
        let Some(record) = SweepRecord::of_run(&self.store, &run.id)? else {
            return Ok(if stage.id == self.evaluation { Some(RecordedRun::read(&self.store, run)?) } else { None });
        };
        let has_it = |point: &&PointRecord| point.stages.get(&self.evaluation) == Some(&stage.id);
        match record.points.iter().find(has_it) {
            Some(point) => Ok(Some(RecordedRun::read(&self.store, run)?.at(point.clone()))),
            None => Ok(None),
        }
    }
}

impl Kept {
    /// The page, made on the first request, for which later ones wait. A failed attempt is repeated.
    fn or_made(&self, make: impl FnOnce() -> Result<Result<Page, String>, Failure>) -> Response {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = &*kept {
            return page.clone();
        }
        match make() {
            Ok(Ok(Page { html, content_security_policy })) => {
                let page = Response { policy: Some(content_security_policy), ..Response::html(200, html) };
                kept.insert(page).clone()
            }
            Ok(Err(why)) => Response::text(404, &why),
            Err(failure) => Response::text(500, &failure.errors.join(": ")),
        }
    }
}
