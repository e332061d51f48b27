//! `run.json`: the start of a run, which determines its id and its place in the history.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::origin::RunOrigin;
use crate::durable::read_if_there;
use crate::{StoreError, host_name};

pub(super) const BEGIN_FILE: &str = "run.json";

/// The version of the files of a run that this program writes. Version 0 had neither seals nor numbers.
pub(super) const RUN_FORMAT: u32 = 1;

/// `run.json`: the facts of a run before its first event.
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
    /// Its position among the runs of the store, from 1; 0 for old runs without a number.
    #[serde(default)]
    pub(crate) number: u64,
    /// The version of the files of the run.
    #[serde(default)]
    pub(crate) format: u32,
    /// Its origin.
    #[serde(default, skip_serializing_if = "RunOrigin::is_empty")]
    pub(crate) origin: RunOrigin,
}

impl RunBegin {
    /// A run of this process that has its number.
    pub(super) fn new(spec_name: &str, at_ms: u64, number: u64, origin: RunOrigin) -> Self {
        Self {
            spec: spec_name.to_owned(),
            started_ms: at_ms,
            host: host_name().to_owned(),
            pid: std::process::id(),
            number,
            format: RUN_FORMAT,
            origin,
        }
    }

    /// Reads the start of the run in `folder`; `None` when the folder is not a run's.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, String> {
        let json = match read_if_there(&folder.join(BEGIN_FILE)) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            json => json.map_err(|error| error.in_one_line())?,
        };
        let Some(json) = json else { return Ok(None) };
        let begin: Self =
            serde_json::from_slice(&json).map_err(|error| format!("`{BEGIN_FILE}` is damaged: {error}"))?;
        if begin.format > RUN_FORMAT {
            return Err(format!("it was written by a newer version of `pipeline` (format {})", begin.format));
        }
        Ok(Some(begin))
    }
}
