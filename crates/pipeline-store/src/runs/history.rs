//! Reads the history of runs.
//!
//! A run that cannot be read, or was changed after it ended, does not affect the others.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use pipeline_core::{Event, EventRecord, Metrics, Outcome, RunId, StageId};
use rayon::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Runs;
use super::begin::RunBegin;
use super::folder::{EVENTS_FILE, SPEC_FILE, is_idle};
use super::labels::{RunLabels, read_labels};
use super::origin::RunOrigin;
use super::pins::PIN_FILE;
use super::seal::{RunSeal, SealState};
use crate::StoreError;
use crate::clock::milliseconds;
use crate::durable::read_if_there;
use crate::error::At;
use crate::ownership::is_held;

/// The bytes at the end of `events.jsonl` that are read first; they usually contain the last event.
const TAIL_BYTES: u64 = 16 << 10;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Every stage is up to date.
    Done,
    /// At least one stage failed.
    Failed,
    /// It was interrupted and recorded so.
    Interrupted,
    /// Its process lives, or that is unknown.
    Running,
    /// Its process ended without a record.
    Died,
    /// Its files cannot be read, or were changed after it ended: none of them is trusted.
    Damaged,
}

/// The facts of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run.
    pub id: RunId,
    /// The spec's name.
    pub spec: String,
    /// Its state.
    pub state: RunState,
    /// True if collections spare its artifacts.
    pub pinned: bool,
    /// Metrics by stage; empty until it ends.
    pub metrics: BTreeMap<StageId, Metrics>,
    /// Wall time in seconds; `None` until it ends.
    pub seconds: Option<f64>,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
    /// The fault of a damaged run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its position among the runs of the store, from 1; 0 for old runs without a number, or when it cannot be read.
    #[serde(skip)]
    pub number: u64,
    /// True if it is done and nothing ran.
    #[serde(skip)]
    pub is_no_op: bool,
    /// Its machine; empty when it cannot be read.
    #[serde(skip)]
    pub host: String,
    /// Its origin.
    #[serde(skip)]
    pub origin: RunOrigin,
    /// Its name, note and tags.
    #[serde(skip)]
    pub labels: RunLabels,
    /// The reason why its labels cannot be read; the run itself may be intact.
    #[serde(skip)]
    pub labels_problem: Option<String>,
}

impl RunInfo {
    /// A copy without the metrics.
    pub fn without_metrics(&self) -> Self {
        let Self { id, spec, problem, host, origin, labels, labels_problem, .. } = self;
        Self {
            id: id.clone(),
            spec: spec.clone(),
            state: self.state,
            pinned: self.pinned,
            metrics: BTreeMap::new(),
            seconds: self.seconds,
            started_ms: self.started_ms,
            problem: problem.clone(),
            number: self.number,
            is_no_op: self.is_no_op,
            host: host.clone(),
            origin: origin.clone(),
            labels: labels.clone(),
            labels_problem: labels_problem.clone(),
        }
    }
}

impl Runs {
    /// Lists the runs in the order of their starts, newest last, independent of the clock. Runs without a number are
    /// older and sort by their times. Skips folders that are not runs.
    ///
    /// # Errors
    /// When the folder of runs cannot be read.
    pub fn list(&self) -> Result<Vec<RunInfo>, StoreError> {
        let folders = self.folders()?;
        let info = |(id, folder): (RunId, PathBuf)| run_info(id, &folder);
        let mut runs: Vec<RunInfo> = folders.into_par_iter().filter_map(info).collect();
        runs.sort_by(|a, b| (a.number, a.started_ms, &a.id).cmp(&(b.number, b.started_ms, &b.id)));
        Ok(runs)
    }

    /// The names in the folder of runs, in no order: cheap enough to look for new runs again and again. Some may be no
    /// runs.
    ///
    /// # Errors
    /// When the folder of runs cannot be read.
    pub fn ids(&self) -> Result<Vec<RunId>, StoreError> {
        Ok(self.folders()?.into_iter().map(|(id, _)| id).collect())
    }

    /// The facts of one run; `None` when there is no such run.
    pub fn info(&self, run: &RunId) -> Option<RunInfo> {
        run_info(run.clone(), &self.folder_of(run))
    }

    /// The events of a run, in order. Leaves out a line that was cut by a kill; a run without an events file has no
    /// events.
    ///
    /// # Errors
    /// When there is no such run, it cannot be read, or was changed after it ended.
    pub fn events(&self, run: &RunId) -> Result<Vec<EventRecord>, StoreError> {
        Ok(self.event_lines(run)?.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The events of a run as recorded, one JSON object per line, in order. Leaves out everything that is not a whole
    /// object, such as a line that was cut by a kill.
    ///
    /// # Errors
    /// When there is no such run, it cannot be read, or was changed after it ended.
    pub fn event_lines(&self, run: &RunId) -> Result<Vec<String>, StoreError> {
        let content = self.file(run, EVENTS_FILE)?.unwrap_or_default();
        let lines = content.split(|byte| *byte == b'\n');
        let texts = lines.filter_map(|line| String::from_utf8(line.to_vec()).ok());
        Ok(texts.filter(|line| serde_json::from_str::<IgnoredAny>(line).is_ok()).collect())
    }

    /// The resolved spec of a run as YAML; `None` when it was not written.
    ///
    /// # Errors
    /// When it cannot be read, or was changed after the run ended.
    pub fn spec(&self, run: &RunId) -> Result<Option<String>, StoreError> {
        let yaml = self.file(run, SPEC_FILE)?;
        let text =
            |yaml| String::from_utf8(yaml).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into());
        Ok(yaml.map(text))
    }

    /// Another file that is kept with a run; `None` when the run has no such file.
    ///
    /// # Errors
    /// When it cannot be read, or was changed after the run ended.
    pub fn attachment(&self, run: &RunId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.file(run, name)
    }

    /// Reads a file of a run, compared with the seal if the run has ended.
    fn file(&self, run: &RunId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let folder = self.folder_of(run);
        fs::metadata(&folder).at("open", &folder)?;
        let damaged = |problem| StoreError::RunDamaged { run: run.clone(), problem, folder: folder.clone() };
        // Before the file: a run that finishes in between has then written all of it.
        let seal = match RunSeal::read(&folder) {
            SealState::Intact(seal) => Some(seal),
            SealState::Damaged(problem) => return Err(damaged(problem)),
            SealState::Absent => None,
        };
        let content = read_if_there(&folder.join(name)).map_err(|error| damaged(error.in_one_line()))?;
        seal.map_or(Ok(()), |seal| seal.check_content(name, content.as_deref())).map_err(damaged)?;
        Ok(content)
    }
}

fn run_info(id: RunId, folder: &Path) -> Option<RunInfo> {
    let pinned = folder.join(PIN_FILE).exists();
    let (labels, labels_problem) = match read_labels(folder) {
        Ok(labels) => (labels, None),
        Err(problem) => (RunLabels::default(), Some(problem)),
    };
    let unread = RunInfo {
        id,
        spec: String::new(),
        state: RunState::Damaged,
        pinned,
        metrics: BTreeMap::new(),
        seconds: None,
        started_ms: 0,
        problem: None,
        number: 0,
        is_no_op: false,
        host: String::new(),
        origin: RunOrigin::default(),
        labels,
        labels_problem,
    };
    let of = |begin: RunBegin| {
        let RunBegin { spec, started_ms, number, host, origin, .. } = begin;
        RunInfo { spec, started_ms, number, host, origin, ..unread.clone() }
    };
    let damaged = |problem: String, info: RunInfo| Some(RunInfo { problem: Some(problem), ..info });
    let begin = match RunBegin::read(folder) {
        Ok(begin) => begin,
        // Its seal, if it has one, may still describe it.
        Err(problem) => match RunSeal::read(folder) {
            SealState::Intact(seal) => return damaged(problem, of(seal.begin)),
            // Another tool has a file of that name.
            _ if !Runs::is_name(&unread.id.0) => return None,
            _ => return damaged(problem, RunInfo { started_ms: made_ms(folder), ..unread }),
        },
    };
    match ended(folder) {
        Ended::Sealed(seal) => match seal.check(folder) {
            Ok(()) => {
                let RunSeal { begin, outcome, seconds, metrics, is_no_op, .. } = *seal;
                let is_no_op = outcome == Outcome::Done && is_no_op.unwrap_or_else(|| is_no_op_in(folder));
                Some(RunInfo { state: state_after(outcome), metrics, seconds: Some(seconds), is_no_op, ..of(begin) })
            }
            Err(problem) => damaged(problem, of(seal.begin)),
        },
        Ended::BadSeal(problem) => damaged(problem, begin.map(of)?),
        Ended::Not { owner_lives } => {
            let begin = begin?;
            if begin.format == 0 {
                before_seals(folder, owner_lives, of(begin))
            } else {
                let state = if owner_lives { RunState::Running } else { RunState::Died };
                Some(RunInfo { state, ..of(begin) })
            }
        }
    }
}

/// True if the events of a finished run say that nothing ran: for seals of versions that did not.
fn is_no_op_in(folder: &Path) -> bool {
    let Ok(Some(events)) = read_if_there(&folder.join(EVENTS_FILE)) else { return false };
    let mut lines = events.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.all(|line| serde_json::from_slice::<EventRecord>(line).is_ok_and(|record| is_idle(&record.event)))
}

/// True if the process of the run in `folder` lives.
pub(crate) fn is_running(folder: &Path) -> bool {
    matches!(ended(folder), Ended::Not { owner_lives: true })
}

/// The end of a run, if it has ended.
enum Ended {
    Sealed(Box<RunSeal>),
    BadSeal(String),
    Not { owner_lives: bool },
}

fn ended(folder: &Path) -> Ended {
    let look = |owner_lives| match RunSeal::read(folder) {
        SealState::Intact(seal) => Ended::Sealed(seal),
        SealState::Damaged(problem) => Ended::BadSeal(problem),
        SealState::Absent => Ended::Not { owner_lives },
    };
    match look(false) {
        // Once more after the look at the owner: a run that finishes in between is then seen as finished.
        Ended::Not { .. } => look(open_events(folder).ok().flatten().as_ref().is_some_and(is_held)),
        ended => ended,
    }
}

/// A run of a version without seals: its last event determines how it ended.
fn before_seals(folder: &Path, owner_lives: bool, info: RunInfo) -> Option<RunInfo> {
    let last_line = open_events(folder).and_then(|file| {
        let line = file.map_or_else(|| Ok(Vec::new()), |file| last_line(&file));
        line.at("read", &folder.join(EVENTS_FILE))
    });
    let last_line = match last_line {
        Ok(line) => line,
        Err(error) => return Some(RunInfo { problem: Some(error.in_one_line()), ..info }),
    };
    let last_event = serde_json::from_slice::<EventRecord>(&last_line).ok().map(|record| record.event);
    Some(match last_event {
        Some(Event::RunFinished { outcome, seconds, metrics, .. }) => {
            let is_no_op = outcome == Outcome::Done && is_no_op_in(folder);
            RunInfo { state: state_after(outcome), seconds: Some(seconds), metrics, is_no_op, ..info }
        }
        _ if owner_lives => RunInfo { state: RunState::Running, ..info },
        _ => RunInfo { state: RunState::Died, ..info },
    })
}

/// Opens the events of a run; `None` if they were removed.
fn open_events(folder: &Path) -> Result<Option<File>, StoreError> {
    let path = folder.join(EVENTS_FILE);
    match pipeline_files::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some).at("open", &path),
    }
}

/// When the folder of an unreadable run was created or last changed, in milliseconds since 1970-01-01 UTC.
fn made_ms(folder: &Path) -> u64 {
    let modified = fs::metadata(folder).and_then(|metadata| metadata.modified());
    milliseconds(modified.unwrap_or(SystemTime::UNIX_EPOCH))
}

fn state_after(outcome: Outcome) -> RunState {
    match outcome {
        Outcome::Done => RunState::Done,
        Outcome::Failed => RunState::Failed,
        Outcome::Interrupted => RunState::Interrupted,
    }
}

/// The last whole line, without its line break; empty if there is none.
fn last_line(mut file: &File) -> io::Result<Vec<u8>> {
    let bytes = file.metadata()?.len();
    let mut tail_bytes = TAIL_BYTES.min(bytes);
    loop {
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(bytes - tail_bytes))?;
        file.take(tail_bytes).read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|b| *b == b'\n').map_or(&tail[..0], |end| &tail[..end]);
        match whole.iter().rposition(|b| *b == b'\n') {
            Some(start) => return Ok(whole[start + 1..].to_vec()),
            None if tail_bytes == bytes => return Ok(whole.to_vec()),
            None => tail_bytes = (tail_bytes * 8).min(bytes),
        }
    }
}
