//! What each spec's stages had last: what a no-op run answers from, and what a collection spares.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pipeline_core::{ArtifactDigest, FileEntry, Key, RunId, StageId, StageReport};
use serde::{Deserialize, Serialize, Serializer};

use crate::durable::{Durability, list_folder, read_if_there, write_whole};
use crate::error::At;
use crate::keep::roots::{Held, Hold, Holder};
use crate::sealed::{seal, unseal};
use crate::{Store, StoreError, host_name};

/// How long what a spec had is held that cannot be seen from here: of another machine, or on a disk that is not there.
pub(crate) const UNSEEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often a no-op run says that what its spec has is in use.
const TOUCH_AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What the stages of one spec had last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The run that wrote it.
    pub run: RunId,
    /// The spec's absolute path. What a sweep of it had has `#sweep` behind it.
    #[serde(serialize_with = "as_text")]
    pub spec: PathBuf,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The machine; empty where it was not noted yet.
    #[serde(default)]
    pub host: String,
    /// The file system that the spec is on, by the number that this machine has for it.
    #[serde(default)]
    pub device: Option<u64>,
    /// What each stage had.
    pub stages: BTreeMap<StageId, LastStage>,
}

/// What one stage had last: enough to answer a no-op without opening its record.
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
    /// What the stage told when it ran.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub report: StageReport,
    /// The files that the spec publishes, by their names in the artifact: enough to compare them with what is outside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub published: BTreeMap<String, FileEntry>,
}

/// JSON holds UTF-8 only; this path is for people, and nothing is looked up by it but whether the spec is still there.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn is_empty(report: &StageReport) -> bool {
    *report == StageReport::default()
}

impl Last {
    /// What the stages of the spec at the path `spec` have since `run`, of this machine.
    pub fn of_run(run: RunId, spec: &Path, at_ms: u64, stages: BTreeMap<StageId, LastStage>) -> Self {
        let spec = std::path::absolute(spec).unwrap_or_else(|_| spec.to_owned());
        let device = device_of(&spec);
        Self { run, spec, at_ms, host: host_name().to_owned(), device, stages }
    }

    /// The artifacts that it holds, and all keys.
    fn held(&self) -> Held {
        let known = self.stages.values().map(|stage| stage.key).collect();
        let kept = self.stages.values().filter(|stage| !stage.dropped);
        Held::Keys { bytes: kept.map(|stage| stage.key).collect(), known }
    }

    fn presence(&self) -> Presence {
        // A name that is no UTF-8 was written in another spelling and cannot be looked for.
        if self.spec.to_string_lossy().contains(char::REPLACEMENT_CHARACTER) {
            return Presence::Unseen;
        }
        match [&self.spec, &without_suffix(&self.spec)].map(fs::metadata) {
            [Ok(_), _] | [_, Ok(_)] => Presence::There,
            [Err(error), _]
                if is_absence(&error) && self.host == host_name() && self.device == device_of(&self.spec) =>
            {
                Presence::Gone
            }
            _ => Presence::Unseen,
        }
    }
}

/// Whether the file of a spec is where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    /// It was removed or renamed, for certain.
    Gone,
    /// Another machine has it, or the disk that it is on is not there.
    Unseen,
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The path without what tells several uses of one spec apart, such as `#sweep`.
fn without_suffix(spec: &Path) -> PathBuf {
    let text = spec.to_string_lossy();
    text.rsplit_once('#').map_or_else(|| spec.to_owned(), |(file, _)| file.into())
}

/// The file system of the nearest folder at or above `path` that is there.
fn device_of(path: &Path) -> Option<u64> {
    path.ancestors().skip(1).find_map(|folder| fs::metadata(folder).ok()).map(|metadata| metadata.dev())
}

/// A file in `last/`.
#[derive(Debug)]
pub(crate) struct LastEntry {
    pub(crate) path: PathBuf,
    /// When it was written or used.
    used: SystemTime,
    /// None when it cannot be read.
    last: Option<Last>,
}

/// Whether what a spec had last is held.
#[derive(Debug)]
pub(crate) enum Standing {
    Held(Hold),
    /// The spec that is gone.
    Released(PathBuf),
}

impl LastEntry {
    /// Whether it holds anything. What a spec had that is certainly gone is held for `keep_missing`.
    pub(crate) fn standing(&self, keep_missing: Option<Duration>) -> Standing {
        let presence = self.last.as_ref().map_or(Presence::Unseen, Last::presence);
        let life = match presence {
            Presence::There => None,
            Presence::Gone => Some(keep_missing.unwrap_or(Duration::ZERO)),
            Presence::Unseen => Some(keep_missing.unwrap_or(UNSEEN_LIFE)),
        };
        // A time in the future is no age: then it is held.
        let is_over = life.is_some_and(|life| self.used.elapsed().is_ok_and(|age| age >= life));
        match &self.last {
            Some(last) if is_over => Standing::Released(last.spec.clone()),
            None if is_over => Standing::Released(self.path.clone()),
            Some(last) => Standing::Held(Hold { holder: Holder::Spec { spec: last.spec.clone() }, what: last.held() }),
            None => Standing::Held(Hold {
                holder: Holder::Unreadable { path: self.path.clone() },
                what: Held::RecordedBefore(self.used),
            }),
        }
    }
}

impl Store {
    /// Returns what the spec's stages had last; none if it never ran here, or what is remembered cannot be read.
    pub fn last(&self, spec: &Path) -> Option<Last> {
        let path = self.layout().last(&std::path::absolute(spec).ok()?);
        unseal(&read_if_there(&path).ok()??)
    }

    /// Remembers what the spec's stages have.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_last(&self, spec: &Path, last: &Last) -> Result<(), StoreError> {
        let path = self.layout().last(&std::path::absolute(spec).at("find", spec)?);
        write_whole(&self.session()?.new_path(), &path, &seal(last), Durability::Lazy)
    }

    /// Says that what the spec's stages had last is in use, once a day.
    pub fn use_last(&self, spec: &Path) {
        let Ok(spec) = std::path::absolute(spec) else { return };
        let path = self.layout().last(&spec);
        let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
        if used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > TOUCH_AGAIN_AFTER)) {
            // Best effort: in a store of somebody else only its owner's use counts.
            let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        }
    }

    /// What the stages of every spec had last.
    pub(crate) fn lasts(&self) -> Result<Vec<LastEntry>, StoreError> {
        let mut lasts = Vec::new();
        for entry in list_folder(&self.layout().lasts())? {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            let last = read_if_there(&path).ok().flatten().and_then(|document| unseal::<Last>(&document));
            if last.is_none() && path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            lasts.push(LastEntry { used: metadata.modified().at("read", &path)?, path, last });
        }
        Ok(lasts)
    }
}
