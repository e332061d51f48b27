//! The reports beside the search: about the run whose result is searched, the sweep of its spec, and any other run.
//!
//! Each is made on first request and kept; it reads recorded results and computes no stage.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pipeline_core::{Key, RunId, StageId};
use pipeline_experiments::recorded::{self, RecordedError, RecordedRun, read_log};
use pipeline_experiments::sweep::{PointRecord, SweepRecord};
use pipeline_experiments::{EvaluationPool, Opened};
use pipeline_report::Page;
use pipeline_store::{RunInfo, RunState, Store, path_of_sweeps};

use super::response::Response;
use crate::commands::report::{self, Options, Subject};
use crate::failure::Failure;

/// The most runs to search for the result, the newest first.
const MAX_RUNS: usize = 200;

/// The most reports about runs that are kept.
const MAX_KEPT: usize = 16;

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
        page(&self.store, run, self.spec.clone(), sweep)
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

fn page(store: &Store, run: RecordedRun, spec: Option<PathBuf>, sweep: Option<SweepRecord>) -> Result<Page, Failure> {
    let subject = Subject { store: store.clone(), run, other: None, spec, sweep };
    report::page(&subject, &Options { search: Some("/".to_owned()), ..Options::default() })
}

/// The reports about runs, by the names of the runs.
pub struct RunPages {
    store: Store,
    /// The last that were asked for, oldest first.
    kept: Mutex<VecDeque<(String, Arc<Kept>)>>,
}

impl RunPages {
    /// No report yet.
    pub fn new(store: Store) -> Self {
        Self { store, kept: Mutex::default() }
    }

    /// The report about a run, `RUN`, or about a point of a sweep, `RUN:POINT`.
    pub fn page(&self, name: &str) -> Response {
        let (run, _) = recorded::split(name).unwrap_or((name, ""));
        // Only ids: a name such as `last` is another run tomorrow, and a kept page is not.
        let info = self.store.runs().ids().is_ok_and(|ids| ids.iter().any(|id| id.0 == run));
        let info = info.then(|| self.store.runs().info(&RunId(run.to_owned()))).flatten();
        let Some(info) = info else { return Response::text(404, "there is no such run") };
        let make = || {
            let read = RecordedRun::find(&self.store, std::slice::from_ref(&info), name);
            let run = match read {
                Err(RecordedError::Store(error)) => return Err(error.into()),
                Err(error) => return Ok(Err(error.to_string())),
                Ok(run) => run,
            };
            let sweep = if run.point.is_none() { SweepRecord::of_run(&self.store, &info.id)? } else { None };
            page(&self.store, run, None, sweep).map(Ok)
        };
        // A run that goes on has another report soon.
        let kept = if info.state == RunState::Running { Arc::default() } else { self.kept(name) };
        kept.or_made(make)
    }

    fn kept(&self, name: &str) -> Arc<Kept> {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().position(|(known, _)| known == name).and_then(|idx| all.remove(idx));
        let (_, page) = known.unwrap_or_else(|| (name.to_owned(), Arc::default()));
        all.push_back((name.to_owned(), page.clone()));
        if all.len() > MAX_KEPT {
            all.pop_front();
        }
        page
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
                kept.insert(Response::page(200, html, content_security_policy)).clone()
            }
            Ok(Err(why)) => Response::text(404, &why),
            Err(failure) => Response::text(500, &failure.errors.join(": ")),
        }
    }
}
