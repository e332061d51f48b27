//! Finds the specs around a spec that the user may mean, for advice.

use std::path::{Component, Path, PathBuf};

use crate::nearest;
use crate::path::is_yaml;

/// The most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 1000;

/// The longest file that is read to see its stages, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The path from `folder` to the spec that `written` may mean: one of the same name beside it, above it or below it,
/// else the nearest name beside it.
pub(crate) fn named(written: &str, folder: &Path) -> Option<String> {
    let wanted = Path::new(written);
    let name = wanted.file_name()?.to_str()?;
    let around = around(folder);
    let same = |path: &&PathBuf| path.file_name() == wanted.file_name() || path.file_stem() == Some(name.as_ref());
    let same_stem = |path: &&PathBuf| path.file_stem() == wanted.file_stem();
    let found = around.iter().find(same).or_else(|| around.iter().find(same_stem)).cloned().or_else(|| {
        let names: Vec<String> = around.iter().map(|path| name_of(path)).collect();
        let near = nearest(name, names.iter().map(String::as_str))?;
        names.iter().position(|name| name == near).map(|idx| around[idx].clone())
    });
    found.map(|path| path_from(folder, &path))
}

/// The path from the folder of the spec in `file` to one beside or above it that has all these stages with a kind.
pub(crate) fn with_stages(file: &Path, stages: &[&str]) -> Option<String> {
    let folder = file.parent()?;
    let others = around(folder).into_iter().filter(|path| path != file);
    let has_all = |path: &PathBuf| {
        let text = pipeline_files::read_at_most(path, MAX_BYTES).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(text) = text.filter(|text| text.contains("kind:")) else { return false };
        let has = |stage: &&str| text.lines().any(|line| line.trim_start().starts_with(&format!("{stage}:")));
        text.lines().any(|line| line.starts_with("stages:")) && stages.iter().all(has)
    };
    others.into_iter().find(has_all).map(|path| path_from(folder, &path))
}

/// The YAML files beside, above and below a folder, the nearest first.
fn around(folder: &Path) -> Vec<PathBuf> {
    let above = folder.ancestors().take(3).flat_map(specs_in);
    above.chain(folders_in(folder).iter().flat_map(|folder| specs_in(folder))).collect()
}

fn specs_in(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| is_yaml(path)).collect()
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir() && !name_of(path).starts_with('.')).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The path from a folder to a file, both absolute.
fn path_from(folder: &Path, file: &Path) -> String {
    let n_common = folder.components().zip(file.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(n_common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(n_common)).collect::<PathBuf>().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_found_beside_above_and_below() {
        let top = tempfile::tempdir().unwrap();
        let specs = top.path().join("specs");
        std::fs::create_dir_all(specs.join("more")).unwrap();
        for (name, text) in
            [("shop.yaml", "stages:\n  heads:\n    kind: x\n"), ("more/grid.yaml", "extends: ../shop.yaml\n")]
        {
            std::fs::write(specs.join(name), text).unwrap();
        }
        for (written, found) in [
            ("shop", Some("shop.yaml")),
            ("shop.yml", Some("shop.yaml")),
            ("shp.yaml", Some("shop.yaml")),
            ("../shop.yaml", Some("shop.yaml")),
            ("specs/shop.yaml", Some("shop.yaml")),
            ("grid", Some("more/grid.yaml")),
            ("other.yaml", None),
        ] {
            assert_eq!(named(written, &specs).as_deref(), found, "{written}");
        }
        assert_eq!(named("shop", &specs.join("more")).as_deref(), Some("../shop.yaml"));
        assert_eq!(with_stages(&specs.join("more/own.yaml"), &["heads"]).as_deref(), Some("../shop.yaml"));
        assert_eq!(with_stages(&specs.join("own.yaml"), &["heads", "other"]), None);
    }
}
