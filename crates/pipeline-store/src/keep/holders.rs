//! The holders of artifacts, and their holds.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use pipeline_core::{Key, RunId};
use serde::Serialize;

/// A reason why artifacts stay.
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
    /// An unfinished run.
    RunningRun {
        /// The run.
        run: RunId,
    },
    /// Something unreadable: everything that was recorded before it was written may be needed for it.
    Unreadable {
        /// The file or folder.
        path: PathBuf,
    },
    /// A process that lives, or may live: it holds everything that it wrote or looked up since it began.
    Session {
        /// Its machine.
        host: String,
        /// The process.
        pid: u32,
        /// Its start, in milliseconds since 1970-01-01 UTC.
        since_ms: u64,
        /// True if it runs on another machine, so that its life cannot be checked here.
        is_foreign: bool,
        /// Its lock file.
        lock: PathBuf,
    },
    /// Stages that have derived something from a source, such as an index, and have used it lately.
    Derived,
    /// Processes that have the artifacts open.
    Readers,
}

/// The results that are held for one holder.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) holder: Holder,
    pub(crate) what: Held,
}

/// The held results.
#[derive(Debug)]
pub(crate) enum Held {
    /// The results of these keys; `known` also has the keys whose bytes were dropped.
    Keys { bytes: BTreeSet<Key>, known: BTreeSet<Key> },
    /// All results that were recorded before this instant.
    RecordedBefore(SystemTime),
}
