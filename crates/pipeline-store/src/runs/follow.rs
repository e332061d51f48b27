//! Follows the events of a run that another process writes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use pipeline_core::{EventRecord, RunId};

use super::Runs;
use super::folder::EVENTS_FILE;
use crate::StoreError;
use crate::error::At;

/// The most bytes that one look reads.
const MAX_LOOK_BYTES: u64 = 4 << 20;

/// The longest line that is kept until its end is written: the longest event is that of a sweep's start, with its
/// graph.
const MAX_LINE_BYTES: usize = 16 << 20;

/// A reader of the events of a run, or of one of its workers, while they are appended.
///
/// It remembers how far it has read, so that a look costs what is new. It believes what it reads: only the end of the
/// run seals the file.
#[derive(Debug)]
pub struct EventFollower {
    path: PathBuf,
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    rest: Vec<u8>,
    /// Skips the rest of a line that is too long.
    is_skipping: bool,
}

impl Runs {
    /// Follows the events of a run from their beginning.
    pub fn follow(&self, run: &RunId) -> EventFollower {
        EventFollower::new(self.folder_of(run).join(EVENTS_FILE))
    }
}

impl EventFollower {
    /// Of the file at a path, from its beginning.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, rest: Vec::new(), is_skipping: false }
    }

    /// Reads the events that were appended since the last look, a bounded number of bytes; returns whether there may be
    /// more. Leaves out lines that are not events of this version.
    ///
    /// # Errors
    /// When the file is gone, cannot be read, or has become shorter.
    pub fn look(&mut self, each: &mut dyn FnMut(EventRecord)) -> Result<bool, StoreError> {
        let mut file = pipeline_files::open(&self.path).at("open", &self.path)?;
        let content = self.read(&mut file).at("read", &self.path)?;
        self.offset += content.len() as u64;
        let mut lines = content.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = lines.next() {
            let ends = lines.peek().is_some();
            if !self.is_skipping {
                self.rest.extend_from_slice(part);
            }
            if ends {
                if let (false, Ok(record)) = (self.is_skipping, serde_json::from_slice(&self.rest)) {
                    each(record);
                }
                self.rest.clear();
                self.is_skipping = false;
            } else if self.rest.len() > MAX_LINE_BYTES {
                self.rest = Vec::new();
                self.is_skipping = true;
            }
        }
        Ok(content.len() as u64 == MAX_LOOK_BYTES)
    }

    fn read(&self, file: &mut File) -> io::Result<Vec<u8>> {
        if file.metadata()?.len() < self.offset {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it has become shorter"));
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut content = Vec::new();
        file.take(MAX_LOOK_BYTES).read_to_end(&mut content)?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use pipeline_core::{Event, EventRecord};

    use crate::{RunOrigin, Store};

    fn warning(message: &str) -> EventRecord {
        let event = Event::StageWarning { stage: "a".parse().unwrap(), message: message.to_owned() };
        EventRecord { at_ms: 1, event }
    }

    #[test]
    fn events_are_read_once_as_they_come_and_a_half_line_waits_for_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut run = store.runs().start(1, "demo", &RunOrigin::default()).unwrap();
        let path = run.folder().join("events.jsonl");
        let mut follower = store.runs().follow(run.id());
        let mut look = || {
            let mut found = Vec::new();
            let more = follower.look(&mut |record| found.push(record)).map_err(|error| error.in_one_line())?;
            assert!(!more);
            Ok::<_, String>(found)
        };
        assert_eq!(look(), Ok(Vec::new()));
        run.append_event(&warning("1")).unwrap();
        run.append_event(&warning("2")).unwrap();
        assert_eq!(look(), Ok(vec![warning("1"), warning("2")]));
        assert_eq!(look(), Ok(Vec::new()));
        let line = serde_json::to_vec(&warning("3")).unwrap();
        let mut file = fs::File::options().append(true).open(&path).unwrap();
        file.write_all(b"{\"event\": \"of a later version\"}\n").unwrap();
        file.write_all(&line[..20]).unwrap();
        assert_eq!(look(), Ok(Vec::new()));
        file.write_all(&line[20..]).unwrap();
        file.write_all(b"\n").unwrap();
        assert_eq!(look(), Ok(vec![warning("3")]));
        fs::write(&path, "").unwrap();
        assert!(look().unwrap_err().contains("it has become shorter"));
        fs::remove_dir_all(run.folder()).unwrap();
        assert!(look().unwrap_err().contains("cannot open"));
    }
}
