//! Reading the history of runs back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use pipeline_core::{Event, EventRecord, Key, Metrics, Outcome, RunId, StageId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::durable::{list_folder, parent, read_if_there};
use crate::error::At;
use crate::ownership::is_held;
use crate::runs::{BEGIN_FILE, EVENTS_FILE, RunBegin, SPEC_FILE};
use crate::{Store, StoreError};

/// The end of `events.jsonl` that is read first, in bytes; the last event is most often within it.
const TAIL_BYTES: u64 = 16 << 10;

/// The file that marks a run as pinned.
const PIN_FILE: &str = "pinned";

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Every stage is up to date.
    Done,
    /// At least one stage failed.
    Failed,
    /// It was interrupted and said so.
    Interrupted,
    /// Its process lives, or nobody can tell.
    Running,
    /// Its process ended without a word.
    Died,
}

/// What a run was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run.
    pub id: RunId,
    /// The spec's name.
    pub spec: String,
    /// How it stands.
    pub state: RunState,
    /// True if a collection spares what its stages had.
    pub pinned: bool,
    /// Metrics by stage; empty until it is over.
    pub metrics: BTreeMap<StageId, Metrics>,
    /// Wall time; none until it is over.
    pub seconds: Option<f64>,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
}

impl Store {
    /// Lists the runs, newest last. A folder that is not a run's is passed over.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self) -> Result<Vec<RunInfo>, StoreError> {
        let mut runs = Vec::new();
        for entry in list_folder(&self.layout().runs())? {
            let id = RunId(entry.file_name().to_string_lossy().into_owned());
            runs.extend(run_info(id, &entry.path())?);
        }
        runs.sort_by(|a, b| (a.started_ms, &a.id).cmp(&(b.started_ms, &b.id)));
        Ok(runs)
    }

    /// The events of a run, in order. A line that was cut by a kill is left out; a run that has lost its events has none.
    ///
    /// # Errors
    /// When there is no such run or it cannot be read.
    pub fn run_events(&self, run: &RunId) -> Result<Vec<EventRecord>, StoreError> {
        Ok(self.run_event_lines(run)?.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The events of a run as they were recorded, one JSON object a line, in order. What is no whole object, such as a
    /// line that was cut by a kill, is left out.
    ///
    /// # Errors
    /// When there is no such run or it cannot be read.
    pub fn run_event_lines(&self, run: &RunId) -> Result<Vec<String>, StoreError> {
        let path = self.layout().runs().join(&run.0).join(EVENTS_FILE);
        let Some(file) = open_events(&path)? else { return Ok(Vec::new()) };
        let lines = BufReader::new(file).split(b'\n');
        let lines = lines.collect::<io::Result<Vec<_>>>().at("read", &path)?;
        let texts = lines.into_iter().filter_map(|line| String::from_utf8(line).ok());
        Ok(texts.filter(|line| serde_json::from_str::<IgnoredAny>(line).is_ok()).collect())
    }

    /// The resolved spec of a run as YAML; none when it was not written.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn run_spec(&self, run: &RunId) -> Result<Option<String>, StoreError> {
        let yaml = read_if_there(&self.layout().runs().join(&run.0).join(SPEC_FILE))?;
        Ok(yaml.map(|yaml| String::from_utf8_lossy(&yaml).into_owned()))
    }

    /// A further file that is kept with a run; none when the run has no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn run_attachment(&self, run: &RunId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        read_if_there(&self.layout().runs().join(&run.0).join(name))
    }

    /// Pins a run, so that a collection spares what its stages had, or lets it go.
    ///
    /// # Errors
    /// When there is no such run or the store cannot be written.
    pub fn pin_run(&self, run: &RunId, pinned: bool) -> Result<(), StoreError> {
        let path = self.layout().runs().join(&run.0).join(PIN_FILE);
        if pinned { File::create(&path).map(drop).at("create", &path) } else { crate::durable::remove_file(&path) }
    }

    /// The keys of all stages of pinned runs.
    pub(crate) fn pinned_keys(&self) -> Result<Vec<Key>, StoreError> {
        let mut keys = Vec::new();
        for run in self.runs()?.into_iter().filter(|run| run.pinned) {
            for record in self.run_events(&run.id)? {
                if let Event::StageReused { key, .. } | Event::StageFinished { key, .. } = record.event {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }
}

fn run_info(id: RunId, folder: &Path) -> Result<Option<RunInfo>, StoreError> {
    let Ok(Some(json)) = read_if_there(&folder.join(BEGIN_FILE)) else { return Ok(None) };
    let Ok(begin) = serde_json::from_slice::<RunBegin>(&json) else { return Ok(None) };
    let path = folder.join(EVENTS_FILE);
    let file = open_events(&path)?;
    // Before the last event is read: who finishes in between is then seen as finished.
    let owner_lives = file.as_ref().is_some_and(is_held);
    let last_line = file.map_or_else(|| Ok(Vec::new()), |file| last_line(&file)).at("read", &path)?;
    let last_event = serde_json::from_slice::<EventRecord>(&last_line).ok().map(|record| record.event);
    let (state, seconds, metrics) = match last_event {
        Some(Event::RunFinished { outcome, seconds, metrics }) => (state_after(outcome), Some(seconds), metrics),
        _ if owner_lives => (RunState::Running, None, BTreeMap::new()),
        _ => (RunState::Died, None, BTreeMap::new()),
    };
    let pinned = folder.join(PIN_FILE).exists();
    Ok(Some(RunInfo { id, spec: begin.spec, state, pinned, metrics, seconds, started_ms: begin.started_ms }))
}

/// Opens the events of a run; none if somebody has removed them, so that only a run that is not there is an error.
fn open_events(path: &Path) -> Result<Option<File>, StoreError> {
    match pipeline_files::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent(path).is_dir() => Ok(None),
        // A folder, FIFO or device in the place of the events of one run is no reason to show none of the others.
        Err(error) if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput) => Ok(None),
        opened => opened.map(Some).at("open", path),
    }
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
