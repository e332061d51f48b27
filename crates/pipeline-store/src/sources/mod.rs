//! `sources/memo-v1`: the remembered digests of sources, so that an unchanged file is not read again.
//!
//! The memo has one line per file: `<digest> <bytes> <modified> <changed> <inode> <device> <taken> <absolute path>`,
//! times in nanoseconds. The last line is the digest of all lines before it; without it the memo is ignored.

mod folder;
mod identity;
mod ignore;
mod memo;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use pipeline_core::{Digest, NoContent, SourceFile};
use rayon::prelude::*;

use crate::StoreError;
use crate::check::digest_of;
use crate::clock::now_ns;
use crate::durable::{Durability, read_if_there, write_whole};
use crate::error::At;
use crate::layout::{SOURCES_FOLDER, absolute, below};
use crate::workspace::Workspace;

use folder::{Member, Members};
pub use identity::device_number;
pub(crate) use identity::{Identity, is_settled};
use memo::{Entries, Remembered, from_bytes, to_bytes};

/// The age at which the entry of a missing file is removed, in nanoseconds: 90 days.
const FORGOTTEN_AFTER_NS: i64 = 90 * 24 * 3600 * 1_000_000_000;

/// After this time the kernel has written pages of a memory map to the disk by itself (by default it takes 35 s).
const WRITTEN_BACK_AFTER: Duration = Duration::from_secs(120);

/// The most attempts to read a source that changes while it is read.
const MAX_READS: usize = 2;

/// The sources of stages: files and folders outside the store, by their content.
#[derive(Debug)]
pub struct Sources {
    memo: PathBuf,
    /// The store's folder: never part of a source.
    artifacts: PathBuf,
    /// Read from the memo on first use.
    known: OnceLock<Mutex<Known>>,
    workspace: Arc<Workspace>,
}

/// The remembered digests, and the new ones of this handle.
#[derive(Debug, Default)]
struct Known {
    entries: Entries,
    learnt: Entries,
}

impl Sources {
    pub(crate) fn new(store: &Path, artifacts: &Path, workspace: &Arc<Workspace>) -> Self {
        let memo = below(&below(store, SOURCES_FOLDER), "memo-v1");
        let (artifacts, workspace) = (artifacts.to_owned(), Arc::clone(workspace));
        Self { memo, artifacts, known: OnceLock::new(), workspace }
    }

    /// Returns the content digest of a source. Does not read a file that was not touched since it was last read.
    ///
    /// The digest of a folder covers all files below it, hidden ones included, except ignored files and the store
    /// itself. Ignored are caches, version control, editors' files and the patterns of `.pipelineignore`. Links are
    /// followed; one that leads nowhere, or to a folder whose files count already, enters by its target.
    ///
    /// # Errors
    /// When it cannot be read, or keeps changing while it is read.
    pub fn digest(&self, path: &Path) -> Result<Digest, StoreError> {
        let path = absolute(path)?;
        let metadata = fs::metadata(&path).at("read", &path)?;
        if metadata.is_dir() { self.folder_digest(&path) } else { self.file_digest(&path, &metadata) }
    }

    /// The digests of several sources, hashed side by side.
    pub fn digests(&self, paths: &[&Path]) -> Vec<Result<Digest, StoreError>> {
        paths.par_iter().map(|path| self.digest(path)).collect()
    }

    /// The files that the digest of a folder covers, sorted by name, with their digests; and what was passed over for
    /// lack of content, such as FIFOs and links that lead nowhere. A link to a folder whose files count already is
    /// absent.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read, or keeps changing while it is read.
    pub fn files(&self, folder: &Path) -> Result<Vec<SourceFile>, StoreError> {
        let folder = absolute(folder)?;
        let (members, digests) = self.members_with_digests(&folder)?;
        let file = |(name, member): (Vec<u8>, Member)| {
            let (path, content) = match member {
                Member::File(path) => (path, Ok(digests[&name])),
                Member::Dangling(_) => {
                    (folder.join(OsStr::from_bytes(&name)), Err(NoContent("a link that leads nowhere")))
                }
                Member::Special(kind) => (folder.join(OsStr::from_bytes(&name)), Err(NoContent(kind))),
                Member::Same(_) => return None,
            };
            Some(SourceFile { name, path, content })
        };
        Ok(members.into_iter().filter_map(file).collect())
    }

    /// True if the content of `path` still has the digest `digest`: checked after a stage has read it. Reads a source
    /// again if it was touched.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn is_unchanged(&self, path: &Path, digest: &Digest) -> Result<bool, StoreError> {
        match self.digest(path) {
            Ok(found) => Ok(found == *digest),
            Err(StoreError::ChangesWhileRead { .. }) => Ok(false),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the new digests of sources, merged with those of other processes. A store that cannot be written stays
    /// unchanged, without an error.
    ///
    /// # Errors
    /// When the store should be writable and is not, such as on a full disk.
    pub fn flush(&self) -> Result<(), StoreError> {
        if self.known().learnt.is_empty() {
            return Ok(());
        }
        self.write_memo().or_else(|error| if error.is_read_only() { Ok(()) } else { Err(error) })
    }

    fn folder_digest(&self, folder: &Path) -> Result<Digest, StoreError> {
        let (members, digests) = self.members_with_digests(folder)?;
        Ok(folder::digest(&members, |name| digests[name]))
    }

    /// The members of a folder, and the digests of its files.
    fn members_with_digests(&self, folder: &Path) -> Result<(Members, HashMap<Vec<u8>, Digest>), StoreError> {
        for _ in 0..MAX_READS {
            let members = folder::members(folder, &self.artifacts)?;
            let digest_of = |(name, member): (&Vec<u8>, &Member)| match member {
                Member::File(path) => {
                    let metadata = fs::metadata(path).at("read", path)?;
                    Ok(Some((name.clone(), self.file_digest(path, &metadata)?)))
                }
                Member::Dangling(_) | Member::Same(_) | Member::Special(_) => Ok(None),
            };
            match members.par_iter().filter_map(|member| digest_of(member).transpose()).collect() {
                Ok::<HashMap<_, _>, _>(digests) => return Ok((members, digests)),
                // A file was removed after its folder was listed.
                Err(error) if StoreError::is_not_found(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::ChangesWhileRead { path: folder.to_owned() })
    }

    fn file_digest(&self, path: &Path, metadata: &fs::Metadata) -> Result<Digest, StoreError> {
        if !metadata.is_file() {
            return Err(StoreError::NotAFile { path: path.to_owned() });
        }
        let identity = Identity::of(metadata);
        let is_as_remembered = |remembered: &Remembered| remembered.identity == identity && remembered.is_trusted();
        let remembered = self.known().entries.get(path.as_os_str()).copied().filter(is_as_remembered);
        remembered.map_or_else(|| self.read_file(path), |remembered| Ok(remembered.digest))
    }

    /// Hashes a file; once more if it changed meanwhile.
    fn read_file(&self, path: &Path) -> Result<Digest, StoreError> {
        for _ in 0..MAX_READS {
            let taken_ns = now_ns();
            let file = pipeline_files::open(path).at("read", path)?;
            let may_change_unseen = may_change_unseen(&file, path)?;
            let identity = Identity::of(&file.metadata().at("read", path)?);
            let digest = match digest_of(&file, identity.bytes, path) {
                Err(StoreError::ChangesWhileRead { .. }) => continue,
                digest => digest?,
            };
            let after = fs::metadata(path).at("read", path)?;
            if Identity::of(&after) == identity {
                if !may_change_unseen {
                    self.known().learn(path, Remembered { identity, taken_ns, digest });
                }
                return Ok(digest);
            }
        }
        Err(StoreError::ChangesWhileRead { path: path.to_owned() })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        let known = self.known.get_or_init(|| Mutex::new(Known { entries: self.on_disk(), ..Known::default() }));
        known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content of the memo; empty if it cannot be read.
    fn on_disk(&self) -> Entries {
        read_if_there(&self.memo).ok().flatten().map(|text| from_bytes(&text)).unwrap_or_default()
    }

    fn write_memo(&self) -> Result<(), StoreError> {
        let scratch = self.workspace.new_path()?;
        let mut known = self.known();
        let mut entries = self.on_disk();
        entries.extend(std::mem::take(&mut known.learnt));
        let forgotten_before_ns = now_ns() - FORGOTTEN_AFTER_NS;
        entries.retain(|path, remembered| remembered.taken_ns > forgotten_before_ns || Path::new(path).exists());
        let text = to_bytes(entries.iter().map(|(path, remembered)| (Path::new(path), remembered)));
        write_whole(&scratch, &self.memo, &text, Durability::Lazy)
    }
}

impl Known {
    fn learn(&mut self, path: &Path, remembered: Remembered) {
        self.entries.insert(path.into(), remembered);
        self.learnt.insert(path.into(), remembered);
    }
}

/// True if the content may change without a change of the times.
///
/// That is so while a process has the file open for writing, since repeated writes to a mapped page do not update the
/// times.
///
/// Where the system does not report writers, recent writes are synced first: the next write to a synced page then
/// changes the times.
fn may_change_unseen(file: &File, path: &Path) -> Result<bool, StoreError> {
    if let Some(is_written) = pipeline_files::is_open_for_writing(file) {
        return Ok(is_written);
    }
    let modified = file.metadata().at("read", path)?.modified().at("read", path)?;
    if modified.elapsed().is_ok_and(|age| age < WRITTEN_BACK_AFTER) {
        // Some network file systems refuse; nothing is known of maps there anyway.
        let _ = file.sync_data();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::Store;

    /// Remembers a wrong digest for the file, as if it had been taken tomorrow.
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
        first.sources().flush().unwrap();
        second.sources().flush().unwrap();

        let third = Store::open(first.artifacts()).unwrap();
        let digests = [&path, &other].map(|path| third.sources().digest(path).unwrap());
        assert_eq!(digests, expect);
        assert!(third.sources().is_unchanged(&path, &expect[0]).unwrap());

        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(!third.sources().is_unchanged(&path, &expect[0]).unwrap(), "what was touched is read again");
        assert_eq!(third.sources().digest(&path).unwrap(), Digest::of(b"rows"));
    }

    #[test]
    fn a_damaged_memo_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.tsv");
        fs::write(&path, "rows").unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        remember_wrongly(&store, &path);
        store.sources().flush().unwrap();
        let memo = store.sources().memo.clone();
        let mut text = fs::read(&memo).unwrap();
        text[3] ^= 1;
        fs::write(&memo, text).unwrap();
        let again = Store::open(store.artifacts()).unwrap();
        assert_eq!(again.sources().digest(&path).unwrap(), Digest::of(b"rows"));
    }
}
