//! The identity of a file, which shows a change of its content without reading it.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

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
    /// 0 on network file systems, whose numbers differ between the machines that mount them.
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
            device: device_number(metadata),
        }
    }
}

/// The number of the file system that holds a file, which is this machine's own; 0 on network file systems, where the
/// inode and the times come from the server, so that all machines see the same identity.
pub fn device_number(metadata: &Metadata) -> u64 {
    /// The file systems that were asked for, and whether each is shared: an automounter may add some at any time.
    static SEEN: Mutex<BTreeMap<u64, bool>> = Mutex::new(BTreeMap::new());
    let device = metadata.dev();
    // Only a file system without a disk of this machine has a number without a major part.
    if rustix::fs::major(device) != 0 {
        return device;
    }
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let look = || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        shared_devices(&mounts).contains(&device)
    };
    if *seen.entry(device).or_insert_with(look) { 0 } else { device }
}

/// The types of file systems that several machines mount at once.
const SHARED_TYPES: [&str; 13] =
    ["9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "orangefs", "smb3", "wekafs"];

/// The numbers of network file systems in a table of mounts (`/proc/self/mountinfo`).
fn shared_devices(mounts: &str) -> HashSet<u64> {
    let device = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        let is_shared = SHARED_TYPES.contains(&kind.strip_prefix("fuse.").unwrap_or(kind));
        let (major, minor) = before.split(' ').nth(2)?.split_once(':')?;
        is_shared.then(|| Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))).flatten()
    };
    mounts.lines().filter_map(device).collect()
}

/// True if any change after `taken_ns` changes the identity.
pub(crate) fn is_settled(identity: &Identity, taken_ns: i64) -> bool {
    let Identity { modified_ns, changed_ns, .. } = *identity;
    let coarse = changed_ns % 1_000_000_000 == 0 && modified_ns % 1_000_000_000 == 0;
    let granules = if coarse { COARSE_GRANULES_NS } else { GRANULES_NS };
    let settled = |time_ns: i64| time_ns.saturating_add(granules) < taken_ns;
    settled(changed_ns) && (settled(modified_ns) || modified_ns > taken_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_network_file_systems_are_shared() {
        let mounts = "22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
                      45 22 0:39 / /home rw shared:2 - nfs4 server:/home rw,vers=4.2\n\
                      46 22 0:40 / /tmp rw - tmpfs tmpfs rw\n\
                      47 22 0:41 /a\\040-\\040b /data rw master:3 - fuse.glusterfs server:/v rw\n\
                      48 22 0:42 / /over rw - overlay overlay rw\nbroken line - nfs4\n";
        let expect = [39, 41].map(|minor| rustix::fs::makedev(0, minor));
        assert_eq!(shared_devices(mounts), HashSet::from(expect));
    }
}
