//! The history of runs: one folder a run with its spec, events and metrics.
//!
//! The process that writes a run holds a lock on its `events.jsonl`; an unfinished run without a lock has died. The last
//! event is followed by a seal.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, Event, EventRecord, FileEntry, Metrics, RunId, StageId};
use serde::{Deserialize, Serialize};

use crate::durable::{Durability, read_if_there, write_whole};
use crate::error::At;
use crate::runs::seal::{HashedFile, RunSeal, SEAL_FILE};
use crate::sealed::seal;
use crate::{Store, StoreError, host_name};

pub(crate) const EVENTS_FILE: &str = "events.jsonl";
pub(crate) const BEGIN_FILE: &str = "run.json";
pub(crate) const SPEC_FILE: &str = "spec.yaml";
const METRICS_FILE: &str = "metrics.json";

/// The version of the files of a run that this program writes. Version 0 had neither seals nor numbers.
pub(crate) const RUN_FORMAT: u32 = 1;

/// How much of `events.jsonl` is gathered before it is written and hashed, in bytes.
const EVENTS_BUFFER_BYTES: usize = 64 << 10;

/// The folder of a run that is being written: `runs/<run id>/`.
#[derive(Debug)]
pub struct RunFolder {
    id: RunId,
    folder: PathBuf,
    begin: RunBegin,
    events: BufWriter<HashedFile>,
    /// Where the next line is made; kept, so that not every event takes memory anew.
    line: Vec<u8>,
    /// The other files that were written.
    files: BTreeMap<String, FileEntry>,
    store: Store,
}

/// `run.json`: what is known of a run before its first event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunBegin {
    /// The spec's name.
    pub(crate) spec: String,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub(crate) started_ms: u64,
    /// The machine.
    pub(crate) host: String,
    /// The process.
    pub(crate) pid: u32,
    /// Its place among the runs of the store, from 1; 0 where runs had no number yet.
    #[serde(default)]
    pub(crate) number: u64,
    /// The version of the files of the run.
    #[serde(default)]
    pub(crate) format: u32,
}

/// Reads the beginning of the run in `folder`; none when the folder is not a run's.
///
/// # Errors
/// Says why it cannot be read.
pub(crate) fn read_begin(folder: &Path) -> Result<Option<RunBegin>, String> {
    let json = match read_if_there(&folder.join(BEGIN_FILE)) {
        Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        json => json.map_err(|error| crate::runs::seal::reason(&error))?,
    };
    let Some(json) = json else { return Ok(None) };
    let begin: RunBegin =
        serde_json::from_slice(&json).map_err(|error| format!("`{BEGIN_FILE}` is damaged: {error}"))?;
    if begin.format > RUN_FORMAT {
        return Err(format!("it was written by a newer version of `pipeline` (format {})", begin.format));
    }
    Ok(Some(begin))
}

impl Store {
    /// Makes the folder of a new run that began at `at_ms` (milliseconds since 1970-01-01 UTC).
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn start_run(&self, at_ms: u64, spec_name: &str) -> Result<RunFolder, StoreError> {
        let (number, id, folder) = self.new_run_folder(at_ms)?;
        let (spec, host, pid) = (spec_name.to_owned(), host_name().to_owned(), std::process::id());
        let begin = RunBegin { spec, started_ms: at_ms, host, pid, number, format: RUN_FORMAT };
        let events_path = folder.join(EVENTS_FILE);
        let events = File::options().append(true).create_new(true).open(&events_path).at("create", &events_path)?;
        // Waits only for the instant in which somebody lists the runs. Without locks the run counts as running.
        let _ = events.lock();
        let json = to_json(&begin);
        let events = BufWriter::with_capacity(EVENTS_BUFFER_BYTES, HashedFile::new(events));
        let mut run =
            RunFolder { id, folder, begin, events, line: Vec::new(), files: BTreeMap::new(), store: self.clone() };
        run.write(BEGIN_FILE, &json)?;
        Ok(run)
    }

    /// Writes a page into the folder of a run, in place of the one of that name that was there. Returns its path.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_report(&self, run: &RunId, name: &str, html: &str) -> Result<PathBuf, StoreError> {
        let path = self.layout().runs().join(&run.0).join(name);
        write_whole(&self.session()?.new_path(), &path, html.as_bytes(), Durability::Lazy)?;
        Ok(path)
    }

    fn new_run_folder(&self, at_ms: u64) -> Result<(u64, RunId, PathBuf), StoreError> {
        let runs = self.layout().runs();
        fs::create_dir_all(&runs).at("create", &runs)?;
        let order = self.run_order()?;
        let mut n_taken = 0;
        loop {
            let id = RunId(format!("{}-{}", utc(at_ms), suffix(n_taken)));
            let folder = runs.join(&id.0);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => n_taken += 1,
                created => {
                    created.at("create", &folder)?;
                    let number = order.take().at("write", &self.layout().run_order())?;
                    return Ok((number, id, folder));
                }
            }
        }
    }
}

impl RunFolder {
    /// The run.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes `spec.yaml`, the resolved spec.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_spec(&mut self, yaml: &str) -> Result<(), StoreError> {
        self.write(SPEC_FILE, yaml.as_bytes())
    }

    /// Writes a further file that is kept with the run.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_attachment(&mut self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        self.write(name, content)
    }

    /// Appends an event to `events.jsonl` as one line of JSON.
    ///
    /// It is handed to the operating system at once, but for [`Event::StageReused`], which goes with the next other
    /// event: a run in which nothing happens must not cost a write a stage. [`Event::RunFinished`] seals the run.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn append_event(&mut self, record: &EventRecord) -> Result<(), StoreError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record).expect(SERIALIZES);
        self.line.push(b'\n');
        let mut written = self.events.write_all(&self.line);
        if !matches!(record.event, Event::StageReused { .. }) {
            written = written.and_then(|()| self.events.flush());
        }
        written.at("write", &self.folder.join(EVENTS_FILE))?;
        if let Event::RunFinished { outcome, seconds, metrics } = &record.event {
            let files = std::mem::take(&mut self.files);
            let events = (EVENTS_FILE.to_owned(), self.events.get_ref().entry());
            let files = files.into_iter().chain([events]).collect();
            let (begin, metrics) = (self.begin.clone(), metrics.clone());
            self.write(SEAL_FILE, &seal(&RunSeal { begin, outcome: *outcome, seconds: *seconds, metrics, files }))?;
        }
        Ok(())
    }

    /// Writes `metrics.json`: `{stage: {metric: value}}`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn write_metrics(&mut self, metrics: &BTreeMap<StageId, Metrics>) -> Result<(), StoreError> {
        let mut json = serde_json::to_vec_pretty(metrics).expect("stages and metrics are texts and numbers");
        json.push(b'\n');
        self.write(METRICS_FILE, &json)
    }

    fn write(&mut self, file: &str, content: &[u8]) -> Result<(), StoreError> {
        let scratch = self.store.session()?.new_path();
        write_whole(&scratch, &self.folder.join(file), content, Durability::Lazy)?;
        let entry = FileEntry { digest: Digest::of(content), bytes: content.len() as u64, executable: false };
        self.files.insert(file.to_owned(), entry);
        Ok(())
    }
}

/// Why nothing that is written here can fail to become JSON.
const SERIALIZES: &str = "the vocabulary has string keys and serializes without fail";

fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect(SERIALIZES)
}

/// Four hexadecimal digits that differ between processes and attempts, most likely.
fn suffix(n_taken: u32) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seed = format!("{} {} {} {n_taken}", host_name(), std::process::id(), now.as_nanos());
    Digest::of(seed.as_bytes()).hex()[..4].to_owned()
}

/// `20261124T082050Z` for a time in milliseconds since 1970-01-01 UTC.
fn utc(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months count from March, so that the leap day is the last of the year.
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_the_time_in_utc() {
        for (at_ms, expect) in [
            (0, "19700101T000000Z"),
            (951_782_399_999, "20000228T235959Z"),
            (951_782_400_000, "20000229T000000Z"),
            (1_795_508_450_123, "20261124T082050Z"),
            (4_107_542_400_000, "21000301T000000Z"),
        ] {
            assert_eq!(utc(at_ms), expect);
        }
    }
}
