//! `.gitignore` of a store: `git add -A` in the project leaves the store out.

use std::fs;
use std::path::Path;

use crate::StoreError;
use crate::durable::{Durability, list_folder, write_whole};
use crate::layout::{LAST_FOLDER, PARTS, RUNS_FOLDER, STORE_FOLDER, below};
use crate::runs::Runs;

const NAME: &str = ".gitignore";

/// The file's text in a folder of the store alone.
const ALL: &str = "*\n";

/// The file's text in a folder that holds files of a person, too, who may want them in the repository.
fn parts() -> String {
    PARTS.map(|part| format!("/{part}/\n")).concat() + "/.gitignore\n"
}

/// The file's text in a folder in which somebody else has files where this store has its runs or last results.
fn names() -> String {
    let digest = "?".repeat(64);
    format!("/{STORE_FOLDER}/\n/{LAST_FOLDER}/{digest}*.json\n/{RUNS_FOLDER}/????????T??????Z-????/\n/.gitignore\n")
}

/// True if somebody else has files in the folders of runs or of last results.
fn is_shared(artifacts: &Path) -> Result<bool, StoreError> {
    let is_any = |folder: &str, is_own: fn(&str) -> bool| {
        let entries = match list_folder(&below(artifacts, folder)) {
            // What is no folder is nothing of ours.
            Err(error) if error.is_not_found() => return Ok(true),
            entries => entries?,
        };
        Ok(entries.iter().any(|entry| !is_own(&entry.file_name().to_string_lossy())))
    };
    let is_last = |name: &str| name.len() >= 64 && name.ends_with(".json");
    Ok(is_any(RUNS_FOLDER, Runs::is_name)? || is_any(LAST_FOLDER, is_last)?)
}

/// True for the file that [`keep_out_of_git`] writes: like the rest of the store, it is no part of a source around it.
pub(crate) fn is_own_ignore_file(path: &Path) -> bool {
    let is_own = |text: String| text == ALL || text == parts() || text == names();
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
    let ignored = match (is_shared(artifacts)?, has_others) {
        (true, _) => names(),
        (false, true) => parts(),
        (false, false) => ALL.to_owned(),
    };
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
            (&["runs/exp1/best.pt"], Some(names().as_str())),
            (&["last/weights.pt", "README.md"], Some(names().as_str())),
            (&["runs/20261129T124842Z-8c0f/run.json"], Some("*\n")),
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
