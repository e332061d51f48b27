//! Finds the files of a model: a folder, a Hugging Face cache, a torch hub checkpoint. Downloads nothing.

use std::path::{Path, PathBuf};

use super::hub::{self, Place};
use super::{ImageModelFiles, ModelError, TextModelFiles, family};

const TEXT_NEEDED: &str = "a folder of the Hugging Face layout with config.json, vocab.txt or tokenizer.json, and \
                           model.safetensors or pytorch_model.bin (or their shards)";
const IMAGE_NEEDED: &str = "a checkpoint file (.safetensors, .pth, .pt or .bin) or a folder that holds \
                            model.safetensors, pytorch_model.bin or one such file";

/// The places in which bare model names are searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelSearch {
    /// The folders, in order of preference. Each is searched with its `hub`, `checkpoints` and `hub/checkpoints`, where
    /// Hugging Face and torch keep their downloads.
    pub folders: Vec<PathBuf>,
    /// Unset variables that would name more folders, such as `HF_HOME`: for the message about a missing model.
    pub unset: Vec<String>,
}

/// Finds a text encoder by absolute path or by bare name, such as `bert-base-chinese`.
///
/// An absolute path may also be one at which a cached model with that name would lie.
///
/// # Errors
/// When no place holds all files: the error names every place and its missing files. When the first place that holds a
/// model holds several, or one of another family.
pub fn find_text_model(model: &str, search: &ModelSearch) -> Result<TextModelFiles, ModelError> {
    first_usable(model, search, &hub::TEXT, TEXT_NEEDED, &text_files)
}

/// Finds an image encoder by absolute path or by bare name, such as `resnet50`: timm's default weights with that name,
/// else torchvision's.
///
/// # Errors
/// As [`find_text_model`].
pub fn find_image_model(model: &str, search: &ModelSearch) -> Result<ImageModelFiles, ModelError> {
    first_usable(model, search, &hub::IMAGE, IMAGE_NEEDED, &|place| image_files(place, model))
}

/// Every file and folder, present or missing, that [`find_text_model`] examines beside the files that it finds.
pub fn text_model_places(model: &str, search: &ModelSearch) -> Vec<PathBuf> {
    hub::looked_at(model, &search.folders, &hub::TEXT)
}

/// Every file and folder, present or missing, that [`find_image_model`] examines beside the files that it finds.
pub fn image_model_places(model: &str, search: &ModelSearch) -> Vec<PathBuf> {
    hub::looked_at(model, &search.folders, &hub::IMAGE)
}

/// The names beside the expected place of a text encoder with this name or path: candidates for a misspelt one.
pub fn text_models_near(model: &str, search: &ModelSearch) -> Vec<String> {
    models_near(model, search, &hub::TEXT)
}

/// The names beside the expected place of an image encoder with this name or path: candidates for a misspelt one.
pub fn image_models_near(model: &str, search: &ModelSearch) -> Vec<String> {
    models_near(model, search, &hub::IMAGE)
}

fn models_near(model: &str, search: &ModelSearch, family: &hub::Family) -> Vec<String> {
    let path = Path::new(model);
    match path.parent() {
        Some(parent) if path.is_absolute() => {
            let names = hub::names_in(parent, family).into_iter();
            names.map(|name| parent.join(name).to_string_lossy().into_owned()).collect()
        }
        _ => hub::roots(&search.folders).flat_map(|root| hub::names_in(&root, family)).collect(),
    }
}

/// The reason why a place gives no model.
enum Fault {
    /// A file is missing: the next place may have it.
    Lacks(String),
    /// The model exists and cannot be used, or another one fits equally well.
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
    needed: &'static str,
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

fn text_files(place: &Path) -> Result<TextModelFiles, Fault> {
    let root = hub::model_folder(place)?;
    let file_in = |folder: &Path, name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let modules = file_in(&root, "modules.json");
    // Older folders of sentence-transformers keep the model itself one level deeper.
    let below = Some(root.join("0_Transformer")).filter(|below| modules.is_some() && below.is_dir());
    let folder = below.filter(|_| file_in(&root, "config.json").is_none()).unwrap_or_else(|| root.clone());
    let file = |name: &str| file_in(&folder, name);
    let Some(config) = file("config.json") else { return Err(without_config(&folder)) };
    let check_family = || match family::of_text_file(&config) {
        Some(what) => Err(Fault::Wrong(ModelError::Unsupported { path: config.clone(), what })),
        None => Ok(()),
    };
    let (vocab, tokenizer) = match (file("vocab.txt"), file("tokenizer.json")) {
        (Some(vocab), tokenizer) => (vocab, tokenizer),
        (None, Some(tokenizer)) => (tokenizer, None),
        (None, None) => {
            check_family()?;
            return Err("no `vocab.txt` or `tokenizer.json`".into());
        }
    };
    let weights = text_weights(&folder).or_else(|why| check_family().and(Err(why.into())))?;
    let tokenizer_config = file("tokenizer_config.json");
    // transformers reads these two only where the newer file has no added tokens.
    let is_newer = tokenizer_config.as_deref().is_some_and(says_added_tokens);
    let older = |name: &str| file(name).filter(|_| !is_newer);
    Ok(TextModelFiles {
        config,
        vocab,
        tokenizer,
        added_tokens: older("added_tokens.json"),
        special_tokens_map: older("special_tokens_map.json"),
        tokenizer_config,
        weights,
        sentence_config: modules.as_ref().and_then(|_| file("sentence_bert_config.json")),
        prompts: modules.as_ref().and_then(|_| file_in(&root, "config_sentence_transformers.json")),
        modules,
        folder,
    })
}

fn says_added_tokens(tokenizer_config: &Path) -> bool {
    let config = super::read_json::<serde_json::Value>(tokenizer_config);
    config.is_ok_and(|config| config.get("added_tokens_decoder").is_some())
}

/// A folder without `config.json` may be of a library with a file of another name.
fn without_config(folder: &Path) -> Fault {
    let open_clip = folder.join("open_clip_config.json");
    match open_clip.is_file() {
        true => Fault::Wrong(ModelError::Unsupported { path: open_clip, what: "it is a model of OpenCLIP".into() }),
        false => "no `config.json`".into(),
    }
}

/// Whole files before shards, safetensors before pickles, as in transformers.
fn text_weights(folder: &Path) -> Result<Vec<PathBuf>, String> {
    for name in hub::WEIGHT_FILES {
        let whole = folder.join(name);
        if whole.is_file() {
            return Ok(vec![whole]);
        }
        let index = folder.join(format!("{name}.index.json"));
        if index.is_file() {
            return shards(folder, &index);
        }
    }
    Err("no `model.safetensors` or `pytorch_model.bin`".into())
}

#[derive(serde::Deserialize)]
struct ShardIndex {
    weight_map: std::collections::BTreeMap<String, String>,
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, String> {
    let index: ShardIndex = super::read_json(index).map_err(|error| error.to_string())?;
    let names: std::collections::BTreeSet<_> = index.weight_map.into_values().collect();
    names.into_iter().map(|name| checked_shard(folder, &name)).collect()
}

fn checked_shard(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(format!("no `{name}`, which the index of its weights names")) }
}

fn image_files(place: &Path, model: &str) -> Result<ImageModelFiles, Fault> {
    if place.is_file() {
        return Ok(ImageModelFiles::beside(place, model));
    }
    let folder = hub::model_folder(place)?;
    let known = hub::WEIGHT_FILES.map(|name| folder.join(name));
    let weights = match known.into_iter().find(|path| path.is_file()) {
        Some(path) => path,
        None => only_checkpoint(&folder, model)?,
    };
    let open_clip = folder.join("open_clip_config.json");
    if open_clip.is_file() && !folder.join("config.json").is_file() {
        return Err(without_config(&folder));
    }
    Ok(ImageModelFiles::beside(&weights, model))
}

/// The only checkpoint in a folder without weights of a known name.
fn only_checkpoint(folder: &Path, model: &str) -> Result<PathBuf, Fault> {
    let mut found = hub::checkpoints_in(folder);
    match found.len() {
        0 => match family::of_image_file(&folder.join("config.json")) {
            Some(what) => Err(Fault::Wrong(ModelError::Unsupported { path: folder.join("config.json"), what })),
            None => Err("no checkpoint".into()),
        },
        1 => Ok(found.remove(0)),
        _ => Err(Fault::Wrong(ambiguous(model, &hub::IMAGE, found))),
    }
}

#[cfg(test)]
mod tests;
