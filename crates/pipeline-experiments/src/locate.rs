//! Finds the spec, the store's folder and the folders of models.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use pipeline_models::text::ModelSearch;
use pipeline_spec::{is_yaml, nearest};
use pipeline_stages::Environment;

use crate::project;

/// The number of specs that a help text lists.
const MAX_LISTED: usize = 8;

/// The reason why a spec or a store was not found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The name is that of a folder.
    #[error("`{}` is a folder, not a spec", name.display())]
    IsFolder {
        /// The name.
        name: PathBuf,
        /// The current folder.
        here: PathBuf,
    },
    /// Several specs in folders below `pipelines/` have the name.
    #[error("`{}` may be any of {} specs: {}", name.display(), specs.len(), quoted(specs))]
    SeveralSpecs {
        /// The name.
        name: PathBuf,
        /// Their paths from the current folder.
        specs: Vec<PathBuf>,
        /// The names by which each is found alone.
        names: Vec<PathBuf>,
    },
    /// No file has the name.
    #[error("there is no spec `{}`{}", name.display(), looked_in(folders))]
    NoSpec {
        /// The name.
        name: PathBuf,
        /// The folders that were searched.
        folders: Vec<PathBuf>,
        /// The current folder.
        here: PathBuf,
    },
    /// Neither the project of the current folder nor a folder above it has a store.
    #[error("there is no store in `{}`, in its project or above it{}", here.display(), below(here))]
    NoStore {
        /// The current folder.
        here: PathBuf,
    },
    /// The project has several stores, each in a folder of its own.
    #[error("the project has several stores: {}", quoted(stores))]
    SeveralStores {
        /// Their folders.
        stores: Vec<PathBuf>,
    },
}

impl LocateError {
    /// Advice on naming the spec or store.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::IsFolder { name, here } => {
                let inside = yaml_files(std::slice::from_ref(name));
                let specs = || specs_around(&here.join(name), here);
                Some(specs_to_choose(&if inside.is_empty() { specs() } else { inside }))
            }
            Self::SeveralSpecs { names, .. } => Some(format!("name one of them: {}", quoted(names))),
            Self::NoSpec { name, folders, here } => {
                let mut specs = specs_around(here, here);
                if let Some(folder) = name.parent().map(|folder| here.join(folder)).filter(|folder| folder.is_dir()) {
                    let known = specs.clone();
                    specs.extend(specs_around(&folder, here).into_iter().filter(|spec| !known.contains(spec)));
                }
                let files = yaml_files(folders);
                let near = nearest_file(name, &files).or_else(|| nearest_file(name, &specs));
                Some(match near {
                    Some(path) => format!("did you mean `{}`?", path.display()),
                    None => specs_to_choose(if specs.is_empty() { &files } else { &specs }),
                })
            }
            Self::NoStore { here } => Some(way_to_store(here)),
            Self::SeveralStores { .. } => Some("name one with `--artifacts DIR`, or go to its folder".to_owned()),
        }
    }
}

/// The stores in the folders below, which are of other projects, or of specs outside of one.
fn below(here: &Path) -> String {
    let stores = stores_below(here);
    if stores.is_empty() { String::new() } else { format!("; below it is {}", quoted(&stores)) }
}

fn stores_below(here: &Path) -> Vec<PathBuf> {
    project::stores_below(here).iter().map(|store| project::relative(here, store)).collect()
}

/// The way to a store from a folder that has none.
fn way_to_store(here: &Path) -> String {
    if let Some(store) = stores_below(here).first() {
        let folder = store.parent().unwrap_or(store);
        return format!("go to `{}`, or name the store: `--artifacts {}`", folder.display(), store.display());
    }
    match project::specs(here).first() {
        Some(spec) => format!(
            "the first run makes it: `pipeline run {}`; `--artifacts DIR` names another place",
            project::name_from(here, &spec.file)
        ),
        None => "go to the folder of a project, or name the store: `--artifacts DIR`".to_owned(),
    }
}

/// The specs of the project around `folder`, by their paths from the folder `here`.
fn specs_around(folder: &Path, here: &Path) -> Vec<PathBuf> {
    project::specs(folder).iter().map(|spec| project::relative(here, &spec.file)).collect()
}

fn looked_in(folders: &[PathBuf]) -> String {
    match folders {
        [] => ", and its folder does not exist either".to_owned(),
        folders => format!("; looked in {}", quoted(folders)),
    }
}

fn quoted(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ")
}

fn specs_to_choose(specs: &[PathBuf]) -> String {
    let what = "SPEC is the path of a YAML file, or the name of one in `pipelines/`";
    let shown: Vec<_> = specs.iter().take(MAX_LISTED).map(|path| format!("`{}`", path.display())).collect();
    match specs.len() {
        0 => format!(
            "{what}; there is none in or above this folder: go to that of the project, or begin one with `pipeline \
            init`"
        ),
        n_specs if n_specs > MAX_LISTED => format!("{what}, such as {}, …", shown.join(", ")),
        _ => format!("{what}: {}", shown.join(", ")),
    }
}

/// Finds the file of the spec `name`: as [`spec_near`], else the only spec in the folders below `pipelines/` whose path
/// ends with the name.
///
/// # Errors
/// When there is no such file: names the searched folders and the specs that exist. When several have the name.
pub fn spec(name: &Path, here: &Path) -> Result<PathBuf, LocateError> {
    let error = match spec_near(name, here) {
        Err(error @ LocateError::NoSpec { .. }) => error,
        found => return found,
    };
    match is_name(name).then(|| project::below_pipelines(name, here)).flatten() {
        Some((pipelines, found)) => match found.as_slice() {
            [only] => Ok(only.clone()),
            several => Err(LocateError::SeveralSpecs {
                name: name.to_owned(),
                specs: several.iter().map(|file| project::relative(here, file)).collect(),
                names: several.iter().map(|file| project::relative(&pipelines, &file.with_extension(""))).collect(),
            }),
        },
        None => Err(error),
    }
}

/// Whether a path is a name, alone or with those of folders.
fn is_name(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Finds the file of the spec `name`: a path, or a name with or without `.yaml`.
///
/// A name is searched for in the current folder, those above it up to the project's, and the `pipelines/` of any folder
/// above.
///
/// # Errors
/// When there is no such file: names the searched folders and the specs that exist.
pub fn spec_near(name: &Path, here: &Path) -> Result<PathBuf, LocateError> {
    let bare = name.components().count() == 1;
    let with_ending = name.with_added_extension("yaml");
    let mut candidates = vec![name.to_owned(), with_ending.clone()];
    if is_name(name) {
        let project = search_root(here);
        let is_in_project = |folder: &Path| project.is_some_and(|project| folder.starts_with(project));
        let folders = here.ancestors().enumerate().flat_map(|(n_above, folder)| {
            let itself = (bare && n_above > 0 && is_in_project(folder)).then(|| folder.to_owned());
            itself.into_iter().chain([folder.join(project::PIPELINES)])
        });
        candidates.extend(folders.flat_map(|folder| [folder.join(name), folder.join(&with_ending)]));
    }
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    if name.is_dir() {
        return Err(LocateError::IsFolder { name: name.to_owned(), here: here.to_owned() });
    }
    let mut folders: Vec<PathBuf> = candidates.iter().filter_map(|path| existing_folder(path)).collect();
    folders.dedup();
    let shown = |folder: PathBuf| match folder.is_absolute() && !name.is_absolute() {
        true => project::relative(here, &folder),
        false => folder,
    };
    let folders = folders.into_iter().map(shown).collect();
    Err(LocateError::NoSpec { name: name.to_owned(), folders, here: here.to_owned() })
}

fn existing_folder(path: &Path) -> Option<PathBuf> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    folder.is_dir().then_some(folder)
}

/// The YAML files in these folders.
fn yaml_files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut paths: Vec<_> = paths.filter(|path| is_yaml(path)).collect();
        paths.sort();
        files.extend(paths.into_iter().map(|path| path.strip_prefix(".").map(Path::to_owned).unwrap_or(path)));
    }
    files
}

/// The file whose name, with or without its extension, is nearest to the missing one.
fn nearest_file(name: &Path, files: &[PathBuf]) -> Option<PathBuf> {
    let wanted = name.file_name()?.to_str()?;
    let mut known: BTreeMap<&str, &PathBuf> = BTreeMap::new();
    for path in files {
        let texts = [path.file_stem(), path.file_name()].map(|part| part.and_then(|part| part.to_str()));
        texts.into_iter().flatten().for_each(|text| {
            known.entry(text).or_insert(path);
        });
    }
    let near = nearest(wanted, known.keys().copied())?;
    known.get(near).map(|path| (*path).clone())
}

/// The folder within which bare names are searched: the project's root, else the nearest folder with a store.
fn search_root(folder: &Path) -> Option<&Path> {
    project::root(folder).or_else(|| folder.ancestors().find(|folder| folder.join("artifacts").is_dir()))
}

/// The folders in which models with bare names are searched.
///
/// They are `models` of the spec, then the download folders of Hugging Face's libraries and of torch. The latter are
/// those in their variables, then those below the user's home.
pub fn model_search(models: Option<PathBuf>, environment: &Environment) -> ModelSearch {
    let mut search = ModelSearch::default();
    if models.is_none() {
        search.unset.push("vars.models".into());
    }
    search.folders.extend(models);
    for (variable, parts) in MODEL_FOLDERS {
        match environment.get(variable).filter(|value| !value.is_empty()).map(PathBuf::from) {
            Some(folder) => search.folders.extend(parts.iter().map(|part| match *part {
                "" => folder.clone(),
                part => folder.join(part),
            })),
            // The other variables are older names, or seldom set for models.
            None if matches!(*variable, "HF_HUB_CACHE" | "HF_HOME" | "TORCH_HOME") => {
                search.unset.push((*variable).to_owned());
            }
            None => (),
        }
    }
    let mut seen = HashSet::new();
    search.folders.retain(|folder| seen.insert(folder.clone()));
    search
}

/// The variables of the environment that lead to models, by precedence, and the folders below their values.
const MODEL_FOLDERS: &[(&str, &[&str])] = &[
    ("HF_HUB_CACHE", &[""]),
    ("HUGGINGFACE_HUB_CACHE", &[""]),
    ("HF_HOME", &["", "hub"]),
    ("TORCH_HOME", &["", "hub/checkpoints"]),
    ("XDG_CACHE_HOME", &["huggingface/hub", "torch/hub/checkpoints"]),
    ("HOME", &[".cache/huggingface/hub", ".cache/torch/hub/checkpoints"]),
];
