//! What this program has written outside the store, so that it replaces nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pipeline_core::Digest;
use serde::{Deserialize, Serialize};

use crate::durable::{Durability, make_folder, read_if_there, write_whole};
use crate::error::At;
use crate::sealed::{seal, unseal};
use crate::{Store, StoreError};

/// What lies at and below one path because this program has written it there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// The path, for people.
    path: String,
    /// The digests of the files, by their names below the path; the empty name stands for the path itself.
    pub(crate) files: BTreeMap<String, Digest>,
    /// The targets of links.
    pub(crate) links: BTreeMap<String, String>,
}

/// Whether a file may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing would be lost: there is no file, or an empty one, or this program has written it, or the store has it.
    Ours,
    /// This program has written it, and somebody has changed it since.
    Changed,
    /// Somebody else's.
    Foreign,
}

impl Written {
    /// These files and links at a path.
    pub(crate) fn at(path: &Path, files: BTreeMap<String, Digest>, links: BTreeMap<String, String>) -> Self {
        Self { path: path.to_string_lossy().into_owned(), files, links }
    }
}

impl Store {
    /// What is remembered of a path.
    pub(crate) fn written(&self, path: &Path) -> Option<Written> {
        unseal(&read_if_there(&self.layout().written(path)).ok()??)
    }

    /// Remembers what lies at a path now. A store that cannot be written remembers nothing, without an error.
    pub(crate) fn put_written(&self, path: &Path, written: &Written) -> Result<(), StoreError> {
        let put = || {
            let scratch = self.session()?.new_path();
            write_whole(&scratch, &self.layout().written(path), &seal(written), Durability::Synced)
        };
        put().or_else(|error| if error.is_read_only() { Ok(()) } else { Err(error) })
    }

    /// Whether the file at `path` may be replaced; `recorded` is the digest that it was written with.
    pub(crate) fn standing(&self, path: &Path, recorded: Option<&Digest>) -> Result<Standing, StoreError> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {}
            // What cannot be replaced says so itself.
            _ => return Ok(Standing::Ours),
        }
        let digest = self.source_digest(path)?;
        if recorded == Some(&digest) || self.layout().object(&digest).exists() {
            return Ok(Standing::Ours);
        }
        Ok(if recorded.is_some() { Standing::Changed } else { Standing::Foreign })
    }

    /// Keeps a copy of a file that is about to be replaced, where a person can look at it.
    pub(crate) fn keep_aside(&self, path: &Path) -> Result<PathBuf, StoreError> {
        let folder = self.layout().quarantine();
        make_folder(&folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let place = tempfile::Builder::new().prefix(&format!("{name}-")).tempfile_in(&folder).at("create", &folder)?;
        fs::copy(path, place.path()).at("write", place.path())?;
        place.into_temp_path().keep().map_err(|error| error.error).at("keep", &folder)
    }
}
