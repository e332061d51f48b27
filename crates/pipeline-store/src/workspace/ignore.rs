//! `.gitignore` of a store: `git add -A` in the project leaves the store out.

use std::fs;
use std::path::Path;

use crate::StoreError;
use crate::durable::{Durability, list_folder, write_whole};
use crate::layout::{PARTS, below};

const NAME: &str = ".gitignore";

/// The file's text in a folder of the store alone.
const ALL: &str = "*\n";

/// The file's text in a folder that holds files of a person, too, who may want them in the repository.
fn parts() -> String {
    PARTS.map(|part| format!("/{part}/\n")).concat() + "/.gitignore\n"
}

/// True for the file that [`keep_out_of_git`] writes: like the rest of the store, it is no part of a source around it.
pub(crate) fn is_own_ignore_file(path: &Path) -> bool {
    let is_own = |text: String| text == ALL || text == parts();
    path.file_name().is_some_and(|name| name == NAME) && fs::read_to_string(path).is_ok_and(is_own)
}

/// Writes a `.gitignore` beside the folder `store` of a store that has no result yet, unless there is one. `scratch` is
/// an unused path on its file system.
///
/// A store with results is left as it is: its owner may have decided otherwise.
pub(super) fn keep_out_of_git(store: &Path, scratch: &Path) -> Result<(), StoreError> {
    let Some(artifacts) = store.parent() else { return Ok(()) };
    let file = below(artifacts, NAME);
    if fs::symlink_metadata(&file).is_ok() || below(store, "actions").is_dir() {
        return Ok(());
    }
    let is_own = |name: &str| PARTS.contains(&name);
    let has_others = list_folder(artifacts)?.iter().any(|entry| !is_own(&entry.file_name().to_string_lossy()));
    let ignored = if has_others { parts() } else { ALL.to_owned() };
    write_whole(scratch, &file, ignored.as_bytes(), Durability::Lazy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    #[test]
    fn only_a_store_without_results_gets_one_and_other_files_stay_visible() {
        for (there, expect) in [
            (&[][..], Some("*\n")),
            (&["README.md"], Some("/store-v1/\n/last/\n/runs/\n/.gitignore\n")),
            (&["store-v1/actions/x"], None),
            (&[".gitignore"], Some("")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let artifacts = folder.path().join("artifacts");
            for file in there {
                let path = artifacts.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Store::open(&artifacts).unwrap().prepare().unwrap();
            assert_eq!(fs::read_to_string(artifacts.join(".gitignore")).ok().as_deref(), expect, "{there:?}");
        }
    }
}
