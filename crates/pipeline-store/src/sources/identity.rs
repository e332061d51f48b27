//! The identity of a file, which shows a change of its content without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// The least age of a file's last change at which its digest is trusted, in nanoseconds.
///
/// A change within the same granule of the file system's clock does not change the times. A granule is at most 10 ms on
/// Linux; this waits for two.
pub(super) const GRANULES_NS: i64 = 20_000_000;

/// The same for file systems with times in whole seconds, or in steps of two.
const COARSE_GRANULES_NS: i64 = 4_000_000_000;

/// The identity of a file by its metadata: any change of its content changes it, except within a granule of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) bytes: u64,
    pub(super) modified_ns: i64,
    pub(super) changed_ns: i64,
    pub(super) inode: u64,
    pub(super) device: u64,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            bytes: metadata.len(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }
}

/// True if any change after `taken_ns` changes the identity.
pub(crate) fn is_settled(identity: &Identity, taken_ns: i64) -> bool {
    let Identity { modified_ns, changed_ns, .. } = *identity;
    let coarse = changed_ns % 1_000_000_000 == 0 && modified_ns % 1_000_000_000 == 0;
    let granules = if coarse { COARSE_GRANULES_NS } else { GRANULES_NS };
    let settled = |time_ns: i64| time_ns.saturating_add(granules) < taken_ns;
    settled(changed_ns) && (settled(modified_ns) || modified_ns > taken_ns)
}
