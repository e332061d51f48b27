//! The results that each spec's stages had last: a no-op run answers from them, and a collection spares them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pipeline_core::{ArtifactDigest, FileEntry, Key, RunId, StageId, StageReport};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::layout::absolute;
use crate::sealed::path_as_text;
use crate::{Records, host_name};

/// Fewer records than this are looked at by one thread.
const MIN_RECORDS_A_THREAD: usize = 256;

/// The results that the stages of one spec had last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The run that wrote it.
    pub run: RunId,
    /// The spec's absolute path. What a sweep of it had has `#sweep` behind it.
    #[serde(serialize_with = "path_as_text")]
    pub spec: PathBuf,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The machine; empty where it was not noted yet.
    #[serde(default)]
    pub host: String,
    /// The file system that the spec is on, by the number that this machine has for it.
    #[serde(default)]
    pub device: Option<u64>,
    /// The result that each stage had.
    pub stages: BTreeMap<StageId, LastStage>,
}

/// The result that one stage had last: enough to answer a no-op without opening its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastStage {
    /// The key.
    pub key: Key,
    /// The artifact that the key gave.
    pub artifact: ArtifactDigest,
    /// Wall time of its computation, in seconds.
    pub seconds: f64,
    /// When the file of its record was last changed, in nanoseconds by the file system's clock: the record is as it was
    /// read as long as this is so. 0 when it is not known.
    #[serde(default)]
    pub recorded_ns: i64,
    /// True if the spec does not retain its bytes and no stage of the run needed them any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// The stage's report from when it ran.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub report: StageReport,
    /// The files that the spec publishes, by their names in the artifact: enough to compare them with what is outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, FileEntry>,
}

fn is_empty(report: &StageReport) -> bool {
    *report == StageReport::default()
}

impl Last {
    /// The results that the stages of the spec at the path `spec` have since `run`, of this machine.
    pub fn of_run(run: RunId, spec: &Path, at_ms: u64, stages: BTreeMap<StageId, LastStage>) -> Self {
        let spec = absolute(spec).unwrap_or_else(|_| spec.to_owned());
        let device = device_of(&spec);
        Self { run, spec, at_ms, host: host_name().to_owned(), device, stages }
    }

    /// True if the record of every stage lies there as it was when it was read or written last. Reads none.
    pub fn has_records(&self, records: &Records) -> bool {
        let stages: Vec<_> = self.stages.values().collect();
        let has_record = |stage: &&LastStage| records.recorded_ns(&stage.key) == Some(stage.recorded_ns);
        stages.par_iter().with_min_len(MIN_RECORDS_A_THREAD).all(has_record)
    }
}

/// The file system of the nearest folder at or above `path` that is there.
pub(crate) fn device_of(path: &Path) -> Option<u64> {
    path.ancestors().skip(1).find_map(|folder| fs::metadata(folder).ok()).map(|metadata| metadata.dev())
}
