//! The accepted baseline of a spec: a small JSON file beside it, meant to be kept under version control.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pipeline_core::{ArtifactDigest, Digest, Metrics, StageId};
use pipeline_spec::PipelineSpec;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::failure::Failure;

/// The version of the file's format.
const VERSION: u32 = 1;

/// Metrics that somebody has accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The version of this format.
    pub version: u32,
    /// The spec's name.
    pub spec: String,
    /// When they were accepted, in UTC.
    pub accepted_at: String,
    /// Who accepted them.
    pub accepted_by: String,
    /// Why.
    pub reason: Option<String>,
    /// What was accepted, by evaluation.
    pub stages: BTreeMap<StageId, Measured>,
}

/// What an evaluation has measured, and on which data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The digest of its artifact.
    pub artifact: ArtifactDigest,
    /// What its queries are read from.
    pub queries: Option<Digest>,
    /// What its pool of images is read from.
    pub pool: Option<Digest>,
    /// Its metrics, with the size of the pool and the number of queries.
    pub metrics: Metrics,
}

impl Measured {
    /// What makes the two incomparable; none when they were measured on the same data.
    pub fn differs_in(&self, other: &Self) -> Option<&'static str> {
        let metric = |measured: &Self, name: &str| measured.metrics.get(name).copied();
        let same = |name: &str| metric(self, name) == metric(other, name);
        if self.pool != other.pool || !same("pool_size") {
            Some("pool")
        } else if self.queries != other.queries || !same("n_queries") {
            Some("queries")
        } else {
            None
        }
    }
}

/// Where the baseline of a spec is: `baselines/<name>.json` beside it.
pub fn path_of(spec: &PipelineSpec) -> PathBuf {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = spec.name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let folder = spec.file.parent().unwrap_or(Path::new("."));
    folder.join("baselines").join(format!("{name}.json"))
}

/// Reads a baseline; none when there is none.
///
/// # Errors
/// When the file is there and cannot be read or understood: it is never taken for a missing one.
pub fn read(path: &Path) -> Result<Option<Baseline>, Failure> {
    let cannot = |error: &dyn std::error::Error| {
        Failure::because(Exit::Usage, error)
            .under(format!("the baseline `{}` cannot be read", path.display()))
            .with_help("restore it, or accept the current metrics with `pipeline check SPEC --accept`")
    };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(&error)),
    };
    let baseline: Baseline = serde_json::from_slice(&text).map_err(|error| cannot(&error))?;
    if baseline.version != VERSION {
        let message = format!("the baseline `{}` has version {}, not {VERSION}", path.display(), baseline.version);
        return Err(Failure::new(Exit::Usage, message).with_help("use the version of pipeline that wrote it"));
    }
    Ok(Some(baseline))
}

/// Writes a baseline, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, baseline: &Baseline) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        Failure::because(Exit::Usage, &error).under(format!("the baseline `{}` cannot be written", path.display()))
    };
    let text = serde_json::to_string_pretty(baseline).expect("a baseline has only string keys");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(cannot)?;
    }
    let unfinished = path.with_added_extension(format!("{}.unfinished", std::process::id()));
    fs::write(&unfinished, text + "\n").map_err(cannot)?;
    fs::rename(&unfinished, path).map_err(cannot)
}

/// A baseline of these measurements, accepted now.
pub fn accepted_now(
    spec: &PipelineSpec,
    reason: Option<String>,
    at: String,
    stages: BTreeMap<StageId, Measured>,
) -> Baseline {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let accepted_by = user.unwrap_or_else(|| "unknown".to_owned());
    Baseline { version: VERSION, spec: spec.name.clone(), accepted_at: at, accepted_by, reason, stages }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(pool: &[u8], n_queries: f64) -> Measured {
        Measured {
            artifact: Digest::of(b"artifact"),
            queries: None,
            pool: Some(Digest::of(pool)),
            metrics: BTreeMap::from([("n_queries".to_owned(), n_queries)]),
        }
    }

    #[test]
    fn only_results_over_the_same_data_are_comparable() {
        let accepted = measured(b"pool", 5.0);
        assert_eq!(measured(b"pool", 5.0).differs_in(&accepted), None);
        assert_eq!(measured(b"other", 5.0).differs_in(&accepted), Some("pool"));
        assert_eq!(measured(b"pool", 6.0).differs_in(&accepted), Some("queries"));
    }
}
