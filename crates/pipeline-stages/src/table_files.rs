//! The files that a path of a spec stands for: one file, or those that match a pattern.

use std::path::{Path, PathBuf};

use pipeline_core::{Source, StageError};
use pipeline_data::{ImagesFile, Pattern, PatternError};

use crate::load_queries::must_be_a_file;

/// The param of manifests that names the only file where ids are places.
const FILE: &str = "file";

/// The words of messages about a path.
pub(crate) struct PathWords {
    /// The file, such as `the image file`.
    pub(crate) what: &'static str,
    /// An example of what the path must name.
    pub(crate) help: &'static str,
}

/// The last extension of a path in lower case, without the dot.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The files that `path`, the param of this name, stands for.
///
/// # Errors
/// When none is there.
pub(crate) fn files(path: &Path, words: &PathWords) -> Result<Vec<ImagesFile>, StageError> {
    match Pattern::of(path) {
        None => {
            must_be_a_file(path, "path", words.what, words.help)?;
            Ok(vec![ImagesFile { path: path.to_owned(), name: None }])
        }
        Some(pattern) => {
            let found = pattern.and_then(|pattern| pattern.files());
            found.map(|(files, _)| files).map_err(|error| no_files(path, error))
        }
    }
}

fn no_files(path: &Path, error: PatternError) -> StageError {
    let help = match &error {
        PatternError::NoMatch { .. } => match path.parent().filter(|folder| folder.is_dir()) {
            Some(folder) => format!("`*` stands for a part of a name; {}", listing(folder)),
            None => "`path` is relative to the spec file; `*` stands for a part of a name".to_owned(),
        },
        _ => "`{000..009}` stands for each number, `{a,b}` for each text, `*` for any part of a name".to_owned(),
    };
    StageError::because(format!("`path: {}` stands for no files", path.display()), error).with_help(help)
}

/// The first names in a folder, for a message.
pub(crate) fn listing(folder: &Path) -> String {
    let entries = folder.read_dir().into_iter().flatten().flatten().take(1000);
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.retain(|name| !name.starts_with('.'));
    match names.as_slice() {
        [] => format!("`{}` is empty", folder.display()),
        names => {
            let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
            let more = if names.len() > 3 { ", …" } else { "" };
            format!("`{}` has {}{more}", folder.display(), shown.join(", "))
        }
    }
}

/// The files as sources, named by their names within the pattern.
pub(crate) fn sources(files: &[ImagesFile]) -> Vec<Source> {
    files.iter().map(|file| Source { name: source_name(file), path: file.path.clone() }).collect()
}

/// The name of a file as a source.
pub(crate) fn source_name(file: &ImagesFile) -> String {
    file.name.as_ref().map_or("path".to_owned(), |name| format!("path/{name}"))
}

/// What a place in the files of a path counts.
pub(crate) fn unit(path: &Path) -> &'static str {
    match extension(path).as_str() {
        "tar" => "member",
        "parquet" | "pq" => "row",
        _ => "line",
    }
}

/// Advice where a path names a folder that has tars or Parquet files; empty for others.
pub(crate) fn way_to_files(folder: &Path) -> String {
    let entries = folder.read_dir().into_iter().flatten().flatten().take(1000);
    let extensions = entries.map(|entry| extension(&entry.path()));
    let found = extensions.filter(|extension| matches!(extension.as_str(), "parquet" | "pq" | "tar")).min();
    found
        .map(|found| format!("; `path: {}` names its .{found} files", folder.join(format!("*.{found}")).display()))
        .unwrap_or_default()
}

/// What a text file looks like, and the ending of the name by which it is read as a table; `None` for other files.
pub(crate) fn ending_of_table(path: &Path) -> Option<(&'static str, &'static str)> {
    match pipeline_data::looks_like(path)? {
        looks @ "comma-separated text" => Some((looks, ".csv")),
        looks @ "tab-separated text" => Some((looks, ".tsv")),
        _ => None,
    }
}

/// The name of the only file of a path as a param of manifests, for ids that are places; those of several are names of
/// sources.
pub(crate) fn place_param(path: &Path) -> Option<(String, String)> {
    let is_several = Pattern::of(path).is_some();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (!is_several).then(|| (FILE.to_owned(), serde_json::Value::from(name).to_string()))
}

/// The files and folders that a path makes a stage read, present or missing.
pub(crate) fn reads(path: &Path) -> Vec<PathBuf> {
    match found(path) {
        Some((files, _)) => files.into_iter().map(|file| file.path).collect(),
        None => vec![path.to_owned()],
    }
}

/// The folders that are listed to find the files.
pub(crate) fn places(path: &Path) -> Vec<PathBuf> {
    found(path).map(|(_, folders)| folders).unwrap_or_default()
}

fn found(path: &Path) -> Option<(Vec<ImagesFile>, Vec<PathBuf>)> {
    Pattern::of(path)?.ok()?.files().ok()
}
