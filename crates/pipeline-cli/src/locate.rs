//! Finds the spec, the store's folder and the folders of models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline_nn::text::ModelSearch;
use pipeline_spec::{PipelineSpec, nearest};
use pipeline_stages::Environment;

use crate::exit::Exit;
use crate::failure::Failure;

/// So many specs are listed for who names one that is not there.
const MAX_LISTED: usize = 8;

/// The file that `name` means: a path, else a name, with or without `.yaml`, in the current folder or one above it up to that
/// of the project, or in the `pipelines/` of any folder above.
///
/// # Errors
/// When there is no such file: says where it was looked for, and which specs there are.
pub fn spec(name: &Path) -> Result<PathBuf, Failure> {
    let bare = name.components().count() == 1;
    let here = std::env::current_dir().unwrap_or_default();
    let mut candidates = vec![name.to_owned()];
    if bare {
        let with_ending = name.with_added_extension("yaml");
        candidates.push(with_ending.clone());
        let project = project_folder(&here);
        let is_in_project = |folder: &Path| project.is_some_and(|project| folder.starts_with(project));
        let folders = here.ancestors().enumerate().flat_map(|(n_above, folder)| {
            let itself = (n_above > 0 && is_in_project(folder)).then(|| folder.to_owned());
            itself.into_iter().chain([folder.join("pipelines")])
        });
        candidates.extend(folders.flat_map(|folder| [folder.join(name), folder.join(&with_ending)]));
    }
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    if name.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("`{}` is a folder, not a spec", name.display())));
    }
    let mut folders: Vec<PathBuf> = candidates.iter().filter_map(|path| existing_folder(path)).collect();
    folders.dedup();
    Err(not_found(name, &folders))
}

fn existing_folder(path: &Path) -> Option<PathBuf> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    folder.is_dir().then_some(folder)
}

fn not_found(name: &Path, folders: &[PathBuf]) -> Failure {
    let looked_in: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
    let mut message = format!("there is no spec `{}`", name.display());
    match looked_in.as_slice() {
        [] => message.push_str(", and its folder does not exist either"),
        folders => message.push_str(&format!("; looked in {}", folders.join(", "))),
    }
    let failure = Failure::new(Exit::Usage, message);
    let specs = yaml_files(folders);
    if let Some(path) = nearest_file(name, &specs) {
        return failure.with_help(format!("did you mean `{}`?", path.display()));
    }
    let what = "SPEC is the path of a YAML file, or the name of one in `pipelines/`";
    let shown: Vec<_> = specs.iter().take(MAX_LISTED).map(|path| format!("`{}`", path.display())).collect();
    match specs.len() {
        0 => failure.with_help(what),
        n_specs if n_specs > MAX_LISTED => failure.with_help(format!("{what}, such as {}, …", shown.join(", "))),
        _ => failure.with_help(format!("{what}: {}", shown.join(", "))),
    }
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

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// The file whose name, with or without its extension, is nearest to the one that is missing.
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

/// The folder of the store: the one given, else `artifacts` in the nearest folder at or above the spec that has one, else in
/// the folder of the project, else beside the spec.
pub fn artifacts(given: Option<&Path>, spec_file: &Path) -> PathBuf {
    if let Some(folder) = given.filter(|folder| !folder.as_os_str().is_empty()) {
        return folder.to_owned();
    }
    let folder = spec_file.parent().unwrap_or(Path::new("."));
    nearest_artifacts(folder).unwrap_or_else(|| project_folder(folder).unwrap_or(folder).join("artifacts"))
}

/// The folder of the store when no spec is at hand: `artifacts` in the nearest folder at or above the current one.
///
/// # Errors
/// When there is none.
pub fn artifacts_without_spec(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(folder) = given.filter(|folder| !folder.as_os_str().is_empty()) {
        return Ok(folder.to_owned());
    }
    let here = std::env::current_dir().unwrap_or_default();
    nearest_artifacts(&here).ok_or_else(|| {
        let message = format!("there is no folder `artifacts` in `{}` or above it", here.display());
        Failure::new(Exit::Usage, message)
            .with_help("the first `pipeline run` makes it; another place is named with `--artifacts DIR`")
    })
}

fn nearest_artifacts(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join("artifacts")).find(|folder| folder.is_dir())
}

/// The folder of the project that a folder belongs to: the nearest with a store, a `pipeline.toml` or a `.git`.
fn project_folder(folder: &Path) -> Option<&Path> {
    let is_project = |folder: &&Path| {
        folder.join("artifacts").is_dir() || folder.join("pipeline.toml").is_file() || folder.join(".git").exists()
    };
    folder.ancestors().find(is_project)
}

/// Where models named without a folder are looked for: the spec's `models`, then where Hugging Face's libraries and torch
/// keep their downloads, in their order: what their variables name, then their folders below the user's home.
pub fn model_search(spec: &PipelineSpec, environment: &Environment) -> ModelSearch {
    let mut search = ModelSearch::default();
    let models = spec.var_path("models");
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
    let mut seen = std::collections::HashSet::new();
    search.folders.retain(|folder| seen.insert(folder.clone()));
    search
}

/// The variables of the environment that lead to models, the first one first, and the folders below what they name.
const MODEL_FOLDERS: &[(&str, &[&str])] = &[
    ("HF_HUB_CACHE", &[""]),
    ("HUGGINGFACE_HUB_CACHE", &[""]),
    ("HF_HOME", &["", "hub"]),
    ("TORCH_HOME", &["", "hub/checkpoints"]),
    ("XDG_CACHE_HOME", &["huggingface/hub", "torch/hub/checkpoints"]),
    ("HOME", &[".cache/huggingface/hub", ".cache/torch/hub/checkpoints"]),
];
