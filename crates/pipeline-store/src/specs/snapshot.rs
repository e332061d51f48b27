//! Snapshots: the files and circumstances of a run that left a spec up to date. As long as they are the same, nothing
//! would run.
//!
//! It only saves time. Where anything differs, or may differ, the plan is made anew.

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

/// A spec and everything that it names, as a run saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The run.
    pub run: RunId,
    /// The spec's name.
    pub spec_name: String,
    /// The facts beside files that the spec's stages follow from.
    pub circumstances: Circumstances,
    /// The stages, inputs before readers.
    pub graph: Vec<StageNode>,
    /// Files and folders that were read, or that an artifact was published to, and the digests that they had.
    pub contents: Vec<(PathBuf, Digest)>,
    /// Files and folders, there or not, that were looked at to find others.
    pub places: Vec<Place>,
}

/// The facts beside files that the stages of a spec follow from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// The program: another one may have other stages.
    pub program: String,
    /// Where the spec's folder really is: a linked one may have been pointed elsewhere.
    pub folder: String,
    /// The values that were set on the command line, in their order.
    pub overrides: Vec<String>,
    /// The digest of each variable of the environment that was asked for; none where it was not set.
    pub environment: BTreeMap<String, Option<Digest>>,
}

/// A path that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    path: PathBuf,
    /// Its looks; `None` if nothing was there.
    identity: Option<Identity>,
}

impl Snapshot {
    /// True if every file and folder is as the snapshot says. Reads only files that were touched since.
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
    /// Looks at paths for a snapshot. None when one of them was changed so recently that another change would leave
    /// no trace in its times, or cannot be looked at.
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

/// The looks of the file or folder at a path; `None` if nothing lies there.
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(Identity::of(&metadata))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
