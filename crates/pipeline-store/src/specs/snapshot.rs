//! What a run saw that left a spec's stages up to date: as long as all of it is as it was, nothing would run.
//!
//! It only saves time. Where anything differs, or may differ, the plan is made anew.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, RunId, StageId};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::durable::{Durability, read_if_there, write_whole};
use crate::error::At;
use crate::sealed::{seal, unseal};
use crate::sources::memo::{Identity, is_settled};
use crate::sources::now_ns;
use crate::{Last, LastStage, Store, StoreError};

/// Fewer records than this are looked at by one thread.
const MIN_RECORDS_A_THREAD: usize = 256;

/// What a run saw of a spec and of everything that the spec names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The run.
    pub run: RunId,
    /// The spec's name.
    pub spec_name: String,
    /// What beside files has made the spec's stages what they are.
    pub circumstances: Circumstances,
    /// The stages and their kinds, inputs before readers.
    pub stages: Vec<(StageId, String)>,
    /// Files and folders that were read, or that an artifact was published to, and the digests that they had.
    pub contents: Vec<(PathBuf, Digest)>,
    /// Files and folders, there or not, that were looked at to find others.
    pub places: Vec<Place>,
}

/// What beside files makes the stages of a spec what they are.
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
    /// What was there; none if nothing was.
    identity: Option<Identity>,
}

impl Store {
    /// Looks at paths for a snapshot. None when one of them was changed so recently that another change would leave
    /// no trace in its times, or cannot be looked at.
    pub fn look_at(&self, paths: Vec<PathBuf>) -> Option<Vec<Place>> {
        let now_ns = now_ns();
        let look = |path: PathBuf| {
            let identity = identity(&path).ok()?;
            let is_settled = identity.is_none_or(|identity| is_settled(&identity, now_ns));
            is_settled.then_some(Place { path, identity })
        };
        paths.into_iter().map(look).collect()
    }

    /// Remembers what a run of the spec saw.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_snapshot(&self, spec: &Path, snapshot: &Snapshot) -> Result<(), StoreError> {
        let path = self.layout().snapshot(&std::path::absolute(spec).at("find", spec)?);
        let paths =
            snapshot.contents.iter().map(|(path, _)| path).chain(snapshot.places.iter().map(|place| &place.path));
        if paths.into_iter().any(|path| path.to_str().is_none()) {
            // JSON holds UTF-8 only. Without a snapshot the plan is made anew each time.
            return Ok(());
        }
        write_whole(&self.session()?.new_path(), &path, &seal(snapshot), Durability::Lazy)
    }

    /// Returns what the last run of the spec saw that left it up to date; none if it cannot be read.
    pub fn snapshot(&self, spec: &Path) -> Option<Snapshot> {
        let path = self.layout().snapshot(&std::path::absolute(spec).ok()?);
        unseal(&read_if_there(&path).ok()??)
    }

    /// True if every file and folder is as the snapshot says. Reads only files that were touched since.
    pub fn is_as_seen(&self, snapshot: &Snapshot) -> bool {
        let has_content =
            |(path, digest): &(PathBuf, Digest)| self.source_digest(path).is_ok_and(|found| found == *digest);
        let is_same = |place: &Place| identity(&place.path).is_ok_and(|found| found == place.identity);
        snapshot.contents.par_iter().all(has_content) && snapshot.places.iter().all(is_same)
    }

    /// True if the record of every stage lies there as it was when it was read or written last. Reads none.
    pub fn has_records(&self, last: &Last) -> bool {
        let stages: Vec<_> = last.stages.values().collect();
        let has_record = |stage: &&LastStage| self.recorded_ns(&stage.key) == Some(stage.recorded_ns);
        stages.par_iter().with_min_len(MIN_RECORDS_A_THREAD).all(has_record)
    }
}

/// What lies at a path; none if nothing does.
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(Identity::of(&metadata))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
