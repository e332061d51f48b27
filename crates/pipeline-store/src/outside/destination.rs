//! Resolves a path outside the store: follows links, and writes through devices and pipes.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// The longest chain of links, as in the operating system.
const MAX_FOLLOWED: usize = 40;

/// The end of the links at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// A file, there or not, that is replaced as a whole.
    File(PathBuf),
    /// A device, a pipe or a file that this process has open: written in place, never replaced.
    Stream(PathBuf),
}

impl Destination {
    /// Follows the links at `path` and above it.
    ///
    /// # Errors
    /// When links form a circle, or the path leads to a disk.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let given = std::path::absolute(path)?;
        let mut path = given.clone();
        for _ in 0..MAX_FOLLOWED {
            path = with_real_folder(&path);
            if is_of_a_process(&path) {
                return Ok(Self::Stream(given));
            }
            match fs::symlink_metadata(&path).map(|metadata| metadata.file_type()) {
                Ok(kind) if kind.is_symlink() => path = with_target(&path, &fs::read_link(&path)?),
                Ok(kind) if kind.is_block_device() => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a disk"));
                }
                Ok(kind) if !kind.is_file() && !kind.is_dir() => return Ok(Self::Stream(path)),
                _ => return Ok(Self::File(path)),
            }
        }
        Err(io::Error::other("the links at it form a circle"))
    }

    /// The file that is replaced; `None` for a stream.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stream(_) => None,
        }
    }
}

/// The path at which a write to `path` arrives: the same for all names of a file except hard links.
pub fn real_path(path: &Path) -> PathBuf {
    match Destination::of(path) {
        Ok(Destination::File(path) | Destination::Stream(path)) => path,
        Err(_) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// The same path with links followed in the existing part of its folder.
pub(super) fn with_real_folder(path: &Path) -> PathBuf {
    let folders = path.ancestors().skip(1);
    let real = folders.into_iter().find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
    let rest = real.as_ref().and_then(|(folder, _)| path.strip_prefix(folder).ok());
    match (&real, rest) {
        (Some((_, real)), Some(rest)) => real.join(rest),
        _ => path.to_owned(),
    }
}

fn with_target(link: &Path, target: &Path) -> PathBuf {
    link.parent().unwrap_or(Path::new("/")).join(target)
}

/// True for `/dev/stdout` and its like: the file is open already, perhaps in the middle.
fn is_of_a_process(path: &Path) -> bool {
    path.starts_with("/proc") || path.starts_with("/dev/fd")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_to_what_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        fs::create_dir(folder.join("real")).unwrap();
        fs::write(folder.join("real/target"), "").unwrap();
        for (target, link) in [("real", "folder"), ("folder/target", "link"), ("link", "again"), ("gone", "dangling")] {
            symlink(target, folder.join(link)).unwrap();
        }
        symlink("circle", folder.join("circle")).unwrap();
        let is_file = |path: &str, expect: &str| {
            assert_eq!(Destination::of(&folder.join(path)).unwrap(), Destination::File(folder.join(expect)), "{path}");
        };
        is_file("again", "real/target");
        is_file("folder/new/deep", "real/new/deep");
        is_file("dangling", "gone");
        assert!(Destination::of(&folder.join("circle")).is_err());
        let stdout = Path::new("/dev/stdout");
        assert_eq!(Destination::of(stdout).unwrap(), Destination::Stream(stdout.to_owned()));
        let null = Path::new("/dev/null");
        assert_eq!(Destination::of(null).unwrap(), Destination::Stream(null.to_owned()));
    }
}
