//! Snapshots: the files and circumstances of a run that left a spec up to date. As long as they are the same, nothing
//! would run.
//!
//! A snapshot only saves time. Where anything differs, or may differ, a new plan is made.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, RunId, StageNode};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Sources;
use crate::clock::now_ns;
use crate::sources::{Identity, is_settled};

/// The state of a spec and of everything that it names, during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The run.
    pub run: RunId,
    /// The spec's name.
    pub spec_name: String,
    /// The facts beside files that determine the spec's stages.
    pub circumstances: Circumstances,
    /// The stages, inputs before readers.
    pub graph: Vec<StageNode>,
    /// Files and folders that were read, or that an artifact was published to, with their digests.
    pub contents: Vec<(PathBuf, Digest)>,
    /// Files and folders, present or missing, that were examined to find others.
    pub places: Vec<Place>,
}

/// The facts beside files that determine the stages of a spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// The program's version: another program may have other stages.
    pub program: String,
    /// The real path of the spec's folder: a link to it may change.
    pub folder: String,
    /// The overrides of the command line, in their order.
    pub overrides: Vec<String>,
    /// The digest of each variable of the environment that was read; `None` where it was not set.
    pub environment: BTreeMap<String, Option<Digest>>,
}

/// A path that was examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    path: PathBuf,
    /// Its identity; `None` if it was missing.
    identity: Option<Identity>,
}

impl Snapshot {
    /// True if every file and folder is the same as in the snapshot. Reads only files that were touched since.
    pub fn is_as_seen(&self, sources: &Sources) -> bool {
        let has_content = |(path, digest): &(PathBuf, Digest)| sources.digest(path).is_ok_and(|found| found == *digest);
        let is_same = |place: &Place| identity(&place.path).is_ok_and(|found| found == place.identity);
        self.contents.par_iter().all(has_content) && self.places.iter().all(is_same)
    }

    /// All paths that it names.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let contents = self.contents.iter().map(|(path, _)| path.as_path());
        contents.chain(self.places.iter().map(|place| place.path.as_path()))
    }
}

impl Place {
    /// Examines paths for a snapshot. `None` when one cannot be examined, or was changed so recently that another
    /// change would not show in its times.
    pub fn look_at(paths: Vec<PathBuf>) -> Option<Vec<Self>> {
        let now_ns = now_ns();
        let look = |path: PathBuf| {
            let identity = identity(&path).ok()?;
            let is_settled = identity.is_none_or(|identity| is_settled(&identity, now_ns));
            is_settled.then_some(Self { path, identity })
        };
        paths.into_iter().map(look).collect()
    }
}

/// The identity of the file or folder at a path; `None` if it is missing.
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(Identity::of(&metadata))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
