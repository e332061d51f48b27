//! Finds the files of a model: a folder, a Hugging Face cache, a torch hub checkpoint. Downloads nothing.

use std::path::{Path, PathBuf};

use super::{ModelError, hub};

const TEXT_NEEDED: &str = "a folder of the Hugging Face layout with config.json, vocab.txt or tokenizer.json, and \
                           model.safetensors or pytorch_model.bin (or their shards)";
const IMAGE_NEEDED: &str = "a checkpoint file (.safetensors, .pth, .pt or .bin) or a folder that holds \
                            model.safetensors, pytorch_model.bin or one such file";

/// Where bare model names are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelSearch {
    /// The folders, the first one first. In each, also its `hub`, `checkpoints` and `hub/checkpoints` are looked at,
    /// where Hugging Face and torch keep their downloads.
    pub folders: Vec<PathBuf>,
}

/// The files of a text encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextModelFiles {
    /// The folder that holds them.
    pub folder: PathBuf,
    /// `config.json`.
    pub config: PathBuf,
    /// `vocab.txt`, or `tokenizer.json` when there is no `vocab.txt`.
    pub vocab: PathBuf,
    /// `tokenizer_config.json`, if it is there.
    pub tokenizer_config: Option<PathBuf>,
    /// The weights, or their shards in the order of their names.
    pub weights: Vec<PathBuf>,
}

/// The files of an image encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageModelFiles {
    /// `config.json` beside the weights, if it is there.
    pub config: Option<PathBuf>,
    /// The weights.
    pub weights: PathBuf,
}

/// Finds a text encoder by absolute path or by bare name, such as `bert-base-chinese`.
///
/// An absolute path may also be the place where a cached model of that name would lie.
///
/// # Errors
/// When no place holds all files; the error names every place and what it lacks.
pub fn find_text_model(model: &str, search: &ModelSearch) -> Result<TextModelFiles, ModelError> {
    first_usable(model, search, &hub::TEXT, TEXT_NEEDED, text_files)
}

/// Finds an image encoder by absolute path or by bare name, such as `resnet50`: timm's default weights of that name,
/// else torchvision's.
///
/// # Errors
/// When no place holds weights; the error names every place and what it lacks.
pub fn find_image_model(model: &str, search: &ModelSearch) -> Result<ImageModelFiles, ModelError> {
    first_usable(model, search, &hub::IMAGE, IMAGE_NEEDED, image_files)
}

/// Every file and folder, there or not, that [`find_text_model`] looks at beside the files that it finds.
pub fn text_model_places(model: &str, search: &ModelSearch) -> Vec<PathBuf> {
    hub::looked_at(model, &search.folders, &hub::TEXT)
}

/// Every file and folder, there or not, that [`find_image_model`] looks at beside the files that it finds.
pub fn image_model_places(model: &str, search: &ModelSearch) -> Vec<PathBuf> {
    hub::looked_at(model, &search.folders, &hub::IMAGE)
}

/// What is wrong with a place.
type Why = String;

fn first_usable<T>(
    model: &str,
    search: &ModelSearch,
    family: &hub::Family,
    needed: &'static str,
    files: fn(&Path) -> Result<T, Why>,
) -> Result<T, ModelError> {
    let mut looked_in = Vec::new();
    for place in hub::places(model, &search.folders, family) {
        match files(&place) {
            Ok(found) => return Ok(found),
            Err(why) => looked_in.push((place, why)),
        }
    }
    Err(ModelError::NotFound { family: family.name, model: model.to_owned(), needed, looked_in })
}

fn text_files(place: &Path) -> Result<TextModelFiles, Why> {
    let folder = hub::model_folder(place)?;
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let config = file("config.json").ok_or("no `config.json`")?;
    let vocab = file("vocab.txt").or_else(|| file("tokenizer.json")).ok_or("no `vocab.txt` or `tokenizer.json`")?;
    let weights = text_weights(&folder)?;
    Ok(TextModelFiles { config, vocab, tokenizer_config: file("tokenizer_config.json"), weights, folder })
}

/// Whole files before shards, safetensors before pickles, as transformers does.
fn text_weights(folder: &Path) -> Result<Vec<PathBuf>, Why> {
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

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, Why> {
    let index: ShardIndex = super::read_json(index).map_err(|error| error.to_string())?;
    let names: std::collections::BTreeSet<_> = index.weight_map.into_values().collect();
    names.into_iter().map(|name| checked_shard(folder, &name)).collect()
}

fn checked_shard(folder: &Path, name: &str) -> Result<PathBuf, Why> {
    let path = folder.join(name);
    if path.is_file() { Ok(path) } else { Err(format!("no `{name}`, which the index of its weights names")) }
}

fn image_files(place: &Path) -> Result<ImageModelFiles, Why> {
    if place.is_file() {
        return Ok(ImageModelFiles { config: config_beside(place), weights: place.to_owned() });
    }
    let folder = hub::model_folder(place)?;
    let known = hub::WEIGHT_FILES.map(|name| folder.join(name));
    let weights = match known.into_iter().find(|path| path.is_file()) {
        Some(path) => path,
        None => hub::only(hub::checkpoints_in(&folder), "checkpoint")?,
    };
    Ok(ImageModelFiles { config: config_beside(&weights), weights })
}

fn config_beside(weights: &Path) -> Option<PathBuf> {
    Some(weights.with_file_name("config.json")).filter(|path| path.is_file())
}
