//! Finds the run of a report, and the run to compare with.

use std::path::{Path, PathBuf};

use pipeline_engine::Decision;
use pipeline_experiments::recorded::{self, RecordedRun};
use pipeline_experiments::sweep::SweepRecord;
use pipeline_experiments::{Opened, Protected, SpecRef, StoreRef, connect};
use pipeline_store::{RunInfo, RunState, Store, path_of_sweeps};

use crate::again;
use crate::args::ReportArgs;
use crate::door;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remotes;
use crate::spec_or_run::SpecOrRun;
use crate::terminal::Terminal;

/// The subject of a report.
pub struct Subject {
    /// The store.
    pub store: Store,
    /// The run, or the point of a sweep.
    pub run: RecordedRun,
    /// The run to compare with.
    pub other: Option<RecordedRun>,
    /// The spec, if one was named.
    pub spec: Option<PathBuf>,
    /// The points, if the subject is a whole sweep.
    pub sweep: Option<SweepRecord>,
}

impl Subject {
    /// The paths that the page must not overwrite: the sources of the run's spec and, where a spec was named, its
    /// files. `None` when this program can no longer read the spec.
    pub fn protected(&self) -> Option<Protected> {
        let spec = match &self.spec {
            Some(file) => pipeline_spec::load(file, &[]).ok()?,
            None => {
                pipeline_spec::parse(&self.store.runs().spec(&self.run.info.id).ok()??, Path::new("spec.yaml")).ok()?
            }
        };
        let stages = pipeline_stages::build(&spec, &door::surroundings().settings(&spec)).ok()?;
        let graph = connect(&spec, stages).ok()?;
        Some(Protected::of(&spec, &graph, self.store.artifacts()))
    }
}

/// Finds the run of the arguments: the one with this name, else the last run of the spec with this name.
///
/// # Errors
/// When it is neither, or the spec has not run.
pub fn find(args: &ReportArgs, terminal: &Terminal) -> Result<Subject, Failure> {
    match SpecOrRun::find(&args.subject, &args.store, terminal)? {
        SpecOrRun::Spec(spec) => {
            let subject = of_spec(args, &spec)?;
            note_stale(args, &subject, terminal);
            Ok(subject)
        }
        SpecOrRun::Runs(named) => {
            let store = remotes::attach(named.store.clone(), args.remote.remote.as_deref())?;
            match RecordedRun::find(&store, &named.runs, &args.subject) {
                Ok(run) => subject(args, &store, &named.runs, run, None),
                Err(no_run) => Err(named.neither(&args.subject, no_run)),
            }
        }
    }
}

fn of_spec(args: &ReportArgs, spec: &Path) -> Result<Subject, Failure> {
    let spec = pipeline_spec::spec_path(spec)?;
    let store = Store::open(&StoreRef::near(&spec, args.store.artifacts.as_deref()).folder)?;
    let store = remotes::attach(store, args.remote.remote.as_deref())?;
    let runs = store.runs().list()?;
    if let [named, ..] = recorded::named(&runs, &args.subject).as_slice() {
        let message = format!("`{}` is a spec and the name of run {}", args.subject, named.id);
        return Err(Failure::new(Exit::Usage, message)
            .with_help(format!("write the path of the spec, `{}`, or the id of the run", spec.display())));
    }
    let Some(run) = last_run(&store, &runs, &spec) else {
        let message =
            format!("`{}` has not run in the store `{}`", again::spec_word(&spec), store.artifacts().display());
        let command = if has_sweep(&spec) { "sweep" } else { "run" };
        return Err(Failure::new(Exit::Usage, message)
            .with_help(format!("`pipeline {command} {}` first", again::quoted(&again::spec_word(&spec)))));
    };
    let run = RecordedRun::read(&store, run)?;
    subject(args, &store, &runs, run, Some(spec))
}

/// Notes on stderr that the spec, or what it reads, has changed since the run. A spec that cannot be read says nothing:
/// the page is about the run.
fn note_stale(args: &ReportArgs, subject: &Subject, terminal: &Terminal) {
    let is_whole = subject.run.info.state == RunState::Done;
    let Some(spec) = subject.spec.as_ref().filter(|_| is_whole && subject.sweep.is_none()) else { return };
    let opened = SpecRef::at(spec, &[], args.store.artifacts.as_deref()).ok();
    let opened = opened.and_then(|named| Opened::open(&named, &door::surroundings()).ok());
    let Some(plan) = opened.and_then(|opened| opened.plan_what_is_there().ok()) else { return };
    let n_stale = plan.stages.iter().filter(|stage| !matches!(stage.decision, Decision::Reuse { .. })).count();
    if n_stale > 0 {
        terminal.remark(&format!(
            "note: the page is of run {}; of `{}` {} not up to date, as {} shows",
            subject.run.info.id,
            again::spec_word(spec),
            if n_stale == 1 { "1 stage is".to_owned() } else { format!("{n_stale} stages are") },
            format_args!("`pipeline status {}`", again::quoted(&again::spec_word(spec)))
        ));
    }
}

/// The last sweep of a spec that has one, else its last run; a sweep by `--axis` alone if it never ran otherwise.
fn last_run(store: &Store, runs: &[RunInfo], spec: &Path) -> Option<RunInfo> {
    let last = |path: &Path| {
        let last = store.specs().newest_last(path)?;
        runs.iter().find(|run| run.id == last.run).cloned()
    };
    let (swept, ran) = (last(&path_of_sweeps(spec)), last(spec));
    if swept.is_some() && has_sweep(spec) { swept } else { ran.or(swept) }
}

/// Whether the spec has a sweep; an unreadable one does not.
fn has_sweep(spec: &Path) -> bool {
    pipeline_spec::load(spec, &[]).is_ok_and(|spec| !spec.sweep.is_empty())
}

fn subject(
    args: &ReportArgs,
    store: &Store,
    runs: &[RunInfo],
    run: RecordedRun,
    spec: Option<PathBuf>,
) -> Result<Subject, Failure> {
    let other = args.compare.as_ref().map(|name| RecordedRun::find(store, runs, name)).transpose()?;
    let sweep = if run.point.is_none() { SweepRecord::of_run(store, &run.info.id)? } else { None };
    Ok(Subject { store: store.clone(), run, other, spec, sweep })
}
