//! The last results of each spec's stages: no-op runs use them, and collections spare them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pipeline_core::{ArtifactDigest, FileEntry, Key, RunId, StageId, StageReport};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::overrides::spec_and_overrides;
use crate::layout::absolute;
use crate::sealed::path_as_text;
use crate::{Records, host_name};

/// The least number of records that justifies a second thread.
const MIN_RECORDS_A_THREAD: usize = 256;

/// The last results of one spec's stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The run that wrote it.
    pub run: RunId,
    /// The spec's absolute path, or that of its sweeps.
    #[serde(serialize_with = "path_as_text")]
    pub spec: PathBuf,
    /// The same path from the folder of the store on, where it lies below that: both may be moved together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<PathBuf>,
    /// The time, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The machine; empty in files of earlier versions.
    #[serde(default)]
    pub host: String,
    /// The file system of the spec, by this machine's device number.
    #[serde(default)]
    pub device: Option<u64>,
    /// The last result of each stage.
    pub stages: BTreeMap<StageId, LastStage>,
}

/// The last result of one stage: enough to answer a no-op without opening its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastStage {
    /// The key.
    pub key: Key,
    /// The artifact of the key.
    pub artifact: ArtifactDigest,
    /// Wall time of its computation, in seconds.
    pub seconds: f64,
    /// The change time of its record, in nanoseconds by the file system's clock. As long as it is the same, the record
    /// is unchanged. 0 when unknown.
    #[serde(default)]
    pub recorded_ns: i64,
    /// True if the run dropped its bytes, because the spec does not retain them and no stage needed them any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
    /// The stage's report from when it ran.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub report: StageReport,
    /// The published files, by their names in the artifact: enough to compare them with the copies outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, FileEntry>,
}

fn is_empty(report: &StageReport) -> bool {
    *report == StageReport::default()
}

impl Last {
    /// The results of the spec at the path `spec` since `run`, on this machine.
    pub fn of_run(run: RunId, spec: &Path, at_ms: u64, stages: BTreeMap<StageId, LastStage>) -> Self {
        let spec = absolute(spec).unwrap_or_else(|_| spec.to_owned());
        // Also of runs with overrides it is the spec that holds them.
        let spec = spec_and_overrides(&spec).map_or(spec.clone(), |(spec, _)| spec.to_owned());
        let device = device_of(&spec);
        Self { run, spec, beside: None, at_ms, host: host_name().to_owned(), device, stages }
    }

    /// True if every stage's record is unchanged since it was last read or written. Reads no record.
    pub fn has_records(&self, records: &Records) -> bool {
        let stages: Vec<_> = self.stages.values().collect();
        let has_record = |stage: &&LastStage| records.recorded_ns(&stage.key) == Some(stage.recorded_ns);
        stages.par_iter().with_min_len(MIN_RECORDS_A_THREAD).all(has_record)
    }
}

/// The file system of the nearest existing folder at or above `path`.
pub(crate) fn device_of(path: &Path) -> Option<u64> {
    path.ancestors().skip(1).find_map(|folder| fs::metadata(folder).ok()).map(|metadata| metadata.dev())
}
