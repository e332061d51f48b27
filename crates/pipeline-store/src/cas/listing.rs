//! Lists a folder that becomes an artifact: files, empty folders and links. Refuses anything else by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use pipeline_core::{FileEntry, Tree};

use super::sub_trees::is_folder_of_its_own;
use crate::StoreError;
use crate::durable::list_folder;
use crate::error::At;
use crate::folders::open_for_owner;

/// The content of a folder, by name.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: Vec<String>,
    folders: BTreeSet<String>,
    links: BTreeMap<String, String>,
}

impl Listing {
    /// Lists everything below `folder`. Folders that their owner may not write are opened for it.
    pub(super) fn of(folder: &Path) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        listing.add(folder, folder, "")?;
        Ok(listing)
    }

    /// Adds the content of a folder below `root`, with `prefix` before each name.
    fn add(&mut self, root: &Path, folder: &Path, prefix: &str) -> Result<(), StoreError> {
        open_for_owner(folder)?;
        let entries = list_folder(folder)?;
        if entries.is_empty() && !prefix.is_empty() {
            self.folders.insert(prefix.trim_end_matches('/').to_owned());
        }
        for entry in entries {
            let path = entry.path();
            let shown = |name: &str| Path::new(&format!("{prefix}{name}")).to_owned();
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| StoreError::Name { path: shown(&name.to_string_lossy()) })?;
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().at("read", &path)?;
            if kind.is_dir() {
                self.add(root, &path, &format!("{name}/"))?;
            } else if kind.is_file() {
                self.files.push(name);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).at("read", &path)?;
                let target = relative(root, &name, &target);
                let target = target.into_os_string().into_string().map_err(|target| StoreError::Link {
                    name: name.clone(),
                    target: target.to_string_lossy().into_owned(),
                })?;
                self.links.insert(name, target);
            } else {
                return Err(StoreError::SpecialFile { name, what: describe(kind) });
            }
        }
        Ok(())
    }

    /// The tree of these files; `entries` are those of the files.
    pub(super) fn into_tree(self, entries: Vec<FileEntry>) -> Tree {
        let Self { files, folders, links } = self;
        Tree { files: files.into_iter().zip(entries).collect(), folders, links, ..Tree::default() }
    }
}

/// Refuses a tree with a link that leads nowhere, or outside.
pub(crate) fn check_links(tree: &Tree) -> Result<(), StoreError> {
    match tree.links.iter().find(|(name, _)| tree.resolve(name).is_none()) {
        Some((name, target)) => Err(StoreError::Link { name: name.clone(), target: target.clone() }),
        None => Ok(()),
    }
}

/// The target of the link `name` relative to its folder: an absolute target below `root` means the file in the tree.
fn relative(root: &Path, name: &str, target: &Path) -> PathBuf {
    let real = root.canonicalize().ok();
    let inside = target.strip_prefix(root).ok().or_else(|| target.strip_prefix(real?).ok());
    let Some(inside) = inside else { return target.to_owned() };
    let mut path: PathBuf = name.matches('/').map(|_| "..").collect();
    path.push(inside);
    if path.as_os_str().is_empty() { ".".into() } else { path }
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// Checks that every name stays inside the folder that it is joined to, and that links lead to something in the tree.
pub(crate) fn check_tree(tree: &Tree) -> Result<(), StoreError> {
    // A file below a link would be written where the link leads.
    let is_behind_link = |name: &str| name.match_indices('/').any(|(end, _)| tree.links.contains_key(&name[..end]));
    if let Some(folder) = tree.trees.keys().find(|folder| !is_folder_of_its_own(tree, folder)) {
        return Err(StoreError::Name { path: folder.into() });
    }
    let mut names = tree.files.keys().chain(&tree.folders).chain(tree.links.keys());
    match names.find(|name| !stays_inside(name) || (!tree.links.is_empty() && is_behind_link(name))) {
        Some(name) => Err(StoreError::Name { path: name.into() }),
        None => check_links(tree),
    }
}

/// True if a name stays inside the folder that it is joined to.
pub(crate) fn stays_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}
