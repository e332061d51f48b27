//! Where everything lies below `artifacts/`. The format's version is in the name of the folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use pipeline_core::{ArtifactDigest, Digest, Key, RunId};

/// What stands before the version in the name of a store's folder.
const STORE_PREFIX: &str = "store-v";

/// The folder of this version of the on-disk format.
pub(crate) const STORE_FOLDER: &str = "store-v1";

/// The folder with what each spec's stages had last.
const LAST_FOLDER: &str = "last";

/// The folder with the history of runs.
const RUNS_FOLDER: &str = "runs";

/// All that a store has in its folder.
pub(crate) const PARTS: [&str; 3] = [STORE_FOLDER, LAST_FOLDER, RUNS_FOLDER];

/// True if a folder of this name holds a store of a later format.
pub(crate) fn is_newer_store(name: &str) -> bool {
    let version = |name: &str| name.strip_prefix(STORE_PREFIX)?.parse::<u64>().ok();
    version(name) > version(STORE_FOLDER)
}

/// The paths of one store.
#[derive(Debug)]
pub(crate) struct Layout {
    artifacts: PathBuf,
    store: PathBuf,
    objects: PathBuf,
    actions: PathBuf,
}

impl Layout {
    pub(crate) fn new(artifacts: PathBuf) -> Self {
        let store = artifacts.join(STORE_FOLDER);
        let (objects, actions) = (store.join("objects"), store.join("actions"));
        Self { artifacts, store, objects, actions }
    }

    pub(crate) fn artifacts(&self) -> &Path {
        &self.artifacts
    }

    /// Files by digest: `objects/ab/<62 hexadecimal digits>`, read-only.
    pub(crate) fn objects(&self) -> PathBuf {
        self.objects.clone()
    }

    pub(crate) fn object(&self, digest: &Digest) -> PathBuf {
        fan_out(&self.objects, digest, "")
    }

    /// Records by key: `actions/ab/<62 hexadecimal digits>.json`, sealed.
    pub(crate) fn actions(&self) -> PathBuf {
        self.actions.clone()
    }

    pub(crate) fn action(&self, key: &Key) -> PathBuf {
        fan_out(&self.actions, &key.0, ".json")
    }

    /// Artifacts as folders of hard links: `trees/<artifact digest>/`.
    pub(crate) fn trees(&self) -> PathBuf {
        self.store.join("trees")
    }

    pub(crate) fn tree(&self, digest: &ArtifactDigest) -> PathBuf {
        self.trees().join(digest.hex())
    }

    /// A file a tree that somebody reads; who reads it holds a shared lock on the file.
    pub(crate) fn lease(&self, digest: &ArtifactDigest) -> PathBuf {
        self.store.join("leases").join(digest.hex())
    }

    /// A file a key that somebody computes; who computes it holds an exclusive lock on the file.
    pub(crate) fn lock(&self, key: &Key) -> PathBuf {
        self.store.join("locks").join(key.0.hex())
    }

    /// The inputs of a stage that runs programs, laid out for it alone: `lent/<key>/<number of the slot>/`.
    pub(crate) fn lent(&self) -> PathBuf {
        self.store.join("lent")
    }

    pub(crate) fn lent_to(&self, key: &Key) -> PathBuf {
        self.lent().join(key.0.hex())
    }

    /// A folder and a lock file a session: what is being written.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.store.join("scratch")
    }

    /// Objects and records that turned out to be damaged.
    pub(crate) fn quarantine(&self) -> PathBuf {
        self.store.join("quarantine")
    }

    /// The remembered digests of sources; the file's name carries the version of its format.
    pub(crate) fn source_memo(&self) -> PathBuf {
        self.store.join("sources").join("memo-v1")
    }

    /// What each spec's stages read last.
    pub(crate) fn last_sources(&self, absolute_spec: &Path) -> PathBuf {
        self.store.join("sources").join(format!("last-{}.json", path_digest(absolute_spec)))
    }

    /// What a run of each spec saw that left it up to date.
    pub(crate) fn snapshot(&self, absolute_spec: &Path) -> PathBuf {
        self.snapshots().join(format!("{}.json", path_digest(absolute_spec)))
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.store.join("snapshots")
    }

    /// What this program has written at a path outside the store.
    pub(crate) fn written(&self, absolute: &Path) -> PathBuf {
        self.store.join("written").join(format!("{}.json", path_digest(absolute)))
    }

    /// The history of runs: one folder a run.
    pub(crate) fn runs(&self) -> PathBuf {
        self.artifacts.join(RUNS_FOLDER)
    }

    /// The number of the last run.
    pub(crate) fn run_order(&self) -> PathBuf {
        self.store.join("run-order")
    }

    pub(crate) fn run(&self, run: &RunId) -> PathBuf {
        self.runs().join(&run.0)
    }

    /// What each spec's stages had last.
    pub(crate) fn lasts(&self) -> PathBuf {
        self.artifacts.join(LAST_FOLDER)
    }

    pub(crate) fn last(&self, absolute_spec: &Path) -> PathBuf {
        self.lasts().join(format!("{}.json", path_digest(absolute_spec)))
    }
}

fn path_digest(absolute: &Path) -> Digest {
    Digest::of(absolute.as_os_str().as_encoded_bytes())
}

/// `folder`/ab/<62 hexadecimal digits>`suffix`, in one piece: a run in which nothing has changed asks for thousands.
fn fan_out(folder: &Path, digest: &Digest, suffix: &str) -> PathBuf {
    let hex = digest.hex();
    let mut path = OsString::with_capacity(folder.as_os_str().len() + hex.len() + suffix.len() + 2);
    for part in [folder.as_os_str(), "/".as_ref(), hex[..2].as_ref(), "/".as_ref(), hex[2..].as_ref(), suffix.as_ref()]
    {
        path.push(part);
    }
    path.into()
}

/// The digest whose fanned-out path ends in `folder`/`file`; none for anything else that lies about.
pub(crate) fn digest_of_path(folder: &str, file: &str) -> Option<Digest> {
    let rest = file.strip_suffix(".json").unwrap_or(file);
    if folder.len() == 2 { format!("{folder}{rest}").parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_fan_out_and_are_found_again() {
        let digest = Digest::of(b"abc");
        let path = Layout::new("/a".into()).action(&Key(digest));
        assert!(path.starts_with("/a/store-v1/actions/64"), "{path:?}");
        let file = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(digest_of_path("64", file), Some(digest));
        assert_eq!(digest_of_path("64", "x"), None);
    }
}
