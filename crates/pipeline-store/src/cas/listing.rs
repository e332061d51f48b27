//! What lies below a folder that is to become an artifact: files, empty folders and links, or a refusal by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileType};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use pipeline_core::{FileEntry, Tree};

use crate::StoreError;
use crate::durable::list_folder;
use crate::error::At;

/// What its owner must be allowed in a folder so that what it holds can be moved out.
const OWNER_MAY: u32 = 0o700;

/// What lies below a folder, by name.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<String>,
    folders: BTreeSet<String>,
    links: BTreeMap<String, String>,
}

impl Listing {
    /// Lists what lies below `folder`. Folders whose owner may not write there are opened for it.
    pub(crate) fn of(folder: &Path) -> Result<Self, StoreError> {
        let mut listing = Self::default();
        listing.add(folder, folder, "")?;
        Ok(listing)
    }

    /// Adds what lies in a folder below `root`, each name after `prefix`.
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

    /// The tree of these files, of which `entries` are known.
    pub(crate) fn into_tree(self, entries: Vec<FileEntry>) -> Tree {
        let Self { files, folders, links } = self;
        Tree { files: files.into_iter().zip(entries).collect(), folders, links }
    }
}

/// Refuses a tree with a link that leads nowhere, or out of it.
pub(crate) fn check_links(tree: &Tree) -> Result<(), StoreError> {
    match tree.links.iter().find(|(name, _)| tree.resolve(name).is_none()) {
        Some((name, target)) => Err(StoreError::Link { name: name.clone(), target: target.clone() }),
        None => Ok(()),
    }
}

/// The target of the link `name` below `root`: a program that names the folder it runs in means what lies beside.
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

/// Lets the owner write into a folder, such as those of Go's module cache.
fn open_for_owner(folder: &Path) -> Result<(), StoreError> {
    let mut permissions = fs::symlink_metadata(folder).at("read", folder)?.permissions();
    if permissions.mode() & OWNER_MAY == OWNER_MAY {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() | OWNER_MAY);
    fs::set_permissions(folder, permissions).at("protect", folder)
}

/// The paths of all files below a folder, whatever else lies there.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for entry in list_folder(folder)? {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())?),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    Ok(files)
}

/// Removes a folder with all that it holds, also what lies in folders that nobody may write to.
pub(crate) fn remove_folder(folder: &Path) -> std::io::Result<()> {
    if fs::remove_dir_all(folder).is_ok() {
        return Ok(());
    }
    let _ = open_all_for_owner(folder);
    fs::remove_dir_all(folder)
}

fn open_all_for_owner(folder: &Path) -> Result<(), StoreError> {
    open_for_owner(folder)?;
    for entry in list_folder(folder)? {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_all_for_owner(&entry.path())?;
        }
    }
    Ok(())
}
