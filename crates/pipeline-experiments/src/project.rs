//! The project around a folder: its root, its one store and its specs.
//!
//! The root is the nearest folder with a `pipeline.toml`, which may be empty, or with a `.git`.

use std::collections::VecDeque;
use std::fs;
use std::path::{Component, Path, PathBuf};

use pipeline_spec::is_yaml;
use pipeline_store::Store;

use crate::locate::{self, LocateError};

/// The name of a store's folder.
const ARTIFACTS: &str = "artifacts";

/// The folder of specs in a project.
pub(crate) const PIPELINES: &str = "pipelines";

/// The most entries of a folder that are looked at: a folder of specs has fewer, one of images may have millions.
const MAX_ENTRIES: usize = 10_000;

/// The longest file that may be a listed spec: those of people are a thousandth of it.
const MAX_SPEC_BYTES: u64 = 4 << 20;

/// A spec of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSpec {
    /// Its file.
    pub file: PathBuf,
    /// The first line of its first comment, else the spec that it extends; may be empty.
    pub about: String,
    /// Whether it extends another spec.
    pub is_overlay: bool,
}

/// The root of the project that holds `folder`; `None` outside of any project.
pub fn root(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| is_root(folder))
}

fn is_root(folder: &Path) -> bool {
    folder.join("pipeline.toml").is_file() || folder.join(".git").exists()
}

/// The folder of a spec's store: the one that is there, else `artifacts` in the project's root or beside the spec.
pub(crate) fn store_of_spec(spec_file: &Path) -> PathBuf {
    let folder = spec_file.parent().unwrap_or(Path::new("."));
    existing_store(folder).unwrap_or_else(|| root(folder).unwrap_or(folder).join(ARTIFACTS))
}

/// The folder of the store without a spec.
///
/// # Errors
/// When there is none, or when the project has several and none is at or above `here`.
pub(crate) fn store_above(here: &Path) -> Result<PathBuf, LocateError> {
    existing_store(here).ok_or_else(|| match root(here).map(stores) {
        Some(stores) if !stores.is_empty() => LocateError::SeveralStores { stores },
        _ => LocateError::NoStore { here: here.to_owned() },
    })
}

/// The nearest folder `artifacts` at or above `folder` in its project, else the only store of the project, else the
/// nearest store above the project.
fn existing_store(folder: &Path) -> Option<PathBuf> {
    let root = root(folder);
    let is_inside = |folder: &&Path| root.is_none_or(|root| folder.starts_with(root));
    let at = |folder: &Path| folder.join(ARTIFACTS);
    let nearest = folder.ancestors().take_while(is_inside).map(at).find(|artifacts| artifacts.is_dir());
    let only = || match stores(root?).as_slice() {
        [store] => Some(store.clone()),
        _ => None,
    };
    // Above the root a folder of that name may be anything: only results make it a store.
    let above = || root?.ancestors().skip(1).map(at).find(|artifacts| Store::is_at(artifacts));
    nearest.or_else(only).or_else(above)
}

/// The stores of the project at `root`: folders `artifacts` with results, in the folders where specs are looked for.
pub fn stores(root: &Path) -> Vec<PathBuf> {
    let folders = folders(root).into_iter().map(|folder| folder.join(ARTIFACTS));
    folders.filter(|artifacts| Store::is_at(artifacts)).collect()
}

/// The stores of the folders in `here`, whichever project they belong to.
pub(crate) fn stores_below(here: &Path) -> Vec<PathBuf> {
    let folders = shown(here).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut stores: Vec<PathBuf> = folders.map(|entry| entry.path().join(ARTIFACTS)).collect();
    stores.sort();
    stores.retain(|artifacts| Store::is_at(artifacts));
    stores
}

/// The specs in folders below the nearest `pipelines/` at or above `here` whose paths end with `name`, with or without
/// their ending, and that `pipelines/`; `None` where there are none, or too many entries to look at.
pub(crate) fn below_pipelines(name: &Path, here: &Path) -> Option<(PathBuf, Vec<PathBuf>)> {
    here.ancestors().map(|folder| folder.join(PIPELINES)).filter(|pipelines| pipelines.is_dir()).find_map(|pipelines| {
        let found = find_below(&pipelines, name)?;
        (!found.is_empty()).then_some((pipelines, found))
    })
}

/// The specs whose paths end with `name` in the folders below `folder`, nearest first; stores are left out. `None`
/// where the folders have more entries than are looked at: whether a name is the only one is unknown then.
fn find_below(folder: &Path, name: &Path) -> Option<Vec<PathBuf>> {
    let mut folders = VecDeque::from(inner_folders(folder));
    let (mut found, mut n_left) = (Vec::new(), MAX_ENTRIES);
    while let Some(folder) = folders.pop_front() {
        if Store::is_at(&folder) {
            continue;
        }
        for file in entries(&folder) {
            n_left = n_left.checked_sub(1)?;
            let has_name = is_yaml(&file) && (file.ends_with(name) || file.with_extension("").ends_with(name));
            if has_name && listed(file.clone()).is_some() {
                found.push(file);
            }
        }
        folders.extend(inner_folders(&folder));
    }
    Some(found)
}

/// The specs of the project around `here`, or of `here` and the folders in it: those in `pipelines/` first.
pub fn specs(here: &Path) -> Vec<ListedSpec> {
    let mut folders = folders(root(here).unwrap_or(here));
    if !folders.iter().any(|folder| folder == here) {
        folders.push(here.to_owned());
    }
    folders.iter().flat_map(|folder| entries(folder)).filter(|path| is_yaml(path)).filter_map(listed).collect()
}

/// The shortest name by which a command in the folder `here` finds the spec in `file`.
pub fn name_from(here: &Path, file: &Path) -> String {
    let bare = file.file_stem().map(PathBuf::from).unwrap_or_default();
    let is_found = locate::spec(&bare, here).is_ok_and(|found| here.join(found) == file);
    let name = if is_found { bare } else { relative(here, file) };
    name.to_string_lossy().into_owned()
}

/// The path from the folder `from` to `to`, both absolute.
pub fn relative(from: &Path, to: &Path) -> PathBuf {
    let n_common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(n_common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(n_common)).collect()
}

/// The folders with a project's specs: `pipelines` and the folders in it, the root and the folders in it.
///
/// Hidden folders, links and other projects inside this one are left out.
fn folders(root: &Path) -> Vec<PathBuf> {
    let pipelines = root.join(PIPELINES);
    let below_pipelines = inner_folders(&pipelines);
    let mut folders = vec![pipelines.clone(), root.to_owned()];
    folders.extend(below_pipelines);
    folders.extend(inner_folders(root).into_iter().filter(|folder| *folder != pipelines));
    folders
}

fn inner_folders(folder: &Path) -> Vec<PathBuf> {
    let folders = shown(folder).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut paths: Vec<PathBuf> = folders.map(|entry| entry.path()).filter(|path| !is_root(path)).collect();
    paths.sort();
    paths
}

/// The entries of a folder that are not hidden, in the order of their names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = shown(folder).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn shown(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES);
    entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
}

/// The file as a spec; `None` for other YAML: a spec extends another, or has stages with a kind.
fn listed(file: PathBuf) -> Option<ListedSpec> {
    let text = String::from_utf8(pipeline_files::read_at_most(&file, MAX_SPEC_BYTES).ok()?).ok()?;
    let base = text.lines().find_map(|line| line.strip_prefix("extends:")).map(str::trim);
    let has_stages = text.lines().any(|line| line.starts_with("stages:")) && text.contains("kind:");
    if base.is_none() && !has_stages {
        return None;
    }
    let comment = text.lines().next().and_then(|line| line.strip_prefix('#')).map(|line| line.trim().to_owned());
    let about = comment.or_else(|| base.map(|base| format!("extends {base}"))).unwrap_or_default();
    Some(ListedSpec { file, about, is_overlay: base.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(folder: &Path, files: &[&str]) {
        for file in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    /// The store of the spec `specs/x.yaml` in `project`, below `top`, after these files were made in `top`.
    fn store_after(files: &[&str]) -> String {
        let top = tempfile::tempdir().unwrap();
        make(top.path(), files);
        let store = store_of_spec(&top.path().join("project/specs/x.yaml"));
        store.strip_prefix(top.path()).unwrap().to_string_lossy().into_owned()
    }

    #[test]
    fn an_existing_store_is_used_before_a_new_one_is_made() {
        for (files, store) in [
            (&[][..], "project/specs/artifacts"),
            (&["project/.git/HEAD"], "project/artifacts"),
            (&["project/pipeline.toml"], "project/artifacts"),
            (&["project/.git/HEAD", "project/specs/pipeline.toml"], "project/specs/artifacts"),
            (&["project/pipeline.toml", "project/specs/artifacts/store-v1/x"], "project/specs/artifacts"),
            (&["project/pipeline.toml", "project/other/artifacts/store-v1/x"], "project/other/artifacts"),
            (
                &["project/.git/HEAD", "project/a/artifacts/store-v1/x", "project/b/artifacts/store-v1/x"],
                "project/artifacts",
            ),
            // A store inside another project is that project's.
            (
                &["project/.git/HEAD", "project/clone/.git/HEAD", "project/clone/artifacts/store-v1/x"],
                "project/artifacts",
            ),
            // What only has the name may be anything.
            (&["project/.git/HEAD", "artifacts/something"], "project/artifacts"),
            (&["project/.git/HEAD", "artifacts/store-v1/x"], "artifacts"),
            (&["artifacts/something"], "artifacts"),
        ] {
            assert_eq!(store_after(files), store, "{files:?}");
        }
    }

    #[test]
    fn without_a_spec_one_of_several_stores_must_be_named() {
        let top = tempfile::tempdir().unwrap();
        make(top.path(), &["pipeline.toml", "a/x.yaml"]);
        assert!(matches!(store_above(top.path()), Err(LocateError::NoStore { .. })));
        make(top.path(), &["a/artifacts/store-v1/x"]);
        assert_eq!(store_above(top.path()).unwrap(), top.path().join("a/artifacts"));
        make(top.path(), &["b/artifacts/store-v1/x"]);
        let stores = [top.path().join("a/artifacts"), top.path().join("b/artifacts")];
        match store_above(top.path()) {
            Err(LocateError::SeveralStores { stores: found }) => assert_eq!(found, stores),
            other => panic!("{other:?}"),
        }
        assert_eq!(store_above(&top.path().join("a")).unwrap(), stores[0]);
    }

    #[test]
    fn runs_in_a_store_below_pipelines_are_no_specs() {
        let top = tempfile::tempdir().unwrap();
        make(top.path(), &["pipelines/artifacts/store-v1/x"]);
        let spec = "stages:\n  a: { kind: command }\n";
        for file in ["pipelines/artifacts/runs/1/spec.yaml", "pipelines/more/spec.yaml"] {
            let path = top.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, spec).unwrap();
        }
        let (_, found) = below_pipelines(Path::new("spec"), top.path()).unwrap();
        assert_eq!(found, [top.path().join("pipelines/more/spec.yaml")]);
    }

    #[test]
    fn a_path_leads_from_one_folder_to_another_file() {
        for (from, to, path) in [("/a/b", "/a/c/d", "../c/d"), ("/a", "/a/b", "b"), ("/a/b", "/c", "../../c")] {
            assert_eq!(relative(from.as_ref(), to.as_ref()), Path::new(path));
        }
    }
}
