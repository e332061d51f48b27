//! `kernels/<digest>`: what the compiler of a device has made, in one file for all that its work depends on.
//!
//! A process works with a copy in its scratch folder, and keeps that as a whole: the compiler's own files are appended
//! to, and damage in them would be another kernel. A file here begins with the digest of the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use pipeline_core::Digest;

use crate::cas::stays_inside;
use crate::durable::{Durability, list_folder, parent, read_if_there, remove_file};
use crate::error::At;
use crate::folders::files_below;
use crate::layout::below;
use crate::{Scratch, StoreError, Workspace};

/// The files that are kept: those of this program and of others that share the store.
const MOST_FILES: usize = 4;

/// The compiled kernels of a store.
#[derive(Debug)]
pub struct Kernels {
    folder: PathBuf,
    workspace: Arc<Workspace>,
}

/// The compiled kernels that a process works with.
#[derive(Debug)]
pub struct LentKernels {
    file: PathBuf,
    scratch: Scratch,
    workspace: Arc<Workspace>,
}

impl Kernels {
    pub(crate) fn new(store: &Path, workspace: &Arc<Workspace>) -> Self {
        Self { folder: below(store, "kernels"), workspace: Arc::clone(workspace) }
    }

    /// A folder of this process with the kernels that are kept for `of`, the digest of all that they depend on. It is
    /// empty where there are none, or their file is damaged.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn lend(&self, of: &Digest) -> Result<LentKernels, StoreError> {
        let lent = LentKernels {
            file: self.folder.join(of.hex()),
            scratch: self.workspace.scratch()?,
            workspace: Arc::clone(&self.workspace),
        };
        // A file that cannot be read costs the time of its kernels.
        if let Some(files) = read_if_there(&lent.file).ok().flatten().as_deref().and_then(unpack) {
            for (name, content) in files {
                let path = lent.folder().join(name);
                fs::create_dir_all(parent(&path)).at("create", parent(&path))?;
                fs::write(&path, content).at("write", &path)?;
            }
        }
        Ok(lent)
    }
}

impl LentKernels {
    /// The folder to compile into.
    pub fn folder(&self) -> &Path {
        self.scratch.folder()
    }

    /// Keeps the kernels in the folder, in the place of those that were kept, and forgets the oldest of others.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep(&self) -> Result<(), StoreError> {
        let packed = pack(self.folder())?;
        if packed.len() == HEADER || read_if_there(&self.file)?.is_some_and(|kept| kept == packed) {
            return Ok(());
        }
        self.workspace.write(&self.file, &packed, Durability::Lazy)?;
        let age = |entry: &fs::DirEntry| entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let mut all: Vec<(Option<SystemTime>, PathBuf)> =
            list_folder(parent(&self.file))?.iter().map(|entry| (age(entry), entry.path())).collect();
        all.sort();
        let n_old = all.len().saturating_sub(MOST_FILES);
        all.iter().take(n_old).try_for_each(|(_, path)| remove_file(path))
    }
}

/// The bytes of the digest before the files.
const HEADER: usize = 32;

/// The files below a folder, but for locks, as one: names and contents, each after its length.
fn pack(folder: &Path) -> Result<Vec<u8>, StoreError> {
    let mut packed = vec![0; HEADER];
    for path in files_below(folder)? {
        let name = path.strip_prefix(folder).ok().and_then(Path::to_str);
        let Some(name) = name.filter(|name| !name.ends_with(".lock")) else { continue };
        let content = pipeline_files::read(&path).at("read", &path)?;
        for part in [name.as_bytes(), &content] {
            packed.extend((part.len() as u64).to_le_bytes());
            packed.extend(part);
        }
    }
    let digest = Digest::of(&packed[HEADER..]);
    packed[..HEADER].copy_from_slice(digest.as_bytes());
    Ok(packed)
}

/// The names and contents of packed files; `None` where they are damaged.
fn unpack(packed: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let (digest, mut rest) = packed.split_at_checked(HEADER)?;
    if Digest::of(rest).as_bytes() != digest {
        return None;
    }
    let mut files = Vec::new();
    while !rest.is_empty() {
        let name = std::str::from_utf8(part(&mut rest)?).ok()?;
        if !stays_inside(name) {
            return None;
        }
        files.push((name, part(&mut rest)?));
    }
    Some(files)
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<8>()?;
    let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    fn kernel(lent: &LentKernels) -> Option<Vec<u8>> {
        fs::read(lent.folder().join("cuda/ptx")).ok()
    }

    fn keep(store: &Store, of: &Digest, content: &[u8]) {
        let lent = store.kernels().lend(of).unwrap();
        fs::create_dir_all(lent.folder().join("cuda")).unwrap();
        fs::write(lent.folder().join("cuda/ptx"), content).unwrap();
        fs::write(lent.folder().join("cuda/ptx.lock"), "").unwrap();
        lent.keep().unwrap();
    }

    #[test]
    fn the_next_process_finds_what_one_has_compiled_for_the_same_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (same, other) = (Digest::of(b"same"), Digest::of(b"other"));
        keep(&Store::open(folder.path()).unwrap(), &same, b"kernel");
        let next = Store::open(folder.path()).unwrap();
        let lent = next.kernels().lend(&same).unwrap();
        assert_eq!(kernel(&lent), Some(b"kernel".to_vec()));
        assert!(!lent.folder().join("cuda/ptx.lock").exists(), "nobody holds a lock of another process");
        assert_eq!(kernel(&next.kernels().lend(&other).unwrap()), None);
    }

    #[test]
    fn a_damaged_file_is_as_none_whichever_bit_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (store, of) = (Store::open(folder.path()).unwrap(), Digest::of(b"same"));
        keep(&store, &of, b"kernel");
        let file = store.kernels().folder.join(of.hex());
        let whole = fs::read(&file).unwrap();
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1;
            fs::write(&file, damaged).unwrap();
            assert_eq!(kernel(&store.kernels().lend(&of).unwrap()), None, "byte {byte}");
        }
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(kernel(&store.kernels().lend(&of).unwrap()), None, "cut off");
        keep(&store, &of, b"kernel");
        assert_eq!(fs::read(&file).unwrap(), whole, "it is compiled and kept again");
    }

    #[test]
    fn the_oldest_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for program in 0..MOST_FILES + 2 {
            keep(&store, &Digest::of(&[program as u8]), b"kernel");
        }
        assert_eq!(fs::read_dir(&store.kernels().folder).unwrap().count(), MOST_FILES);
    }

    #[test]
    fn an_empty_folder_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.kernels().lend(&Digest::of(b"same")).unwrap().keep().unwrap();
        assert!(!store.kernels().folder.exists());
    }
}
