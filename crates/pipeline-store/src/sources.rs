//! Digests of sources, remembered so that a file that was not touched is not read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use pipeline_core::{Digest, FileEntry, Tree};

use crate::durable::{Durability, list_folder, read_if_there, write_whole};
use crate::error::At;
use crate::memo::{Entries, Identity, Remembered, from_bytes, to_bytes};
use crate::objects::digest_of;
use crate::{Store, StoreError};

/// An entry whose file is gone is forgotten after this time, in nanoseconds: 90 days.
const FORGOTTEN_AFTER_NS: i64 = 90 * 24 * 3600 * 1_000_000_000;

/// The memory of sources of one store handle.
#[derive(Debug)]
pub(crate) struct Sources {
    memo: PathBuf,
    /// Read from the memo when it is first asked for.
    known: OnceLock<Mutex<Known>>,
}

/// What is remembered, and what of it this handle has learnt.
#[derive(Debug, Default)]
struct Known {
    entries: Entries,
    learnt: Entries,
}

/// How a source's digest is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Read what was touched.
    Read,
    /// Answer none for what was touched.
    Untouched,
}

impl Store {
    /// Returns the content digest of a source. A file that was not touched since it was last read is not read.
    ///
    /// The digest of a folder is that of the tree of all files below it, in a domain of its own; symbolic links are
    /// followed.
    ///
    /// # Errors
    /// When it cannot be read, or keeps changing while it is.
    pub fn source_digest(&self, path: &Path) -> Result<Digest, StoreError> {
        let digest = self.sources().digest(path, Look::Read)?;
        digest.ok_or_else(|| StoreError::ChangesWhileRead { path: path.to_owned() })
    }

    /// True if nothing at `path` was touched since this handle took `digest` of it: asked after a stage has read it.
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub fn source_unchanged(&self, path: &Path, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.sources().digest(path, Look::Untouched)? == Some(*digest))
    }

    /// Writes what was learnt about sources, together with what other processes wrote. A store that cannot be written
    /// learns nothing, without an error.
    ///
    /// # Errors
    /// When the store should be writable and is not, such as a full disk.
    pub fn flush_sources(&self) -> Result<(), StoreError> {
        let sources = self.sources();
        if sources.known().learnt.is_empty() {
            return Ok(());
        }
        let flushed = self.session().and_then(|session| sources.flush(&session.new_path()));
        flushed.or_else(|error| if error.is_read_only() { Ok(()) } else { Err(error) })
    }
}

impl Sources {
    pub(crate) fn new(memo: PathBuf) -> Self {
        Self { memo, known: OnceLock::new() }
    }

    fn digest(&self, path: &Path, look: Look) -> Result<Option<Digest>, StoreError> {
        let path = std::path::absolute(path).at("find", path)?;
        let metadata = fs::metadata(&path).at("read", &path)?;
        if metadata.is_dir() {
            let mut tree = Tree::default();
            let mut above = Vec::new();
            Ok(self.add_folder(&path, "", &mut tree, &mut above, look)?.then(|| tree.source_digest()))
        } else {
            Ok(self.file_digest(&path, &metadata, look)?.map(|entry| entry.digest))
        }
    }

    /// Adds all files below `folder`; returns false when one was touched that must not be.
    fn add_folder(
        &self,
        folder: &Path,
        prefix: &str,
        tree: &mut Tree,
        above: &mut Vec<PathBuf>,
        look: Look,
    ) -> Result<bool, StoreError> {
        let real = folder.canonicalize().at("read", folder)?;
        if above.contains(&real) {
            return Err(StoreError::Loop { path: folder.to_owned() });
        }
        above.push(real);
        for entry in list_folder(folder)? {
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| StoreError::Name { path: path.clone() })?;
            let name = format!("{prefix}{name}");
            let metadata = fs::metadata(&path).at("read", &path)?;
            if metadata.is_dir() {
                if !self.add_folder(&path, &format!("{name}/"), tree, above, look)? {
                    return Ok(false);
                }
            } else {
                let Some(entry) = self.file_digest(&path, &metadata, look)? else { return Ok(false) };
                tree.files.insert(name, entry);
            }
        }
        above.pop();
        Ok(true)
    }

    fn file_digest(&self, path: &Path, metadata: &fs::Metadata, look: Look) -> Result<Option<FileEntry>, StoreError> {
        if !metadata.is_file() {
            return Err(StoreError::NotAFile { path: path.to_owned() });
        }
        let identity = Identity::of(metadata);
        let remembered =
            self.known().entries.get(path.as_os_str()).copied().filter(|remembered| remembered.identity == identity);
        match remembered {
            Some(remembered) if remembered.is_trusted() => Ok(Some(entry(&remembered))),
            None if look == Look::Untouched => Ok(None),
            _ => self.read_file(path).map(|remembered| Some(entry(&remembered))),
        }
    }

    /// Hashes a file; once more when it changed meanwhile.
    fn read_file(&self, path: &Path) -> Result<Remembered, StoreError> {
        for _ in 0..2 {
            let taken_ns = now_ns();
            let file = pipeline_files::open(path).at("read", path)?;
            let identity = Identity::of(&file.metadata().at("read", path)?);
            let digest = match digest_of(&file, identity.bytes, path) {
                Err(StoreError::ChangesWhileRead { .. }) => continue,
                digest => digest?,
            };
            let after = fs::metadata(path).at("read", path)?;
            if Identity::of(&after) == identity {
                let remembered = Remembered { identity, taken_ns, digest };
                self.known().learn(path, remembered);
                return Ok(remembered);
            }
        }
        Err(StoreError::ChangesWhileRead { path: path.to_owned() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        let known = self.known.get_or_init(|| Mutex::new(Known { entries: self.on_disk(), ..Known::default() }));
        known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the memo holds; a memo that cannot be read has forgotten everything.
    fn on_disk(&self) -> Entries {
        read_if_there(&self.memo).ok().flatten().map(|text| from_bytes(&text)).unwrap_or_default()
    }

    fn flush(&self, scratch: &Path) -> Result<(), StoreError> {
        let mut known = self.known();
        let mut entries = self.on_disk();
        entries.extend(std::mem::take(&mut known.learnt));
        let forgotten_before_ns = now_ns() - FORGOTTEN_AFTER_NS;
        entries.retain(|path, remembered| remembered.taken_ns > forgotten_before_ns || Path::new(path).exists());
        let text = to_bytes(entries.iter().map(|(path, remembered)| (Path::new(path), remembered)));
        write_whole(scratch, &self.memo, &text, Durability::Lazy)
    }
}

impl Known {
    fn learn(&mut self, path: &Path, remembered: Remembered) {
        self.entries.insert(path.into(), remembered);
        self.learnt.insert(path.into(), remembered);
    }
}

fn entry(remembered: &Remembered) -> FileEntry {
    FileEntry::new(remembered.digest, remembered.identity.bytes)
}

pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).expect("the clock is before the year 2262")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers a digest that the file does not have, as if it had been taken tomorrow.
    fn remember_wrongly(store: &Store, path: &Path) -> Digest {
        let identity = Identity::of(&fs::metadata(path).unwrap());
        let digest = Digest::of(b"not the content");
        let remembered = Remembered { identity, taken_ns: now_ns() + 86_400 * 1_000_000_000, digest };
        store.sources().known().learn(path, remembered);
        digest
    }

    #[test]
    fn an_untouched_file_is_not_read_and_processes_share_what_they_learn() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("data.tsv"), folder.path().join("other.tsv"));
        fs::write(&path, "rows").unwrap();
        fs::write(&other, "rows").unwrap();
        let [first, second] = [(); 2].map(|()| Store::open(&folder.path().join("artifacts")).unwrap());
        // Both have read the memo before either writes it.
        let expect = [remember_wrongly(&first, &path), remember_wrongly(&second, &other)];
        first.flush_sources().unwrap();
        second.flush_sources().unwrap();

        let third = Store::open(first.artifacts()).unwrap();
        let digests = [&path, &other].map(|path| third.source_digest(path).unwrap());
        assert_eq!(digests, expect);
        assert!(third.source_unchanged(&path, &expect[0]).unwrap());

        fs::File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(!third.source_unchanged(&path, &expect[0]).unwrap());
        assert_eq!(third.source_digest(&path).unwrap(), Digest::of(b"rows"));
    }

    #[test]
    fn a_damaged_memo_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.tsv");
        fs::write(&path, "rows").unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        remember_wrongly(&store, &path);
        store.flush_sources().unwrap();
        let memo = store.layout().source_memo();
        let mut text = fs::read(&memo).unwrap();
        text[3] ^= 1;
        fs::write(&memo, text).unwrap();
        let again = Store::open(store.artifacts()).unwrap();
        assert_eq!(again.source_digest(&path).unwrap(), Digest::of(b"rows"));
    }
}
