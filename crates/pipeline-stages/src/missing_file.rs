//! Advice on a path in a spec that leads nowhere.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use pipeline_spec::nearest;

/// The most names of a folder that are compared: one of images may have millions.
const MAX_BESIDE: usize = 10_000;

/// Advice on signs that stay as they are.
pub(crate) const NO_SHELL: &str = "no shell reads a spec: `~` and `$HOME` stay as they are; write the absolute path, or \
                                   one relative to the spec";

/// Advice on a missing file: a sign that only a shell expands, or a name in its folder that is near; `None` for others.
pub(crate) fn help(path: &Path) -> Option<String> {
    let is_unexpanded = |part: Component<'_>| part.as_os_str() == "~" || part.as_os_str().as_encoded_bytes()[0] == b'$';
    if path.components().any(is_unexpanded) {
        return Some(NO_SHELL.to_owned());
    }
    let beside = std::fs::read_dir(path.parent()?).ok()?.flatten().take(MAX_BESIDE);
    let names: BTreeSet<String> = beside.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{near}`? it is in that folder"))
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
        assert_eq!(help(&folder.path().join("missing/MR_valid_queries.jsonl")), None);
        for path in ["/specs/~/data/q.jsonl", "/specs/$HOME/q.jsonl"] {
            assert_eq!(help(Path::new(path)).as_deref(), Some(NO_SHELL));
        }
    }
}
