//! Detects writers of a file. The only unsafe code of this crate: no safe wrapper for leases is known.

#![allow(unsafe_code)]

use std::fs::File;

/// Whether any process has the file open for writing, or mapped writable: such a write may leave its times unchanged.
/// `None` where the system cannot answer: for the files of other users, and on network file systems.
///
/// Takes a read lease and releases it, which takes microseconds: the kernel grants one only while the file has no
/// writer.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn is_open_for_writing(file: &File) -> Option<bool> {
    use std::io::{Error, ErrorKind};
    use std::os::fd::AsRawFd;

    const SET_SIGNAL: i32 = 10;
    const SET_LEASE: i32 = 1024;
    const READ: i32 = 0;
    const NONE: i32 = 2;
    /// Ignored by default. The default signal, `SIGIO`, would end this process if another one opened the file
    /// meanwhile.
    const URGENT: i32 = 23;

    unsafe extern "C" {
        fn fcntl(fd: i32, command: i32, ...) -> i32;
    }

    if !has_leases(file) {
        return None;
    }
    // SAFETY: these commands of `fcntl` take one `int` and touch no memory; the descriptor is open as long as `file`
    // lives.
    let set = |command: i32, value: i32| unsafe { fcntl(file.as_raw_fd(), command, value) } >= 0;
    if !set(SET_SIGNAL, URGENT) {
        return None;
    }
    if set(SET_LEASE, READ) {
        set(SET_LEASE, NONE);
        return Some(false);
    }
    (Error::last_os_error().kind() == ErrorKind::WouldBlock).then_some(true)
}

/// Always `None`: this system does not report writers.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub fn is_open_for_writing(_: &File) -> Option<bool> {
    None
}

/// True on local file systems, whose kernel knows every process that has a file open. Network file systems refuse
/// leases for other reasons.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn has_leases(file: &File) -> bool {
    const LOCAL: [i64; 8] = [
        0xEF53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683E, // btrfs
        0x0102_1994, // tmpfs
        0x794C_7630, // overlayfs
        0x2FC1_2FC1, // zfs
        0xF2F5_2010, // f2fs
        0xCA45_1A4E, // bcachefs
    ];
    rustix::fs::fstatfs(file).is_ok_and(|system| LOCAL.contains(&system.f_type))
}

#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_seen_as_long_as_it_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let file = crate::open(&path).unwrap();
        // `None` on a file system that cannot answer.
        assert_ne!(is_open_for_writing(&file), Some(true));
        let writer = File::options().write(true).open(&path).unwrap();
        assert_ne!(is_open_for_writing(&file), Some(false));
        drop(writer);
        assert_ne!(is_open_for_writing(&file), Some(true));
        // The lease is released: opening for writing does not wait.
        drop(File::options().write(true).open(&path).unwrap());
    }
}
