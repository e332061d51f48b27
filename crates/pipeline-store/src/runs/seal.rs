//! The seal of a run: written last, it records how the run ended and the digests of its files.
//!
//! Readers of a result in a run's folder compare the file with the seal, so that later changes are detected. A run
//! without a seal has not ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use blake3::Hasher;
use pipeline_core::{Digest, FileEntry, Metrics, Outcome, StageId};
use serde::{Deserialize, Serialize};

use super::begin::RunBegin;
use crate::check::{FileState, check_file};
use crate::durable::read_if_there;
use crate::sealed::unseal;

pub(crate) const SEAL_FILE: &str = "seal.json";

/// `seal.json`: a sealed document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunSeal {
    /// Its start.
    pub(super) begin: RunBegin,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// Wall time, in seconds.
    pub(super) seconds: f64,
    /// The metrics of all stages.
    pub(super) metrics: BTreeMap<StageId, Metrics>,
    /// The files of the run's folder by name.
    pub(super) files: BTreeMap<String, FileEntry>,
    /// True if nothing ran; `None` in runs of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) is_no_op: Option<bool>,
}

/// The state of the file at the path of a run's seal.
#[derive(Debug)]
pub(super) enum SealState {
    Intact(Box<RunSeal>),
    /// The reason why it is invalid.
    Damaged(String),
    Absent,
}

impl RunSeal {
    /// Reads the seal of the run in `folder`.
    pub(super) fn read(folder: &Path) -> SealState {
        match read_if_there(&folder.join(SEAL_FILE)) {
            Ok(None) => SealState::Absent,
            Ok(Some(document)) => match unseal(&document) {
                Some(seal) => SealState::Intact(Box::new(seal)),
                None => SealState::Damaged(format!("`{SEAL_FILE}` is damaged")),
            },
            Err(error) => SealState::Damaged(error.in_one_line()),
        }
    }

    /// Checks every sealed file; returns the fault of the first that has changed.
    pub(super) fn check(&self, folder: &Path) -> Result<(), String> {
        self.files.iter().try_for_each(|(name, entry)| match check_file(&folder.join(name), entry) {
            Ok(FileState::Intact) => Ok(()),
            Ok(FileState::Corrupt) => Err(changed(name)),
            Ok(FileState::Missing) => Err(gone(name)),
            Err(error) => Err(error.in_one_line()),
        })
    }

    /// Checks the content of a file, or its absence; returns the fault.
    pub(super) fn check_content(&self, name: &str, content: Option<&[u8]>) -> Result<(), String> {
        match (content, self.files.get(name)) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(gone(name)),
            (Some(_), None) => Err(format!("`{name}` was added after the run ended")),
            (Some(content), Some(entry)) if Digest::of(content) == entry.digest => Ok(()),
            (Some(_), Some(_)) => Err(changed(name)),
        }
    }
}

fn changed(name: &str) -> String {
    format!("`{name}` was changed after the run ended")
}

fn gone(name: &str) -> String {
    format!("`{name}` is gone")
}

/// A file that is hashed while it is written.
#[derive(Debug)]
pub(super) struct HashedFile {
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl HashedFile {
    pub(super) fn new(file: File) -> Self {
        Self { file, hasher: Hasher::new(), bytes: 0 }
    }

    /// The entry of the file as written so far.
    pub(super) fn entry(&self) -> FileEntry {
        FileEntry::new(Digest::from_bytes(*self.hasher.finalize().as_bytes()), self.bytes)
    }
}

impl Write for HashedFile {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let n_written = self.file.write(content)?;
        self.hasher.update(&content[..n_written]);
        self.bytes += n_written as u64;
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
