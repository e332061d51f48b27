//! The files of a model, and the role of each among the sources of a stage.

use std::path::{Path, PathBuf};

/// The files of a text encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextModelFiles {
    /// Their folder.
    pub folder: PathBuf,
    /// `config.json`.
    pub config: PathBuf,
    /// `vocab.txt`, or `tokenizer.json` when there is no `vocab.txt`.
    pub vocab: PathBuf,
    /// `tokenizer.json` beside `vocab.txt`: transformers loads it, and both must hold the same words.
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
        let optional = [
            ("tokenizer", &self.tokenizer),
            ("tokenizer-config", &self.tokenizer_config),
            ("added-tokens", &self.added_tokens),
            ("special-tokens", &self.special_tokens_map),
            ("modules", &self.modules),
            ("sentence-config", &self.sentence_config),
            ("prompts", &self.prompts),
        ];
        let required = [("config", self.config.as_path()), ("vocab", self.vocab.as_path())];
        let there = optional.into_iter().filter_map(|(role, path)| Some((role, path.as_deref()?)));
        required.into_iter().chain(there).collect()
    }
}

/// The files of an image encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageModelFiles {
    /// The path or name by which the model was found.
    pub model: String,
    /// `config.json` beside the weights, if it exists.
    pub config: Option<PathBuf>,
    /// `preprocessor_config.json` beside the weights, if it exists.
    pub preprocessor: Option<PathBuf>,
    /// The weights.
    pub weights: PathBuf,
}

impl ImageModelFiles {
    /// These weights, found as `model`, with the files beside them.
    pub(crate) fn beside(weights: &Path, model: &str) -> Self {
        let beside = |name: &str| Some(weights.with_file_name(name)).filter(|path| path.is_file());
        Self {
            model: model.to_owned(),
            config: beside("config.json"),
            preprocessor: beside("preprocessor_config.json"),
            weights: weights.to_owned(),
        }
    }

    /// The files beside the weights that are read with every use of the model, with their roles.
    pub fn settings(&self) -> Vec<(&'static str, &Path)> {
        let optional = [("config", &self.config), ("preprocessor", &self.preprocessor)];
        optional.into_iter().filter_map(|(role, path)| Some((role, path.as_deref()?))).collect()
    }
}
