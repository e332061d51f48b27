//! `written/`: a memory of the files that this program has written outside the store, so that it recognises them.
//!
//! `written/<digest of the absolute path>.json` is a sealed [`Written`](written::Written): the digests of the files and
//! the targets of the links at and below the path, and where the links there then led. It is written before the files
//! themselves. A path that later leads to another file makes that file no more ours than any other.

mod destination;
mod publish;
mod replacement;
mod written;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline_core::{Digest, FileEntry, Part};

use crate::check::is_program;
use crate::durable::{make_folder, parent, sync_folder};
use crate::error::At;
use crate::folders::is_link_to;
use crate::layout::{absolute, below};
use crate::quarantine::Quarantine;
use crate::workspace::Workspace;
use crate::{Cas, OpenTreeError, Sources, StoreError};

use destination::Destination;
pub use destination::real_path;
pub use replacement::Replacement;
use written::{Memory, Written, WrittenFiles};

/// Files and folders outside the store that come from it or from this program.
#[derive(Debug)]
pub struct Outside {
    written: WrittenFiles,
    cas: Arc<Cas>,
    sources: Arc<Sources>,
    workspace: Arc<Workspace>,
    quarantine: Arc<Quarantine>,
}

/// The status of a file that is about to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Replacing it loses nothing: it is missing or empty, this program wrote it, or the store has it.
    Ours,
    /// This program wrote it, and it was changed since.
    Changed,
    /// Another program wrote it.
    Foreign,
}

impl Outside {
    pub(crate) fn new(
        store: &Path,
        cas: &Arc<Cas>,
        sources: &Arc<Sources>,
        workspace: &Arc<Workspace>,
        quarantine: &Arc<Quarantine>,
    ) -> Self {
        let (cas, sources) = (Arc::clone(cas), Arc::clone(sources));
        let (workspace, quarantine) = (Arc::clone(workspace), Arc::clone(quarantine));
        let written = WrittenFiles::new(below(store, "written"), &workspace);
        Self { written, cas, sources, workspace, quarantine }
    }

    /// Writes a file for the command line, whole or not at all. Follows links at the path, and writes into devices and
    /// pipes. Returns the path of the copy of a file that was changed since it was written.
    ///
    /// # Errors
    /// When the path holds a file that this program did not write, unless `overwrite` is set, or the file cannot be
    /// written.
    pub fn write(&self, path: &Path, content: &[u8], overwrite: bool) -> Result<Option<PathBuf>, StoreError> {
        let path = absolute(path)?;
        let to = match Destination::of(&path).at("write", &path)? {
            Destination::File(to) => to,
            Destination::Stream(to) => {
                let written = open_stream(&to).and_then(|mut stream| stream.write_all(content));
                return written.map(|()| None).at("write", &to);
            }
        };
        let before = self.written.at(&path).unwrap_or_default();
        let there = self.written_through(&path, &to).unwrap_or_default();
        let memory = match before.memory("", &path, &to) {
            // A link that led here before leads here again.
            Memory::Relinked => there.memory("", &to, &to).or(Memory::Relinked),
            memory => memory,
        };
        let kept = match self.standing(&to, memory)? {
            Standing::Foreign if !overwrite => return Err(foreign(&path, &to)),
            Standing::Changed => self.quarantine.keep_copy(&to).map(Some)?,
            Standing::Ours | Standing::Foreign => None,
        };
        make_folder(parent(&to))?;
        let replacement = Replacement::of(&to, parent(&to), false)?;
        fs::write(replacement.path(), content).at("write", &to)?;
        let mut now = Written::at(&path, &to);
        now.add("", Digest::of(content), Some(&to));
        self.written.put(&path, &now)?;
        if to != path {
            let mut there = Written::at(&to, &to);
            there.add("", Digest::of(content), Some(&to));
            self.written.put(&to, &there)?;
        }
        replacement.take_place()?;
        Ok(kept)
    }

    /// Copies a file of an artifact to a path outside the store, replacing an existing file.
    ///
    /// Readers of the path see the old file or the new one, whole and verified.
    ///
    /// # Errors
    /// When the object is missing or damaged (then it is quarantined), or the target cannot be written.
    pub fn copy_out(&self, entry: &FileEntry, to: &Path) -> Result<(), OpenTreeError> {
        let to = absolute(to)?;
        make_folder(parent(&to))?;
        let copy_through = |folder: &Path| -> Result<(), OpenTreeError> {
            let replacement = Replacement::of(&to, folder, entry.executable)?;
            self.cas.copy_verified(entry, replacement.path(), &to)?;
            Ok(replacement.take_place()?)
        };
        // The copy of a killed process is swept from its scratch folder; beside the target it would stay for ever.
        match copy_through(parent(&self.workspace.new_path()?)) {
            Err(OpenTreeError::Store(StoreError::Io { source, .. })) if is_elsewhere(&source) => {
                copy_through(parent(&to))?;
            }
            copied => copied?,
        }
        Ok(sync_folder(parent(&to))?)
    }

    /// Writes a file of an artifact into a device or a pipe.
    fn stream_out(&self, entry: &FileEntry, to: &Path) -> Result<(), OpenTreeError> {
        let mut from = self.cas.open_verified(entry, to)?;
        open_stream(to).and_then(|mut stream| io::copy(&mut from, &mut stream)).at("write", to)?;
        Ok(())
    }

    /// True if the file at `path` equals the entry. Reads it only if it was touched since it was last read.
    pub fn matches(&self, entry: &FileEntry, path: &Path) -> bool {
        let is_like_it = |metadata: &fs::Metadata| {
            metadata.is_file() && metadata.len() == entry.bytes && (is_program(metadata) || !entry.executable)
        };
        fs::metadata(path).is_ok_and(|metadata| is_like_it(&metadata))
            && self.sources.digest(path).is_ok_and(|digest| digest == entry.digest)
    }

    /// True if the content of `path` equals the part. Reads only files that were touched since they were last read.
    pub fn matches_part(&self, part: &Part, path: &Path) -> bool {
        match part {
            Part::File(entry) => self.matches(entry, path),
            Part::Folder(tree) => {
                tree.files.iter().all(|(name, entry)| self.matches(entry, &at(path, name)))
                    && tree.folders.iter().all(|name| at(path, name).is_dir())
                    && tree.links.iter().all(|(name, target)| is_link_to(&at(path, name), target))
            }
        }
    }

    /// What was written to the file `to` by that name, if a link leads there from `path`.
    fn written_through(&self, path: &Path, to: &Path) -> Option<Written> {
        if to == path { None } else { self.written.at(to) }
    }

    /// The status of the file at `path`, which is no link.
    fn standing(&self, path: &Path, memory: Memory<'_>) -> Result<Standing, StoreError> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {}
            // Writing reports what cannot be replaced.
            _ => return Ok(Standing::Ours),
        }
        let digest = self.sources.digest(path)?;
        Ok(match memory {
            Memory::Written(written) if *written == digest => Standing::Ours,
            // A copy that the user keeps elsewhere is the user's, also if the store has the same bytes.
            Memory::Relinked => Standing::Foreign,
            _ if self.cas.knows(&digest) => Standing::Ours,
            Memory::Written(_) => Standing::Changed,
            Memory::Nothing => Standing::Foreign,
        })
    }
}

/// The path of a published part; the empty name is that of a single file.
fn at(to: &Path, name: &str) -> PathBuf {
    if name.is_empty() { to.to_owned() } else { to.join(name) }
}

/// The refusal to replace the file `to`, at which a write to `path` arrives. Links far above are no news to anybody.
fn foreign(path: &Path, to: &Path) -> StoreError {
    let link = path.ancestors().take(2).find(|path| path.is_symlink());
    StoreError::Foreign { path: to.to_owned(), link: link.map(Path::to_owned) }
}

/// Appends, so that earlier output to the same file stays, such as the target of the shell's redirection.
fn open_stream(path: &Path) -> io::Result<File> {
    File::options().append(true).open(path)
}

/// True if a file cannot be renamed because its new place is on another file system.
fn is_elsewhere(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::CrossesDevices
}
