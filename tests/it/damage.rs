//! Damage by disks, people and other programs behind the store's back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::random::Random;
use crate::recorded::files_below;

/// One of the files below `folder`, or `None` if there are none.
pub fn any_file(folder: &Path, random: &mut Random) -> Option<PathBuf> {
    let files = files_below(folder);
    if files.is_empty() { None } else { Some(folder.join(random.pick(&files))) }
}

/// Flips a bit and keeps length, times and mode, like a bad disk.
pub fn flip_bit(path: &Path, random: &mut Random) {
    let mut content = fs::read(path).unwrap();
    if content.is_empty() {
        return;
    }
    let byte_idx = random.below(content.len());
    content[byte_idx] ^= 1 << random.below(8);
    overwrite_silently(path, &content);
}

/// Writes to a file in place and keeps its times and mode.
pub fn overwrite_silently(path: &Path, content: &[u8]) {
    let metadata = fs::metadata(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
    fs::set_permissions(path, metadata.permissions()).unwrap();
}

/// Gives a file a modification time of now, long ago or in the future.
pub fn touch(path: &Path, random: &mut Random) {
    let a_day = Duration::from_secs(24 * 3600);
    let now = SystemTime::now();
    let time = *random.pick(&[now, now - a_day, now + a_day, SystemTime::UNIX_EPOCH]);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}
