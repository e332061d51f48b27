//! Finds the files of a model: a folder, a Hugging Face cache, a torch hub checkpoint. Downloads nothing.

use std::path::{Path, PathBuf};

use super::hub::{self, Place};
use super::{Description, ImageModelFiles, ModelError, TextModelFiles};
use forms::there;

mod forms;
mod image;
mod text;
mod unread;

/// The forms of a text model.
const TEXT_NEEDED: &[&str] = &[
    "a folder of Hugging Face with config.json, vocab.txt or tokenizer.json, and model.safetensors or \
    pytorch_model.bin",
    "one of OpenCLIP with open_clip_config.json",
    "a checkpoint of cn_clip with vocab.txt beside it",
];

/// The forms of an image model.
const IMAGE_NEEDED: &[&str] = &[
    "a folder with model.safetensors or pytorch_model.bin, and config.json",
    "a checkpoint file (.safetensors, .pth, .pt or .bin)",
];

/// Where bare model names are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelSearch {
    /// The folders, the first one first. In each, also its `hub`, `checkpoints` and `hub/checkpoints` are looked at,
    /// where Hugging Face and torch keep their downloads.
    pub folders: Vec<PathBuf>,
    /// What would name more folders and is not set, such as `HF_HOME`: for the message about a missing model.
    pub unset: Vec<String>,
}

/// Finds a text encoder by absolute path or by bare name, such as `bert-base-chinese`: a folder of transformers or
/// OpenCLIP, or one checkpoint of cn_clip.
///
/// An absolute path may also be the place where a cached model of that name would lie.
///
/// # Errors
/// When no place holds all files: the error names every place and what it lacks. When the first place that holds a
/// model holds several, or one of another family.
pub fn find_text_model(model: &str, search: &ModelSearch) -> Result<TextModelFiles, ModelError> {
    first_usable(model, search, &hub::TEXT, TEXT_NEEDED, &|place| text::files(place, model))
}

/// Finds an image encoder by absolute path or by bare name, such as `resnet50`: timm's default weights of that name,
/// else torchvision's. A model of two towers is found by the same path or name as its text encoder.
///
/// # Errors
/// As [`find_text_model`].
pub fn find_image_model(model: &str, search: &ModelSearch) -> Result<ImageModelFiles, ModelError> {
    first_usable(model, search, &hub::IMAGE, IMAGE_NEEDED, &|place| image::files(place, model))
}

/// Every file and folder, there or not, that [`find_text_model`] looks at beside the files that it finds.
pub fn text_model_places(model: &str, search: &ModelSearch) -> Vec<PathBuf> {
    hub::looked_at(model, &search.folders, &hub::TEXT)
}

/// Every file and folder, there or not, that [`find_image_model`] looks at beside the files that it finds.
pub fn image_model_places(model: &str, search: &ModelSearch) -> Vec<PathBuf> {
    hub::looked_at(model, &search.folders, &hub::IMAGE)
}

/// The names of what lies where a text encoder of this name or path would: what a misspelt one may have meant.
pub fn text_models_near(model: &str, search: &ModelSearch) -> Vec<String> {
    models_near(model, search, &hub::TEXT)
}

/// The names of what lies where an image encoder of this name or path would: what a misspelt one may have meant.
pub fn image_models_near(model: &str, search: &ModelSearch) -> Vec<String> {
    models_near(model, search, &hub::IMAGE)
}

fn models_near(model: &str, search: &ModelSearch, family: &hub::Family) -> Vec<String> {
    let path = Path::new(model);
    match path.parent() {
        Some(parent) if path.is_absolute() => {
            let names = hub::names_in(parent, family).into_iter();
            let paths = names.map(|name| parent.join(name)).filter(|path| path.is_file() || has_model(path));
            paths.map(|path| path.to_string_lossy().into_owned()).collect()
        }
        _ => hub::roots(&search.folders).flat_map(|root| hub::names_in(&root, family)).collect(),
    }
}

/// Whether a folder has a file as folders of models have.
fn has_model(folder: &Path) -> bool {
    let ends = [".safetensors", ".pth", ".pt", ".bin"];
    let entries = folder.read_dir().into_iter().flatten().flatten().take(1000);
    entries.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name == "config.json" || name == hub::OPEN_CLIP_CONFIG || ends.iter().any(|end| name.ends_with(end))
    })
}

/// Why a place gives no model.
enum Fault {
    /// Something is not there: the next place may have it.
    Lacks(String),
    /// The model is there and cannot be used, or another one fits as well.
    Wrong(ModelError),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Lacks(why)
    }
}

impl From<&str> for Fault {
    fn from(why: &str) -> Self {
        Self::Lacks(why.to_owned())
    }
}

fn first_usable<T>(
    model: &str,
    search: &ModelSearch,
    family: &hub::Family,
    needed: &'static [&'static str],
    files: &dyn Fn(&Path) -> Result<T, Fault>,
) -> Result<T, ModelError> {
    let mut looked_in = Vec::new();
    for place in hub::places(model, &search.folders, family) {
        let place = match place {
            Place::Path(path) => path,
            Place::Several(paths) => return Err(ambiguous(model, family, paths)),
        };
        match files(&place) {
            Ok(found) => return Ok(found),
            Err(Fault::Wrong(error)) => return Err(error),
            Err(Fault::Lacks(why)) => looked_in.push((place, why)),
        }
    }
    let unset = if Path::new(model).is_absolute() { Vec::new() } else { search.unset.clone() };
    Err(ModelError::NotFound { family: family.name, model: model.to_owned(), needed, looked_in, unset })
}

fn ambiguous(model: &str, family: &hub::Family, paths: Vec<PathBuf>) -> ModelError {
    ModelError::Ambiguous { family: family.name, model: model.to_owned(), paths }
}

/// Refuses a folder of a model that could not be used were it whole.
fn known(folder: &Path, check: fn(&Description) -> Result<(), ModelError>) -> Result<(), Fault> {
    let (config, open_clip) = (there(folder, "config.json"), there(folder, hub::OPEN_CLIP_CONFIG));
    if config.is_none() && open_clip.is_none() {
        return Ok(());
    }
    // A file that cannot be read is an error once the folder has all of a model.
    let description = Description::of(config.as_deref(), open_clip.as_deref(), &[]);
    description.map_or(Ok(()), |description| check(&description).map_err(Fault::Wrong))
}

#[cfg(test)]
mod tests;
