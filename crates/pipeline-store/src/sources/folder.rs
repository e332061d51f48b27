//! A folder as a source: selects the files below it that count, and computes their joint digest.
//!
//! Only files have content: FIFOs, sockets and devices are skipped, as are the parts of a store and ignored files.
//! Links are followed wherever they lead.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, DirEntry, FileType};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pipeline_core::Digest;
use pipeline_files::other_than_regular;
use rustix::fs::Stat;

use super::ignore::{IGNORE_FILE, Rules};
use crate::StoreError;
use crate::durable::list_folder;
use crate::error::At;
use crate::layout::{PARTS, STORE_FOLDER};
use crate::workspace::is_own_ignore_file;

/// Separates the digests of folders from those of files: no file's content can give one.
const CONTEXT: &str = "pipeline 2026-11-28 the files of a folder that is a source";

/// The longest ignore file that is read, in bytes.
const MAX_IGNORE_BYTES: u64 = 1 << 20;

/// The members of a folder that count, by name.
pub(crate) type Members = BTreeMap<Vec<u8>, Member>;

/// Something below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Member {
    /// A file, perhaps behind a link: its content counts.
    File(PathBuf),
    /// A link that leads nowhere, such as an editor's lock: its target counts.
    Dangling(Vec<u8>),
    /// A link to a folder whose files count already: the name of that folder.
    Same(Vec<u8>),
    /// A FIFO, socket or device, named here: it has no content and does not count.
    Special(&'static str),
}

/// Finds the members of `folder`, without the parts of the store at `artifacts`.
///
/// # Errors
/// When a folder cannot be listed or something in it cannot be examined.
pub(crate) fn members(folder: &Path, artifacts: &Path) -> Result<Members, StoreError> {
    let mut walk = Walk {
        artifacts: artifacts.canonicalize().unwrap_or_else(|_| artifacts.to_owned()),
        members: Members::new(),
        links: VecDeque::new(),
        seen: HashMap::new(),
    };
    walk.folder(folder, folder.canonicalize().at("read", folder)?, b"", &Rules::defaults())?;
    // Links last, so that each folder counts under its own name, and under a link's name only where it has no other.
    while let Some(link) = walk.links.pop_front() {
        walk.follow(link)?;
    }
    Ok(walk.members)
}

/// The digest of members whose files have these digests, in the order of the members.
pub(crate) fn digest(members: &Members, mut digest_of: impl FnMut(&[u8]) -> Digest) -> Digest {
    let mut text = Vec::new();
    let mut part = |bytes: &[u8]| {
        text.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        text.extend_from_slice(bytes);
    };
    for (name, member) in members {
        if matches!(member, Member::Special(_)) {
            continue;
        }
        part(name);
        match member {
            Member::File(_) => {
                part(b"file");
                part(digest_of(name).as_bytes());
            }
            Member::Dangling(target) => {
                part(b"link");
                part(target);
            }
            Member::Same(first) => {
                part(b"same");
                part(first);
            }
            Member::Special(_) => {}
        }
    }
    Digest::in_domain(CONTEXT, &text)
}

struct Walk {
    /// The real path of the store.
    artifacts: PathBuf,
    members: Members,
    /// Links that are not followed yet.
    links: VecDeque<Link>,
    /// The real paths of the folders that count, and their names.
    seen: HashMap<PathBuf, Vec<u8>>,
}

struct Link {
    path: PathBuf,
    name: Vec<u8>,
    rules: Rules,
}

impl Walk {
    /// Adds everything in and below a folder with the real path `real`. `name` is relative to the source, empty for the
    /// source itself.
    fn folder(&mut self, folder: &Path, real: PathBuf, name: &[u8], rules: &Rules) -> Result<(), StoreError> {
        let prefix = if name.is_empty() { Vec::new() } else { [name, b"/"].concat() };
        let entries = list_folder(folder)?;
        let with_file = match entries.iter().any(|entry| entry.file_name() == IGNORE_FILE) {
            true => rules_of(&folder.join(IGNORE_FILE))?.map(|text| rules.with_file(&prefix, &text)),
            false => None,
        };
        let rules = with_file.as_ref().unwrap_or(rules);
        let is_store = real == self.artifacts || entries.iter().any(|entry| entry.file_name() == STORE_FOLDER);
        for entry in entries {
            let is_part = || PARTS.iter().any(|part| entry.file_name() == *part) || is_own_ignore_file(&entry.path());
            if !(is_store && is_part()) {
                self.entry(&entry, &real, &prefix, rules)?;
            }
        }
        self.seen.insert(real, name.to_owned());
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, real: &Path, prefix: &[u8], rules: &Rules) -> Result<(), StoreError> {
        let path = entry.path();
        let name = [prefix, entry.file_name().as_bytes()].concat();
        let Some(kind) = if_there(entry.file_type(), &path)? else { return Ok(()) };
        if rules.ignore(&name, kind.is_dir()) {
            return Ok(());
        }
        if kind.is_symlink() {
            self.links.push_back(Link { path, name, rules: rules.clone() });
            return Ok(());
        }
        if kind.is_file() && is_own_output(entry) {
            return Ok(());
        }
        if kind.is_dir() {
            return self.folder(&path, real.join(entry.file_name()), &name, rules);
        }
        self.file(path, name, kind);
        Ok(())
    }

    fn file(&mut self, path: PathBuf, name: Vec<u8>, kind: FileType) {
        let member = other_than_regular(kind).map_or_else(|| Member::File(path), Member::Special);
        self.members.insert(name, member);
    }

    fn follow(&mut self, link: Link) -> Result<(), StoreError> {
        let Link { path, name, rules } = link;
        let kind = match fs::metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if leads_nowhere(&error) => {
                if let Some(target) = if_there(fs::read_link(&path), &path)? {
                    self.members.insert(name, Member::Dangling(target.into_os_string().into_vec()));
                }
                return Ok(());
            }
            Err(error) => return Err(error).at("read", &path),
        };
        if !kind.is_dir() {
            self.file(path, name, kind);
            return Ok(());
        }
        let real = path.canonicalize().at("read", &path)?;
        if let Some(first) = self.seen.get(&real) {
            self.members.insert(name, Member::Same(first.clone()));
            return Ok(());
        }
        self.folder(&path, real, &name, &rules)
    }
}

/// The text of an ignore file; `None` when something else has its name.
fn rules_of(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match pipeline_files::read_at_most(path, MAX_IGNORE_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::InvalidInput) => Ok(None),
        Err(error) if leads_nowhere(&error) => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// True for a file into which this very program prints: it changes with every line of output.
fn is_own_output(entry: &DirEntry) -> bool {
    static OWN: LazyLock<Vec<(u64, u64)>> = LazyLock::new(|| {
        let place = |stream: io::Result<Stat>| stream.ok().map(|stat| (stat.st_dev, stat.st_ino));
        let streams = [rustix::fs::fstat(io::stdout()), rustix::fs::fstat(io::stderr())];
        streams.into_iter().filter_map(|stream| place(stream.map_err(Into::into))).collect()
    });
    let is_own = |(device, inode): &(u64, u64)| {
        entry.ino() == *inode && entry.metadata().is_ok_and(|metadata| metadata.dev() == *device)
    };
    OWN.iter().any(is_own)
}

/// `None` for an entry that was removed since its folder was listed.
fn if_there<T>(looked: io::Result<T>, path: &Path) -> Result<Option<T>, StoreError> {
    match looked {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        looked => looked.map(Some).at("read", path),
    }
}

/// True if a link has no target: a missing name, a name below a file, or a circle of links.
fn leads_nowhere(error: &io::Error) -> bool {
    // The standard library has no stable error kind for a circle of links.
    let is_circle = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_circle || matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
