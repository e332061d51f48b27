//! Files and folders of artifacts outside the store: copied there verified, and compared with what is there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use pipeline_core::{Digest, FileEntry, Part, Tree};
use tempfile::TempPath;

use crate::cas::links::{FileState, check_file};
use crate::cas::listing::check_links;
use crate::cas::objects::is_program;
use crate::durable::{make_folder, move_into_place, parent, remove_file, sync_folder};
use crate::error::At;
use crate::outside::destination::Destination;
use crate::outside::written::{Standing, Written};
use crate::{OpenTreeError, Store, StoreError};

/// Something that is to be copied out, and where it arrives.
struct Copy<'a> {
    name: &'a str,
    entry: &'a FileEntry,
    to: Destination,
}

impl Store {
    /// Copies a file or folder of an artifact to a path outside the store. Links at the path are followed, devices and
    /// pipes are written into.
    ///
    /// What this program has put there before is replaced, and of a folder removed where the artifact has it no more;
    /// with `overwrite` also files that it has not written. Returns where copies of files are kept that somebody had
    /// changed since they were written.
    ///
    /// # Errors
    /// When a file is in the way that this program has not written, a link of the artifact leads out of the folder, an
    /// object is missing or damaged (then it is quarantined), or the target cannot be written.
    pub fn publish(&self, part: &Part, to: &Path, overwrite: bool) -> Result<Vec<PathBuf>, OpenTreeError> {
        let of_file;
        let tree = match part {
            Part::Folder(tree) => tree,
            Part::File(entry) => {
                of_file = Tree::of_file("", *entry);
                &of_file
            }
        };
        check_links(tree)?;
        let to = std::path::absolute(to).at("find", to)?;
        let before = self.written(&to).unwrap_or_default();
        let copies = copies(tree, &to)?;
        let kept = self.make_way(&copies, tree, &to, &before, overwrite)?;
        let files = tree.files.iter().map(|(name, entry)| (name.clone(), entry.digest));
        let now = Written::at(&to, files.collect(), tree.links.clone());
        // Before the files: what was written by a process that is killed here is still known to be this program's.
        if now != before {
            self.put_written(&to, &now)?;
        }
        self.remove_former(&before, tree, &to)?;
        copies.iter().try_for_each(|copy| self.carry_out(copy))?;
        for name in &tree.folders {
            make_folder(&at(&to, name))?;
        }
        tree.links.iter().try_for_each(|(name, target)| publish_link(&at(&to, name), target))?;
        Ok(kept)
    }

    /// True if what lies at `path` is exactly this. Reads only files that were touched since they were last read.
    pub fn matches_part(&self, part: &Part, path: &Path) -> bool {
        match part {
            Part::File(entry) => self.matches(entry, path),
            Part::Folder(tree) => {
                tree.files.iter().all(|(name, entry)| self.matches(entry, &at(path, name)))
                    && tree.folders.iter().all(|name| at(path, name).is_dir())
                    && tree.links.iter().all(|(name, target)| leads_to(&at(path, name), target))
            }
        }
    }

    /// Writes a file that somebody asked for on the command line, whole or not at all. Links at the path are followed,
    /// devices and pipes are written into. Returns where a copy is kept of what somebody had changed since it was
    /// written.
    ///
    /// # Errors
    /// When a file is in the way that this program has not written, unless `overwrite` says so, or the file cannot be
    /// written.
    pub fn write_out(&self, path: &Path, content: &[u8], overwrite: bool) -> Result<Option<PathBuf>, StoreError> {
        let path = std::path::absolute(path).at("find", path)?;
        let to = match Destination::of(&path).at("write", &path)? {
            Destination::File(to) => to,
            Destination::Stream(to) => {
                let written = open_stream(&to).and_then(|mut stream| stream.write_all(content));
                return written.map(|()| None).at("write", &to);
            }
        };
        let before = self.written(&path);
        let recorded = before.as_ref().and_then(|written| written.files.get(""));
        let kept = match self.standing(&to, recorded)? {
            Standing::Foreign if !overwrite => return Err(StoreError::Foreign { path: to }),
            Standing::Changed => self.keep_aside(&to).map(Some)?,
            Standing::Ours | Standing::Foreign => None,
        };
        make_folder(parent(&to))?;
        let scratch = new_file_for(&to, parent(&to), false)?;
        fs::write(&scratch, content).at("write", &to)?;
        let files = BTreeMap::from([(String::new(), Digest::of(content))]);
        self.put_written(&path, &Written::at(&path, files, BTreeMap::new()))?;
        move_into_place(&scratch, &to)?;
        // It has its place: nothing is left to remove.
        let _ = scratch.keep();
        Ok(kept)
    }

    /// Refuses what would replace somebody else's files, before anything is written, and keeps copies of those that
    /// somebody has changed.
    fn make_way(
        &self,
        copies: &[Copy<'_>],
        tree: &Tree,
        to: &Path,
        before: &Written,
        overwrite: bool,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let mut changed = Vec::new();
        for Copy { name, entry, to } in copies {
            let Destination::File(path) = to else { continue };
            if self.matches(entry, path) {
                continue;
            }
            match self.standing(path, before.files.get(*name))? {
                Standing::Foreign if !overwrite => return Err(StoreError::Foreign { path: path.clone() }),
                Standing::Changed => changed.push(path),
                Standing::Ours | Standing::Foreign => {}
            }
        }
        let is_foreign = |(name, target): &(&String, &String)| {
            let path = at(to, name);
            let is_ours = before.links.get(*name).is_some_and(|former| leads_to(&path, former));
            fs::symlink_metadata(&path).is_ok() && !is_ours && !leads_to(&path, target)
        };
        match tree.links.iter().find(is_foreign) {
            Some((name, _)) if !overwrite => Err(StoreError::Foreign { path: at(to, name) }),
            _ => changed.into_iter().map(|path| self.keep_aside(path)).collect(),
        }
    }

    /// Removes what this program has written at the path and the artifact has no more, unless somebody has changed it.
    fn remove_former(&self, before: &Written, tree: &Tree, to: &Path) -> Result<(), StoreError> {
        for (name, digest) in before.files.iter().filter(|(name, _)| !tree.files.contains_key(*name)) {
            let path = at(to, name);
            let is_plain = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
            if is_plain && self.source_digest(&path)? == *digest {
                remove_file(&path)?;
                remove_empty_folders(&path, to);
            }
        }
        for (name, target) in before.links.iter().filter(|(name, _)| !tree.links.contains_key(*name)) {
            let path = at(to, name);
            if leads_to(&path, target) {
                remove_file(&path)?;
                remove_empty_folders(&path, to);
            }
        }
        Ok(())
    }

    fn carry_out(&self, copy: &Copy<'_>) -> Result<(), OpenTreeError> {
        match &copy.to {
            Destination::File(to) if self.matches(copy.entry, to) => Ok(()),
            Destination::File(to) => self.copy_out(copy.entry, to),
            Destination::Stream(to) => self.stream_out(copy.entry, to),
        }
    }

    /// Copies a file of an artifact to a path outside the store, in place of what is there.
    ///
    /// Readers of the path see the old file or the new one, whole and verified.
    ///
    /// # Errors
    /// When the object is missing or damaged (then it is quarantined), or the target cannot be written.
    pub fn copy_out(&self, entry: &FileEntry, to: &Path) -> Result<(), OpenTreeError> {
        let to = std::path::absolute(to).at("find", to)?;
        make_folder(parent(&to))?;
        // A killed process's copy is swept from its scratch folder; beside the target it would stay for ever.
        let scratch = new_file_for(&to, parent(&self.session()?.new_path()), entry.executable)?;
        match self.copy_and_move(entry, scratch, &to) {
            Err(OpenTreeError::Store(StoreError::Io { source, .. })) if is_elsewhere(&source) => {
                self.copy_and_move(entry, new_file_for(&to, parent(&to), entry.executable)?, &to)?;
            }
            moved => moved?,
        }
        Ok(sync_folder(parent(&to))?)
    }

    /// Copies an object to `scratch`, an empty file, and moves the copy to `to` if it is intact.
    fn copy_and_move(&self, entry: &FileEntry, scratch: TempPath, to: &Path) -> Result<(), OpenTreeError> {
        let files = vec![to.display().to_string()];
        let object = self.layout().object(&entry.digest);
        match copy(&object, &scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenTreeError::Missing { files }),
            copied => copied.at("write", &scratch)?,
        }
        // The copy is checked and not the object: it is what will be read.
        if check_file(&scratch, entry)? != FileState::Intact {
            self.quarantine(&object)?;
            return Err(OpenTreeError::Corrupt { files });
        }
        move_into_place(&scratch, to)?;
        // It has its place: nothing is left to remove.
        let _ = scratch.keep();
        Ok(())
    }

    /// Writes a file of an artifact into a device or a pipe.
    fn stream_out(&self, entry: &FileEntry, to: &Path) -> Result<(), OpenTreeError> {
        let files = vec![to.display().to_string()];
        let object = self.layout().object(&entry.digest);
        match check_file(&object, entry)? {
            FileState::Intact => {}
            FileState::Missing => return Err(OpenTreeError::Missing { files }),
            FileState::Corrupt => {
                self.quarantine(&object)?;
                return Err(OpenTreeError::Corrupt { files });
            }
        }
        let mut from = pipeline_files::open(&object).at("read", &object)?;
        open_stream(to).and_then(|mut stream| io::copy(&mut from, &mut stream)).at("write", to)?;
        Ok(())
    }

    /// True if the file at `path` is exactly this one. Reads it only if it was touched since it was last read.
    pub fn matches(&self, entry: &FileEntry, path: &Path) -> bool {
        let is_like_it = |metadata: &fs::Metadata| {
            metadata.is_file() && metadata.len() == entry.bytes && (is_program(metadata) || !entry.executable)
        };
        fs::metadata(path).is_ok_and(|metadata| is_like_it(&metadata))
            && self.source_digest(path).is_ok_and(|digest| digest == entry.digest)
    }
}

fn copies<'a>(tree: &'a Tree, to: &Path) -> Result<Vec<Copy<'a>>, StoreError> {
    let copy = |(name, entry): (&'a String, &'a FileEntry)| {
        let path = at(to, name);
        Ok(Copy { name: name.as_str(), entry, to: Destination::of(&path).at("write", &path)? })
    };
    tree.files.iter().map(copy).collect()
}

/// The path of a part of what is published; the empty name is that of a file that is published by itself.
fn at(to: &Path, name: &str) -> PathBuf {
    if name.is_empty() { to.to_owned() } else { to.join(name) }
}

fn leads_to(link: &Path, target: &str) -> bool {
    fs::read_link(link).is_ok_and(|found| found == Path::new(target))
}

fn publish_link(link: &Path, target: &str) -> Result<(), StoreError> {
    if leads_to(link, target) {
        return Ok(());
    }
    make_folder(parent(link))?;
    if fs::symlink_metadata(link).is_ok() {
        remove_file(link)?;
    }
    std::os::unix::fs::symlink(target, link).at("create", link)
}

/// Removes the folders above `path` that hold nothing any more, up to `to` itself.
fn remove_empty_folders(path: &Path, to: &Path) {
    for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(to)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Appending, so that what was written to the same file before stays, such as what the shell has led to `/dev/stdout`.
fn open_stream(path: &Path) -> io::Result<File> {
    File::options().append(true).open(path)
}

/// True if a file cannot be renamed because its new place is on another file system.
fn is_elsewhere(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::CrossesDevices
}

/// An empty file in `folder` that is to become `to`, with the permissions that any new file or program gets; removed
/// when dropped.
fn new_file_for(to: &Path, folder: &Path, executable: bool) -> Result<TempPath, StoreError> {
    let mode = if executable { 0o777 } else { 0o666 };
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    let scratch =
        tempfile::Builder::new().prefix(".pipeline-").permissions(permissions).tempfile_in(folder).at("write", to)?;
    Ok(scratch.into_temp_path())
}

fn copy(object: &Path, scratch: &Path) -> io::Result<()> {
    let mut to = File::options().write(true).open(scratch)?;
    io::copy(&mut pipeline_files::open(object)?, &mut to)?;
    to.sync_all()
}
