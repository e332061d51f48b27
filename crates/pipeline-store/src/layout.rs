//! Where everything lies below `artifacts/`. The format's version is in the name of the folder.

use std::path::{Path, PathBuf};

use pipeline_core::{ArtifactDigest, Digest, Key};

/// The folder of this version of the on-disk format.
const STORE_FOLDER: &str = "store-v1";

/// The paths of one store.
#[derive(Debug)]
pub(crate) struct Layout {
    artifacts: PathBuf,
    store: PathBuf,
}

impl Layout {
    pub(crate) fn new(artifacts: PathBuf) -> Self {
        let store = artifacts.join(STORE_FOLDER);
        Self { artifacts, store }
    }

    pub(crate) fn artifacts(&self) -> &Path {
        &self.artifacts
    }

    /// Files by digest: `objects/ab/<62 hexadecimal digits>`, read-only.
    pub(crate) fn objects(&self) -> PathBuf {
        self.store.join("objects")
    }

    pub(crate) fn object(&self, digest: &Digest) -> PathBuf {
        self.objects().join(fan_out(digest, ""))
    }

    /// Records by key: `actions/ab/<62 hexadecimal digits>.json`, sealed.
    pub(crate) fn actions(&self) -> PathBuf {
        self.store.join("actions")
    }

    pub(crate) fn action(&self, key: &Key) -> PathBuf {
        self.actions().join(fan_out(&key.0, ".json"))
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

    /// What a run of each spec saw that left it up to date.
    pub(crate) fn snapshot(&self, absolute_spec: &Path) -> PathBuf {
        self.store.join("snapshots").join(format!("{}.json", spec_digest(absolute_spec)))
    }

    /// The history of runs: one folder a run.
    pub(crate) fn runs(&self) -> PathBuf {
        self.artifacts.join("runs")
    }

    /// What each spec's stages had last.
    pub(crate) fn lasts(&self) -> PathBuf {
        self.artifacts.join("last")
    }

    pub(crate) fn last(&self, absolute_spec: &Path) -> PathBuf {
        self.lasts().join(format!("{}.json", spec_digest(absolute_spec)))
    }
}

fn spec_digest(absolute_spec: &Path) -> Digest {
    Digest::of(absolute_spec.as_os_str().as_encoded_bytes())
}

fn fan_out(digest: &Digest, suffix: &str) -> PathBuf {
    let hex = digest.hex();
    PathBuf::from(format!("{}/{}{suffix}", &hex[..2], &hex[2..]))
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
