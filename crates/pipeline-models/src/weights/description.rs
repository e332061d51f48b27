//! The description of a model by its own files: read first and alone, before tokens, pixels or numbers.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{CheckpointFile, ModelError, read_config};

/// The description of a model by its own files.
#[derive(Debug)]
pub(crate) struct Description {
    /// The file that describes it.
    pub(crate) path: PathBuf,
    pub(crate) said: Said,
}

/// The form in which a model describes itself.
#[derive(Debug)]
pub(crate) enum Said {
    /// `config.json` of transformers or timm.
    Config(Map<String, Value>),
    /// `open_clip_config.json`.
    OpenClip(Map<String, Value>),
    /// The names of all tensors, without wrappers; empty where the checkpoint cannot be opened, which is an
    /// error once it is read.
    Tensors(Vec<String>),
}

impl Description {
    /// Reads the configuration of a model, or without one the names of its tensors.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(crate) fn of(config: Option<&Path>, open_clip: Option<&Path>, weights: &[PathBuf]) -> Result<Self, ModelError> {
        let (path, said) = match (config, open_clip) {
            (Some(path), _) => (path.to_owned(), Said::Config(read_config(path)?)),
            (None, Some(path)) => (path.to_owned(), Said::OpenClip(read_config(path)?)),
            (None, None) => (weights.first().cloned().unwrap_or_default(), Said::Tensors(tensor_names(weights))),
        };
        Ok(Self { path, said })
    }

    /// A text of `config.json`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.config()?.get(name)?.as_str()
    }

    /// `config.json`.
    pub(crate) fn config(&self) -> Option<&Map<String, Value>> {
        match &self.said {
            Said::Config(config) => Some(config),
            Said::OpenClip(_) | Said::Tensors(_) => None,
        }
    }

    /// The class that wrote `config.json`: the first of `architectures`.
    pub(crate) fn class(&self) -> Option<&str> {
        self.config()?.get("architectures")?.as_array()?.first()?.as_str()
    }

    /// timm's name of the architecture without the tag of its weights.
    pub(crate) fn architecture(&self) -> Option<&str> {
        self.text("architecture")?.split('.').next()
    }

    /// A part of OpenCLIP's `model_cfg`.
    pub(crate) fn open_clip_part(&self, name: &str) -> Option<&Value> {
        match &self.said {
            Said::OpenClip(config) => config.get("model_cfg")?.get(name),
            Said::Config(_) | Said::Tensors(_) => None,
        }
    }

    /// Whether there is no configuration and the tensors are those of a checkpoint of cn_clip.
    pub(crate) fn is_cn_clip(&self) -> bool {
        matches!(&self.said, Said::Tensors(names) if is_cn_clip(names))
    }

    /// Whether there is no configuration and a tensor has this name after any prefix.
    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        matches!(&self.said, Said::Tensors(names) if names.iter().any(|full| prefix(full, name).is_some()))
    }
}

/// Whether a checkpoint is one of cn_clip: a BERT and an image tower side by side, under OpenAI's names.
pub(super) fn is_cn_clip_file(path: &Path) -> bool {
    is_cn_clip(&tensor_names(std::slice::from_ref(&path.to_owned())))
}

fn is_cn_clip(names: &[String]) -> bool {
    let prefixes = names.iter().filter_map(|name| prefix(name, "bert.embeddings.word_embeddings.weight"));
    let has_image = |prefix: &str| names.iter().any(|name| name.strip_prefix(prefix).is_some_and(is_visual));
    prefixes.into_iter().any(has_image)
}

fn is_visual(name: &str) -> bool {
    name.starts_with("visual.")
}

/// What precedes `ending` in a name, with the dot; empty if nothing does.
fn prefix<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    name.strip_suffix(ending).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}

fn tensor_names(weights: &[PathBuf]) -> Vec<String> {
    weights.iter().filter_map(|path| CheckpointFile::open(path).ok()).flat_map(|file| file.names()).collect()
}
