//! The files of a model, and the role of each among the sources of a stage.

use std::path::{Path, PathBuf};

use super::{Description, ModelError};

/// The files of a text encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextModelFiles {
    /// Their folder.
    pub folder: PathBuf,
    /// `config.json`; a model in OpenCLIP's or in cn_clip's own form has none.
    pub config: Option<PathBuf>,
    /// `open_clip_config.json`, in place of `config.json`.
    pub open_clip: Option<PathBuf>,
    /// `vocab.txt`, else `tokenizer.json`, else `vocab.json`.
    pub vocab: PathBuf,
    /// `merges.txt` beside a `vocab.json`.
    pub merges: Option<PathBuf>,
    /// `tokenizer.json` beside `vocab.txt`: it is what transformers loads, and both must hold the same words.
    pub tokenizer: Option<PathBuf>,
    /// `tokenizer_config.json`, if it exists.
    pub tokenizer_config: Option<PathBuf>,
    /// `added_tokens.json`, if it exists and `tokenizer_config.json` does not supersede it.
    pub added_tokens: Option<PathBuf>,
    /// `special_tokens_map.json`, if it exists and `tokenizer_config.json` does not supersede it.
    pub special_tokens_map: Option<PathBuf>,
    /// `modules.json` of sentence-transformers, if it exists.
    pub modules: Option<PathBuf>,
    /// `sentence_bert_config.json` beside the model of sentence-transformers.
    pub sentence_config: Option<PathBuf>,
    /// `config_sentence_transformers.json`, which may put a prompt before every text.
    pub prompts: Option<PathBuf>,
    /// The weights, or their shards in the order of their names.
    pub weights: Vec<PathBuf>,
}

impl TextModelFiles {
    /// The files beside the weights that are read with every use of the model, with their roles.
    pub fn settings(&self) -> Vec<(&'static str, &Path)> {
        let files = [
            ("config", self.config.as_deref()),
            ("open-clip-config", self.open_clip.as_deref()),
            ("vocab", Some(self.vocab.as_path())),
            ("merges", self.merges.as_deref()),
            ("tokenizer", self.tokenizer.as_deref()),
            ("tokenizer-config", self.tokenizer_config.as_deref()),
            ("added-tokens", self.added_tokens.as_deref()),
            ("special-tokens", self.special_tokens_map.as_deref()),
            ("modules", self.modules.as_deref()),
            ("sentence-config", self.sentence_config.as_deref()),
            ("prompts", self.prompts.as_deref()),
        ];
        files.into_iter().filter_map(|(role, path)| Some((role, path?))).collect()
    }

    /// `config.json`, for a family that has nothing else to go by.
    ///
    /// # Errors
    /// When the model has none.
    pub(crate) fn required_config(&self) -> Result<&Path, ModelError> {
        let missing = || ModelError::Malformed { path: self.folder.clone(), problem: "has no `config.json`".into() };
        self.config.as_deref().ok_or_else(missing)
    }

    /// The description of the model by these files.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(crate) fn describe(&self) -> Result<Description, ModelError> {
        Description::of(self.config.as_deref(), self.open_clip.as_deref(), &self.weights)
    }
}

/// The files of an image encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageModelFiles {
    /// The path or name by which the model was found.
    pub model: String,
    /// `config.json` beside the weights, if it is there and describes them.
    pub config: Option<PathBuf>,
    /// `open_clip_config.json`, in place of `config.json`.
    pub open_clip: Option<PathBuf>,
    /// `preprocessor_config.json` beside the weights, if it is there.
    pub preprocessor: Option<PathBuf>,
    /// The weights, or their shards in the order of their names.
    pub weights: Vec<PathBuf>,
}

impl ImageModelFiles {
    /// These weights, found as `model`, with what lies beside the first of them.
    pub(crate) fn beside(weights: Vec<PathBuf>, model: &str) -> Self {
        let beside = |name: &str| weights.first().map(|path| path.with_file_name(name)).filter(|path| path.is_file());
        Self {
            model: model.to_owned(),
            config: beside("config.json"),
            open_clip: None,
            // transformers prefers the newer file, in which older versions wrote nothing of images.
            preprocessor: beside("processor_config.json")
                .filter(|path| describes_images(path))
                .or_else(|| beside("preprocessor_config.json")),
            weights,
        }
    }

    /// The files beside the weights that are read with every use of the model, with their roles.
    pub fn settings(&self) -> Vec<(&'static str, &Path)> {
        let files = [
            ("config", self.config.as_deref()),
            ("preprocessor", self.preprocessor.as_deref()),
            ("open-clip-config", self.open_clip.as_deref()),
        ];
        files.into_iter().filter_map(|(role, path)| Some((role, path?))).collect()
    }

    /// The description of the model by these files.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(crate) fn describe(&self) -> Result<Description, ModelError> {
        Description::of(self.config.as_deref(), self.open_clip.as_deref(), &self.weights)
    }
}

/// Whether a `processor_config.json` has an image processor.
fn describes_images(path: &Path) -> bool {
    super::read_config(path).is_ok_and(|config| config.get("image_processor").is_some_and(serde_json::Value::is_object))
}
