//! Names below `artifacts/`; the format's version is in the name of the store's folder.
//!
//! ```text
//! artifacts/
//!   .gitignore                    keeps all of it out of git      (workspace)
//!   store-v1/
//!     objects/ trees/ leases/     the files of artifacts            (cas)
//!     actions/                    the result of each key            (records)
//!     shards/                     packed records of shards          (records)
//!     sources/memo-v1             digests of sources                (sources)
//!     sources/last-*.json         the last sources of each spec     (specs)
//!     snapshots/                  the state of up-to-date specs     (specs)
//!     written/                    files outside the store           (outside)
//!     kernels/                    compiled for a device             (kernels)
//!     scratch/ locks/ lent/       the files of living processes     (workspace)
//!     claims/                     locks, where there are none       (workspace)
//!     quarantine/                 damaged files                     (quarantine)
//!     run-order                   the number of the last run        (runs)
//!     unpushed/                   results not yet in the remote     (remote)
//!   last/                         the last results of each spec     (specs)
//!   runs/                         the history of runs               (runs)
//! ```
//!
//! Each part knows its own paths; these are the common ones.

use std::ffi::OsString;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use pipeline_core::Digest;

use crate::StoreError;
use crate::durable::list_folder;
use crate::error::At;

/// The prefix before the version in the name of a store's folder.
const STORE_PREFIX: &str = "store-v";

/// The folder of this version of the on-disk format.
pub(crate) const STORE_FOLDER: &str = "store-v1";

/// The folder with the last results of each spec.
pub(crate) const LAST_FOLDER: &str = "last";

/// The folder with the history of runs.
pub(crate) const RUNS_FOLDER: &str = "runs";

/// The folder inside the store with remembered sources.
pub(crate) const SOURCES_FOLDER: &str = "sources";

/// The parts of a store, by name.
pub(crate) const PARTS: [&str; 3] = [STORE_FOLDER, LAST_FOLDER, RUNS_FOLDER];

/// True if a folder of this name holds a store, of any format.
pub(crate) fn is_store(name: &str) -> bool {
    name.strip_prefix(STORE_PREFIX).is_some_and(|version| version.parse::<u64>().is_ok())
}

/// True if a folder of this name holds a store of a later format.
pub(crate) fn is_newer_store(name: &str) -> bool {
    let version = |name: &str| name.strip_prefix(STORE_PREFIX)?.parse::<u64>().ok();
    version(name) > version(STORE_FOLDER)
}

/// `folder`/`name`, in one allocation: every command opens a store, and each part has such paths.
pub(crate) fn below(folder: &Path, name: &str) -> PathBuf {
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + name.len() + 1);
    path.push(folder);
    path.push(name);
    path
}

/// The absolute form of a path that a user named, links included.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(path).at("find", path)
}

/// The file in `folder` that stands for a path outside the store: `<prefix><digest of the absolute path>.json`.
pub(crate) fn file_of_path(folder: &Path, prefix: &str, absolute: &Path) -> PathBuf {
    folder.join(format!("{prefix}{}.json", Digest::of(absolute.as_os_str().as_encoded_bytes())))
}

/// `folder`/ab/<62 hexadecimal digits>`suffix`, in one allocation: a no-op run asks for thousands.
pub(crate) fn fan_out(folder: &Path, digest: &Digest, suffix: &str) -> PathBuf {
    let hex = digest.hex();
    let mut path = OsString::with_capacity(folder.as_os_str().len() + hex.len() + suffix.len() + 2);
    for part in [folder.as_os_str(), "/".as_ref(), hex[..2].as_ref(), "/".as_ref(), hex[2..].as_ref(), suffix.as_ref()]
    {
        path.push(part);
    }
    path.into()
}

/// The files of `folder`/ab/ whose names are digests; ignores all others.
pub(crate) fn fanned_out(folder: &Path) -> Result<Vec<(Digest, DirEntry)>, StoreError> {
    let mut files = Vec::new();
    for outer in list_folder(folder)? {
        let prefix = outer.file_name().to_string_lossy().into_owned();
        for inner in list_folder(&outer.path())? {
            files.extend(digest_of_path(&prefix, &inner.file_name().to_string_lossy()).map(|digest| (digest, inner)));
        }
    }
    Ok(files)
}

/// The digest whose fanned-out path ends in `folder`/`file`.
fn digest_of_path(folder: &str, file: &str) -> Option<Digest> {
    let rest = file.strip_suffix(".json").unwrap_or(file);
    if folder.len() == 2 { format!("{folder}{rest}").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_fan_out_and_are_found_again() {
        let digest = Digest::of(b"abc");
        let path = fan_out(Path::new("/a/store-v1/actions"), &digest, ".json");
        assert!(path.starts_with("/a/store-v1/actions/64"), "{path:?}");
        let file = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(digest_of_path("64", file), Some(digest));
        assert_eq!(digest_of_path("64", "x"), None);
    }

    #[test]
    fn a_store_of_a_later_format_is_seen_by_its_name() {
        for (name, expect) in [("store-v1", false), ("store-v2", true), ("store-v10", true), ("store-vx", false)] {
            assert_eq!(is_newer_store(name), expect, "{name}");
        }
    }
}
