//! Publishing: a file or folder of an artifact copied to a path outside the store, in place of what was there.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use pipeline_core::{FileEntry, Part, Tree};

use super::destination::{Destination, real_path, with_real_folder};
use super::written::{Memory, Written};
use super::{Outside, Standing, at, foreign};
use crate::cas::check_links;
use crate::durable::{make_folder, parent, remove_file};
use crate::error::At;
use crate::folders::is_link_to;
use crate::layout::absolute;
use crate::{OpenTreeError, StoreError};

/// A file or link to be copied out, and its destination.
struct Copy<'a> {
    name: &'a str,
    entry: &'a FileEntry,
    to: Destination,
}

impl Outside {
    /// Copies a file or folder of an artifact to a path outside the store. Follows links at the path, and writes into
    /// devices and pipes.
    ///
    /// Replaces files that this program has put there before, and removes those that the artifact no longer has. With
    /// `overwrite`, also replaces files of other programs. Returns the paths of copies of files that were changed since
    /// they were written.
    ///
    /// # Errors
    /// When the path holds a file that this program did not write, a link of the artifact leads out of the folder, an
    /// object is missing or damaged (then it is quarantined), or the target cannot be written.
    pub fn publish(&self, part: &Part, to: &Path, overwrite: bool) -> Result<Vec<PathBuf>, OpenTreeError> {
        let tree = &*as_tree(part);
        check_links(tree)?;
        let to = absolute(to)?;
        let before = self.written.at(&to).unwrap_or_default();
        let copies = copies(tree, &to)?;
        let changed = self.check_way(&copies, tree, &to, &before, overwrite)?;
        let kept = changed.into_iter().map(|path| self.quarantine.keep_copy(path)).collect::<Result<_, _>>()?;
        let mut now = Written::at(&to, &real_path(&to));
        now.links.clone_from(&tree.links);
        copies.iter().for_each(|copy| now.add(copy.name, copy.entry.digest, copy.to.file()));
        // Before the files, so that the files of a killed process are still known as this program's.
        if now != before {
            self.written.put(&to, &now)?;
        }
        self.remove_left_over(&before, tree, &to)?;
        copies.iter().try_for_each(|copy| self.carry_out(copy))?;
        for name in &tree.folders {
            make_folder(&at(&to, name))?;
        }
        tree.links.iter().try_for_each(|(name, target)| publish_link(&at(&to, name), target))?;
        Ok(kept)
    }

    /// Refuses, before anything is computed, to publish where a file of another program lies. The part of a stage that
    /// has yet to run is unknown: then a file is returned that may stay only if the part turns out to be the same.
    ///
    /// # Errors
    /// When a file of another program would certainly be in the way.
    pub fn check_publishable(&self, part: Option<&Part>, to: &Path) -> Result<Option<PathBuf>, StoreError> {
        let to = absolute(to)?;
        let before = self.written.at(&to).unwrap_or_default();
        if let Some(part) = part {
            let tree = &*as_tree(part);
            return self.check_way(&copies(tree, &to)?, tree, &to, &before, false).map(|_| None);
        }
        let mut names: Vec<&str> = before.files.keys().map(String::as_str).collect();
        if names.is_empty() {
            names.push("");
        }
        for name in names {
            let path = at(&to, name);
            let Destination::File(real) = Destination::of(&path).at("write", &path)? else { continue };
            let memory = before.memory(name, &path, &real);
            let may_be_foreign = matches!(memory, Memory::Relinked | Memory::Nothing);
            if may_be_foreign && self.standing(&real, memory)? == Standing::Foreign {
                // The part may turn out to be what is there.
                let is_open = memory == Memory::Nothing || before.files.get(name) == Some(&self.sources.digest(&real)?);
                return if is_open { Ok(Some(real)) } else { Err(foreign(&path, &real)) };
            }
        }
        Ok(None)
    }

    /// Refuses to replace files of other programs. Returns the files that were changed since they were written.
    fn check_way<'a>(
        &self,
        copies: &'a [Copy<'_>],
        tree: &Tree,
        to: &Path,
        before: &Written,
        overwrite: bool,
    ) -> Result<Vec<&'a Path>, StoreError> {
        let mut changed = Vec::new();
        for Copy { name, entry, to: destination } in copies {
            let Destination::File(path) = destination else { continue };
            if self.matches(entry, path) {
                continue;
            }
            match self.standing(path, before.memory(name, &at(to, name), path))? {
                Standing::Foreign if !overwrite => return Err(foreign(&at(to, name), path)),
                Standing::Changed => changed.push(path.as_path()),
                Standing::Ours | Standing::Foreign => {}
            }
        }
        let is_foreign = |(name, target): &(&String, &String)| {
            let path = at(to, name);
            let is_ours = before.links.get(*name).is_some_and(|target| is_link_to(&path, target))
                && before.is_in_place(name, parent(&path), &with_real_folder(&path));
            fs::symlink_metadata(&path).is_ok() && !is_ours && !is_link_to(&path, target)
        };
        match tree.links.iter().find(is_foreign) {
            Some((name, _)) if !overwrite => Err(foreign(&at(to, name), &at(to, name))),
            _ => Ok(changed),
        }
    }

    /// Removes files that this program wrote at the path and that the artifact no longer has, unless they were changed
    /// since.
    fn remove_left_over(&self, before: &Written, tree: &Tree, to: &Path) -> Result<(), StoreError> {
        for (name, digest) in before.files.iter().filter(|(name, _)| !tree.files.contains_key(*name)) {
            let path = at(to, name);
            let is_plain = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
            let is_ours = is_plain && before.is_in_place(name, &path, &with_real_folder(&path));
            if is_ours && self.sources.digest(&path)? == *digest {
                remove_file(&path)?;
                remove_empty_folders(&path, to);
            }
        }
        for (name, target) in before.links.iter().filter(|(name, _)| !tree.links.contains_key(*name)) {
            let path = at(to, name);
            if is_link_to(&path, target) && before.is_in_place(name, parent(&path), &with_real_folder(&path)) {
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
}

/// The files of a part; the empty name is that of a single file.
fn as_tree(part: &Part) -> Cow<'_, Tree> {
    match part {
        Part::Folder(tree) => Cow::Borrowed(tree),
        Part::File(entry) => Cow::Owned(Tree::of_file("", *entry)),
    }
}

fn copies<'a>(tree: &'a Tree, to: &Path) -> Result<Vec<Copy<'a>>, StoreError> {
    let copy = |(name, entry): (&'a String, &'a FileEntry)| {
        let path = at(to, name);
        Ok(Copy { name: name.as_str(), entry, to: Destination::of(&path).at("write", &path)? })
    };
    tree.files.iter().map(copy).collect()
}

fn publish_link(link: &Path, target: &str) -> Result<(), StoreError> {
    if is_link_to(link, target) {
        return Ok(());
    }
    make_folder(parent(link))?;
    if fs::symlink_metadata(link).is_ok() {
        remove_file(link)?;
    }
    std::os::unix::fs::symlink(target, link).at("create", link)
}

/// Removes the empty folders above `path`, up to `to` itself.
fn remove_empty_folders(path: &Path, to: &Path) {
    for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(to)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}
