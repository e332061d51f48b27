//! The outputs of a program: the rules for their paths, and the cleanup of everything else.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use pipeline_core::StageError;

use crate::artifact;

/// The most files that a message names.
const MAX_NAMED: usize = 5;

/// The fault in the path of an output, as words after the path, and advice; `None` if it stays inside the program's
/// folder.
///
/// Each file has one spelling, so that results are found with any spec.
pub(super) fn problem(written: &str) -> Option<(&'static str, String)> {
    let elsewhere = "outputs are left where the program runs; `publish` copies them elsewhere";
    let mut parts = Vec::new();
    for part in Path::new(written).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => return Some(("has a `..` in it", elsewhere.to_owned())),
            Component::RootDir | Component::Prefix(_) => return Some(("is an absolute path", elsewhere.to_owned())),
        }
    }
    match parts.join("/") {
        plain if plain.is_empty() => Some(("names no file", elsewhere.to_owned())),
        plain if plain != written => Some(("has parts that change nothing", format!("write `{plain}`"))),
        _ => None,
    }
}

/// Checks that every declared output of `program` exists, and removes everything else.
///
/// `quoted` are the last lines that the program printed, as the end of a message.
pub(super) fn keep(program: &str, outputs: &[String], scratch: &Path, quoted: &str) -> Result<(), StageError> {
    for output in outputs {
        if let Some(link) = link_above(scratch, Path::new(output)) {
            let message = format!("the output `{output}` lies behind the link `{}`", link.display());
            return Err(StageError::new(message).with_help("declare it under the name of the folder where it lies"));
        }
        if std::fs::symlink_metadata(scratch.join(output)).is_err() {
            let message = format!("`{program}` did not leave its output `{output}`");
            return Err(StageError::new(format!("{message}{quoted}")).with_help(left_instead(scratch, output)));
        }
    }
    let kept: BTreeSet<PathBuf> = outputs.iter().map(PathBuf::from).collect();
    remove_others(scratch, Path::new(""), &kept).map_err(|error| artifact::unwritable(scratch, error))
}

/// Advice on a missing output, with the files that are there.
fn left_instead(scratch: &Path, output: &str) -> String {
    let entries = scratch.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let near = pipeline_spec::nearest(output, names.iter().map(String::as_str));
    let quoted: Vec<String> = names.iter().take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > MAX_NAMED { ", …" } else { "" };
    match (near, quoted.as_slice()) {
        (Some(near), _) => format!("it left `{near}`: name that in `outputs`"),
        (None, []) => {
            "it left nothing in the folder where it runs: outputs are written there, by relative paths".to_owned()
        }
        (None, names) => format!("it left {}{more} in the folder where it runs", names.join(", ")),
    }
}

/// Removes the files of a failed try.
pub(super) fn remove_all(scratch: &Path) -> Result<(), StageError> {
    let removed = remove_others(scratch, Path::new(""), &BTreeSet::new());
    removed.map_err(|error| artifact::unwritable(scratch, error))
}

/// The first folder above an output that is a link.
fn link_above(scratch: &Path, output: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> = output.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    above.reverse();
    above.into_iter().find(|path| scratch.join(path).is_symlink()).map(Path::to_owned)
}

/// Removes everything below `folder` that is neither kept nor above something kept.
fn remove_others(scratch: &Path, folder: &Path, kept: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    open_for_owner(&scratch.join(folder))?;
    for entry in std::fs::read_dir(scratch.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if kept.contains(&name) {
            continue;
        }
        let is_folder = entry.file_type()?.is_dir();
        if is_folder && kept.iter().any(|output| output.starts_with(&name)) {
            remove_others(scratch, &name, kept)?;
        } else if is_folder {
            remove_others(scratch, &name, &BTreeSet::new())?;
            std::fs::remove_dir(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Lets the owner remove entries of a folder, such as one of Go's module cache.
fn open_for_owner(folder: &Path) -> std::io::Result<()> {
    let mut permissions = std::fs::symlink_metadata(folder)?.permissions();
    if permissions.mode() & 0o700 != 0o700 {
        permissions.set_mode(permissions.mode() | 0o700);
        std::fs::set_permissions(folder, permissions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_stay_inside_the_scratch_folder() {
        for good in ["a", "a/b.txt", "a b", "..a"] {
            assert_eq!(problem(good), None, "{good}");
        }
        for (bad, expect) in [
            ("", "names no file"),
            ("./", "names no file"),
            ("/a", "is an absolute path"),
            ("../a", "has a `..` in it"),
            ("a/../b", "has a `..` in it"),
            ("./a", "has parts that change nothing"),
            ("a/./b/", "has parts that change nothing"),
        ] {
            assert_eq!(problem(bad).map(|(problem, _)| problem), Some(expect), "{bad}");
        }
        assert_eq!(problem("./a//b/").unwrap().1, "write `a/b`");
    }
}
