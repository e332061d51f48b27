//! Lists the files of an import, in order.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use pipeline_core::{Source, StageError};

use super::Side;
use super::params::FileFormat;
use crate::load_queries::must_be_a_file;

/// The folder names of clip-retrieval's inference.
const IMAGE_VECTORS: &str = "img_emb";
const TEXT_VECTORS: &str = "text_emb";
const METADATA: &str = "metadata";

/// The files of an import.
pub(super) struct Files {
    /// The files with the vectors.
    pub(super) vectors: Vec<PathBuf>,
    /// The files with the ids: empty, one for all, or one for each of `vectors`.
    pub(super) ids: Vec<PathBuf>,
}

impl Files {
    /// Lists the files of an import.
    ///
    /// # Errors
    /// When a required one is missing.
    pub(super) fn find(path: &Path, ids: Option<&Path>, format: FileFormat, side: Side) -> Result<Self, StageError> {
        if let Some(ids) = ids {
            must_be_a_file(ids, "ids", "the file of ids", "a file of one id a line, or a .npy or .json of ids")?;
        }
        if format == FileFormat::ClipRetrieval {
            let vectors = if side == Side::Image { IMAGE_VECTORS } else { TEXT_VECTORS };
            let files =
                Self { vectors: list(&path.join(vectors), "npy")?, ids: list(&path.join(METADATA), "parquet")? };
            return files.in_pairs(path);
        }
        let vectors = if path.is_dir() {
            list(path, ending(format))?
        } else {
            must_be_a_file(
                path,
                "path",
                "the file of vectors",
                "a .npy, .jsonl or .parquet file, or a folder of them",
            )?;
            vec![path.to_owned()]
        };
        Ok(Self { vectors, ids: ids.map(Path::to_owned).into_iter().collect() })
    }

    /// Checks that every file of vectors has a file of metadata.
    fn in_pairs(self, path: &Path) -> Result<Self, StageError> {
        let number = |path: &PathBuf| sort_key(path).0;
        if self.vectors.iter().map(number).eq(self.ids.iter().map(number)) {
            return Ok(self);
        }
        let message = format!(
            "`{}` has {} files of vectors and {} of metadata, whose numbers differ",
            path.display(),
            self.vectors.len(),
            self.ids.len()
        );
        Err(StageError::new(message).with_help("clip-retrieval writes one of each for every partition of its output"))
    }

    /// All files, with names that show their order.
    pub(super) fn sources(&self) -> Vec<Source> {
        let named = |what: &'static str, paths: &[PathBuf]| -> Vec<Source> {
            let source =
                |(idx, path): (usize, &PathBuf)| Source { name: format!("{what}/{idx:05}"), path: path.clone() };
            paths.iter().enumerate().map(source).collect()
        };
        [named("vectors", &self.vectors), named("ids", &self.ids)].concat()
    }
}

/// The format of a file, as far as its name shows.
pub(super) fn format_by_ending(path: &Path) -> Option<FileFormat> {
    match path.extension().and_then(OsStr::to_str) {
        Some("npy") => Some(FileFormat::Npy),
        Some("jsonl") => Some(FileFormat::Jsonl),
        Some("parquet") => Some(FileFormat::Parquet),
        _ => None,
    }
}

/// The format of a path, as far as its name or its folders show.
pub(super) fn format_of(path: &Path) -> Option<FileFormat> {
    if !path.is_dir() {
        return format_by_ending(path);
    }
    if [IMAGE_VECTORS, TEXT_VECTORS].iter().any(|folder| path.join(folder).is_dir()) {
        return Some(FileFormat::ClipRetrieval);
    }
    let entries = fs::read_dir(path).ok()?.flatten();
    let mut formats: Vec<_> = entries.filter_map(|entry| format_by_ending(&entry.path())).collect();
    formats.dedup();
    if let [only] = formats.as_slice() { Some(*only) } else { None }
}

/// The paths that determine the list of files: the path and, for a folder, its subfolders.
pub(super) fn places(path: &Path) -> Vec<PathBuf> {
    let below = [IMAGE_VECTORS, TEXT_VECTORS, METADATA].map(|folder| path.join(folder));
    std::iter::once(path.to_owned()).chain(below).collect()
}

const fn ending(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Npy => "npy",
        FileFormat::Jsonl => "jsonl",
        FileFormat::Parquet | FileFormat::ClipRetrieval => "parquet",
    }
}

/// The files of a folder with this ending, by the last number in their names, then by name.
fn list(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, StageError> {
    let failed = |error| StageError::because(format!("the folder `{}` cannot be read", folder.display()), error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(failed)?;
    let mut paths: Vec<_> = paths.into_iter().filter(|path| path.extension() == Some(OsStr::new(ending))).collect();
    paths.sort_by_cached_key(|path| sort_key(path));
    if paths.is_empty() {
        let message = format!("the folder `{}` has no file whose name ends in `.{ending}`", folder.display());
        return Err(StageError::new(message));
    }
    Ok(paths)
}

/// The last number in a file's name, so that 10 follows 9, then the name.
fn sort_key(path: &Path) -> (Option<u64>, PathBuf) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let last = stem.rsplit(|character: char| !character.is_ascii_digit()).next();
    (last.and_then(|digits| digits.parse().ok()), path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["img_emb_10.npy", "img_emb_9.npy", "img_emb_0.npy", "other.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<_> = list(folder.path(), "npy").unwrap();
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["img_emb_0.npy", "img_emb_9.npy", "img_emb_10.npy"]);
        assert_eq!(format_of(folder.path()), Some(FileFormat::Npy));
        assert!(
            list(folder.path(), "parquet")
                .unwrap_err()
                .to_string()
                .ends_with("has no file whose name ends in `.parquet`")
        );
    }
}
