//! Advice on a path in a spec that leads nowhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use pipeline_spec::nearest;

/// How far above a path is looked for.
const MAX_UP: usize = 3;

/// The most names of a folder that are compared: one of images may have millions.
const MAX_BESIDE: usize = 10_000;

/// Advice on signs that stay as they are.
pub(crate) const NO_SHELL: &str = "no shell reads a spec: `~` and `$HOME` stay as they are; write the absolute path, \
                                   or one relative to the spec";

/// Advice on a missing file: a sign that only a shell expands, or a name in its folder that is near; `None` for others.
pub(crate) fn help(path: &Path) -> Option<String> {
    let is_unexpanded = |part: Component<'_>| part.as_os_str() == "~" || part.as_os_str().as_encoded_bytes()[0] == b'$';
    if path.components().any(is_unexpanded) {
        return Some(NO_SHELL.to_owned());
    }
    // The first folder that is there, and the path below it.
    let there = path.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let below = path.strip_prefix(there).ok()?;
    if let Some(above) = from_above(there, below) {
        return Some(format!("did you mean `{}`? paths are relative to the spec file", above.display()));
    }
    let mut parts = below.components();
    let (first, rest) = (parts.next()?.as_os_str().to_str()?.to_owned(), parts.as_path());
    let beside = std::fs::read_dir(there).ok()?.flatten().take(MAX_BESIDE);
    let names: BTreeSet<String> = beside.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = nearest(&first, names.iter().map(String::as_str))?;
    match rest.as_os_str().is_empty() {
        true => Some(format!("did you mean `{near}`? it is in that folder")),
        false => there
            .join(near)
            .join(rest)
            .exists()
            .then(|| format!("the folder `{}` is not there; did you mean `{near}`?", there.join(first).display())),
    }
}

/// The path in a folder above `folder` that has what is missing below it.
fn from_above(folder: &Path, below: &Path) -> Option<PathBuf> {
    folder.ancestors().skip(1).take(MAX_UP).map(|above| above.join(below)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_a_shell_and_a_near_name_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("MR_valid_queries.jsonl"), "").unwrap();
        let near = help(&folder.path().join("RM_valid_queries.jsonl")).unwrap();
        assert_eq!(near, "did you mean `MR_valid_queries.jsonl`? it is in that folder");
        assert_eq!(help(&folder.path().join("other.tsv")), None);
        std::fs::create_dir_all(folder.path().join("specs/deep")).unwrap();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("data/q.jsonl"), "").unwrap();
        let below = help(&folder.path().join("specs/data/q.jsonl")).unwrap();
        let there = folder.path().join("data/q.jsonl");
        assert_eq!(below, format!("did you mean `{}`? paths are relative to the spec file", there.display()));
        let misspelt = help(&folder.path().join("dta/q.jsonl")).unwrap();
        assert_eq!(
            misspelt,
            format!("the folder `{}` is not there; did you mean `data`?", folder.path().join("dta").display())
        );
        assert_eq!(help(&folder.path().join("dta/other.jsonl")), None);
        for path in ["/specs/~/data/q.jsonl", "/specs/$HOME/q.jsonl"] {
            assert_eq!(help(Path::new(path)).as_deref(), Some(NO_SHELL));
        }
    }
}
