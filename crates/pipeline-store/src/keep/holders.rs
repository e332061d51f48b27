//! The holders of artifacts, and what they hold.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use pipeline_core::{Key, RunId};
use serde::Serialize;

/// Whom artifacts stay for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "holder", rename_all = "kebab-case")]
pub enum Holder {
    /// The last run of a spec.
    Spec {
        /// The spec's path.
        spec: PathBuf,
    },
    /// A pinned run.
    PinnedRun {
        /// The run.
        run: RunId,
    },
    /// A run that goes on.
    RunningRun {
        /// The run.
        run: RunId,
    },
    /// Something that cannot be read: whatever was recorded before it was written may be needed for it.
    Unreadable {
        /// The file or folder.
        path: PathBuf,
    },
    /// A process that lives, or may live: what it wrote or looked up since it began.
    Session {
        /// Its machine.
        host: String,
        /// The process.
        pid: u32,
        /// Since when, in milliseconds since 1970-01-01 UTC.
        since_ms: u64,
        /// True if it runs on another machine, so that it cannot be seen from here whether it lives.
        is_foreign: bool,
        /// The file that stands for it.
        lock: PathBuf,
    },
    /// Processes that have the artifacts open.
    Readers,
}

/// The results that are held for one holder.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) holder: Holder,
    pub(crate) what: Held,
}

/// Which results are held.
#[derive(Debug)]
pub(crate) enum Held {
    /// Those of these keys; the keys that are known but whose bytes were given up are in `known` only.
    Keys { bytes: BTreeSet<Key>, known: BTreeSet<Key> },
    /// All that were recorded before this instant.
    RecordedBefore(SystemTime),
}
