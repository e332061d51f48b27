//! Finds a data set: the four files of MUGE's format by their names or as the caller names them, or a folder of images.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::DataFileArgs;
use crate::exit::Exit;
use crate::failure::Failure;

use super::photos;

/// How far below the project's root a data set is searched: `data/muge` is two folders down.
const MAX_DEPTH: usize = 2;

/// The most entries of a folder that are looked at: a data set has four files, a folder of images millions.
const MAX_ENTRIES: usize = 10_000;

/// The data of the four stages that read them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// The images to train with.
    pub train_images: StageData,
    /// The queries to train with.
    pub train_queries: StageData,
    /// The images to evaluate with.
    pub valid_images: StageData,
    /// The queries to evaluate with.
    pub valid_queries: StageData,
}

/// The data of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageData {
    /// The absolute path of a file or folder.
    pub path: PathBuf,
    /// More params in YAML, each after a comma; empty where the path is all.
    pub more: String,
}

/// One of the four files: its flag, its usual name, and the parts of a name that identify it.
struct Role {
    flag: &'static str,
    usual: &'static str,
    split: &'static [&'static str],
    ends: &'static [&'static str],
}

pub(super) const TRAIN: &[&str] = &["train"];
pub(super) const VALID: &[&str] = &["valid", "val", "dev"];
const IMAGES: &[&str] = &["imgs.tsv", "images.tsv", "image.tsv"];
const QUERIES: &[&str] = &["queries.jsonl", "texts.jsonl", "query.jsonl", "text.jsonl"];

const ROLES: [Role; 4] = [
    Role { flag: "--train-images", usual: "MR_train_imgs.tsv", split: TRAIN, ends: IMAGES },
    Role { flag: "--train-queries", usual: "MR_train_queries.jsonl", split: TRAIN, ends: QUERIES },
    Role { flag: "--valid-images", usual: "MR_valid_imgs.tsv", split: VALID, ends: IMAGES },
    Role { flag: "--valid-queries", usual: "MR_valid_queries.jsonl", split: VALID, ends: QUERIES },
];

impl Role {
    fn is_of(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let end = self.ends.iter().find_map(|end| name.strip_suffix(end));
        let mut words = end.unwrap_or_default().split(['_', '-', '.']);
        words.any(|word| self.split.contains(&word))
    }
}

/// The files of one folder that may be each of the four.
struct Candidate {
    folder: PathBuf,
    of_role: [Vec<PathBuf>; 4],
}

impl Candidate {
    fn of(folder: PathBuf, named: &[Option<PathBuf>; 4]) -> Self {
        let names = names_in(&folder);
        let of_role = std::array::from_fn(|idx| match &named[idx] {
            Some(file) => vec![file.clone()],
            None => names.iter().filter(|name| ROLES[idx].is_of(name)).map(|name| folder.join(name)).collect(),
        });
        Self { folder, of_role }
    }

    /// The data set, if there is exactly one file for each role.
    fn data_set(&self) -> Option<DataSet> {
        let file = |files: &Vec<PathBuf>| if let [file] = files.as_slice() { Some(file.clone()) } else { None };
        let files: Vec<PathBuf> = self.of_role.iter().map(file).collect::<Option<_>>()?;
        <[PathBuf; 4]>::try_from(files).ok().map(DataSet::from)
    }

    fn missing(&self) -> Vec<&'static Role> {
        ROLES.iter().zip(&self.of_role).filter(|(_, files)| files.is_empty()).map(|(role, _)| role).collect()
    }
}

/// The data set in `data`, else the only one in `root` and the folders below; `named` files take precedence.
///
/// # Errors
/// When a file is missing, or when several could be meant: names them and the flags.
pub fn find(named: &DataFileArgs, data: Option<&Path>, root: &Path) -> Result<DataSet, Failure> {
    let files = [&named.train_images, &named.train_queries, &named.valid_images, &named.valid_queries];
    let mut named = [const { None }; 4];
    for (named, file) in named.iter_mut().zip(files) {
        *named = file.as_deref().map(existing).transpose()?;
    }
    let folders = match data {
        Some(folder) => vec![folder_of_data(folder)?],
        None => folders_below(root),
    };
    let candidates: Vec<Candidate> = folders.iter().map(|folder| Candidate::of(folder.clone(), &named)).collect();
    let mut found: Vec<DataSet> = candidates.iter().filter_map(Candidate::data_set).collect();
    if found.is_empty() && candidates.iter().all(|candidate| candidate.missing().len() == ROLES.len()) {
        found = folders_of_photos(&folders);
    }
    found.dedup();
    match found.as_slice() {
        [data_set] => Ok(data_set.clone()),
        [one, other, ..] => {
            let (one, other) = (one.train_queries.path.display(), other.train_queries.path.display());
            let message = format!("there are several data sets: with `{one}` and with `{other}`");
            Err(Failure::new(Exit::Usage, message).with_help("name the folder of one with `--data DIR`"))
        }
        [] => Err(no_data_set(root, &candidates)),
    }
}

/// The data sets of images with tables. Those in `train` and `valid` belong to the folder of both.
fn folders_of_photos(folders: &[PathBuf]) -> Vec<DataSet> {
    let mut found: Vec<(&PathBuf, DataSet)> = Vec::new();
    for folder in folders {
        if found.iter().all(|(outer, _)| !folder.starts_with(outer))
            && let Some(data_set) = photos::data_set_in(folder)
        {
            found.push((folder, data_set));
        }
    }
    found.into_iter().map(|(_, data_set)| data_set).collect()
}

/// The failure about the folder that lacks the least.
fn no_data_set(root: &Path, candidates: &[Candidate]) -> Failure {
    let Some(nearest) = candidates.iter().min_by_key(|candidate| candidate.missing().len()) else {
        return incomplete(root, root, &ROLES.iter().collect::<Vec<_>>());
    };
    let several = ROLES.iter().zip(&nearest.of_role).find_map(|(role, files)| match files.as_slice() {
        [one, other, ..] => Some(ambiguous(role, one, other)),
        _ => None,
    });
    match (nearest.missing().as_slice(), several) {
        ([], Some(several)) => several,
        (missing, _) => incomplete(root, &nearest.folder, missing),
    }
}

impl From<[PathBuf; 4]> for DataSet {
    fn from([train_images, train_queries, valid_images, valid_queries]: [PathBuf; 4]) -> Self {
        let of = |path: PathBuf| StageData { path, more: String::new() };
        Self {
            train_images: of(train_images),
            train_queries: of(train_queries),
            valid_images: of(valid_images),
            valid_queries: of(valid_queries),
        }
    }
}

fn ambiguous(role: &Role, one: &Path, other: &Path) -> Failure {
    let message = format!("both `{}` and `{}` may be meant", one.display(), other.display());
    Failure::new(Exit::Usage, message).with_help(format!("name the right one with `{} FILE`", role.flag))
}

fn incomplete(root: &Path, folder: &Path, missing: &[&Role]) -> Failure {
    let names: Vec<String> = missing.iter().map(|role| format!("`{}`", role.usual)).collect();
    let flags: Vec<String> = missing.iter().map(|role| format!("`{} FILE`", role.flag)).collect();
    if missing.len() == ROLES.len() {
        let message = format!("there is no data set in `{}` or the folders in it", root.display());
        return Failure::new(Exit::Usage, message).with_help(format!(
            "`--data DIR` names the folder with {}, or with images and a table of their names and texts (CSV, TSV, \
             JSON Lines); files of other names are named with {}",
            names.join(", "),
            flags.join(", ")
        ));
    }
    let message = format!("the data set in `{}` lacks {}", folder.display(), names.join(" and "));
    Failure::new(Exit::Usage, message)
        .with_help(format!("a file of another name is named with {}", flags.join(" and ")))
}

/// The absolute path of a file that the caller named.
fn existing(file: &Path) -> Result<PathBuf, Failure> {
    pipeline_files::open(file)
        .and_then(|_| std::path::absolute(file))
        .map_err(|error| Failure::because(Exit::Usage, &error).under(format!("cannot read `{}`", file.display())))
}

fn folder_of_data(folder: &Path) -> Result<PathBuf, Failure> {
    fs::read_dir(folder)
        .and_then(|_| std::path::absolute(folder))
        .map_err(|error| Failure::because(Exit::Usage, &error).under(format!("cannot read `{}`", folder.display())))
}

/// `root` and the folders in it, at most [`MAX_DEPTH`] down; hidden folders and stores are left out.
fn folders_below(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut level = folders.clone();
    for _ in 0..MAX_DEPTH {
        level = level.iter().flat_map(|folder| inner_folders(folder)).collect();
        folders.extend(level.iter().cloned());
    }
    folders
}

/// The folders in a folder, sorted, without hidden ones and stores.
pub(super) fn inner_folders(folder: &Path) -> Vec<PathBuf> {
    let names = names_in(folder).into_iter().filter(|name| name != "artifacts");
    names.map(|name| folder.join(name)).filter(|path| path.is_dir()).collect()
}

/// The names in a folder, sorted, without hidden ones.
pub(super) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_the_names_that_data_sets_give_them() {
        for (name, role) in [
            ("MR_train_imgs.tsv", Some(0)),
            ("train_imgs.tsv", Some(0)),
            ("MR_train_queries.jsonl", Some(1)),
            ("train_texts.jsonl", Some(1)),
            ("MR_valid_imgs.tsv", Some(2)),
            ("val-images.tsv", Some(2)),
            ("dev_texts.jsonl", Some(3)),
            ("MR_test_queries.jsonl", None),
            ("training_imgs.tsv", None),
            ("train_imgs.tsv.bak", None),
        ] {
            let found = ROLES.iter().position(|role| role.is_of(name));
            assert_eq!(found, role, "{name}");
        }
    }
}
