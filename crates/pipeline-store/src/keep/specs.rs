//! The hold of a spec on its last results: its file may be deleted, or on a disk that is not mounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::holders::{Held, Hold, Holder};
use crate::host_name;
use crate::specs::{Last, LastEntry, device_of, is_of_overrides, swept_spec};

/// How long the results of a spec are held that cannot be checked here: on another machine, or on an unmounted disk.
/// Those of runs with overrides are held as long after their last use, and so are bytes that are derived from sources.
pub(super) const UNSEEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The hold of a spec on its last results, unless it has expired.
#[derive(Debug)]
pub(super) enum SpecHold {
    Held(Hold),
    /// The deleted spec, or that of runs with overrides that were not used for long.
    Released(PathBuf),
}

/// The presence of a spec's file at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    /// It was removed or renamed, for certain.
    Gone,
    /// It is on another machine, or its disk is not mounted.
    Unseen,
}

impl LastEntry {
    /// Its hold. The results of a spec that is certainly gone are held for `keep_missing`.
    pub(super) fn hold(&self, keep_missing: Option<Duration>) -> SpecHold {
        let presence = match self.moved_to.as_deref().is_some_and(is_there) {
            true => Presence::There,
            false => self.last.as_ref().map_or(Presence::Unseen, Last::presence),
        };
        let life = match presence {
            Presence::There => is_of_overrides(&self.path).then_some(UNSEEN_LIFE),
            Presence::Gone => Some(keep_missing.unwrap_or(Duration::ZERO)),
            Presence::Unseen => Some(keep_missing.unwrap_or(UNSEEN_LIFE)),
        };
        // A time in the future is not an age: then it is held.
        let is_over = life.is_some_and(|life| self.used.elapsed().is_ok_and(|age| age >= life));
        match &self.last {
            Some(last) if is_over => SpecHold::Released(last.spec.clone()),
            None if is_over => SpecHold::Released(self.path.clone()),
            Some(last) => {
                let spec = self.moved_to.as_ref().filter(|spec| is_there(spec)).unwrap_or(&last.spec).clone();
                SpecHold::Held(Hold { holder: Holder::Spec { spec }, what: last.held() })
            }
            None => SpecHold::Held(Hold {
                holder: Holder::Unreadable { path: self.path.clone() },
                what: Held::RecordedBefore(self.used),
            }),
        }
    }
}

impl Last {
    /// The artifacts that it holds, and all its keys.
    fn held(&self) -> Held {
        let known = self.stages.values().map(|stage| stage.key).collect();
        let kept = self.stages.values().filter(|stage| !stage.dropped);
        Held::Keys { bytes: kept.map(|stage| stage.key).collect(), known }
    }

    fn presence(&self) -> Presence {
        // A path that is not UTF-8 was written in another spelling and cannot be looked up.
        if self.spec.to_string_lossy().contains(char::REPLACEMENT_CHARACTER) {
            return Presence::Unseen;
        }
        match fs::metadata(&self.spec) {
            _ if is_there(&self.spec) => Presence::There,
            Err(error) if is_absence(&error) && self.host == host_name() && self.device == device_of(&self.spec) => {
                Presence::Gone
            }
            _ => Presence::Unseen,
        }
    }
}

/// True if the spec is there, or that of these sweeps. A spec may be named like the sweeps of another.
fn is_there(spec: &Path) -> bool {
    spec.exists() || swept_spec(spec).is_some_and(Path::exists)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
