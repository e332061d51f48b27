//! The modules of a sentence-transformers folder, in their order.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Pooling;
use crate::weights::{ModelError, TextModelFiles, read_config, read_json};

/// The settings with which sentence-transformers would encode; a folder without `modules.json` has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SentenceSettings {
    /// The pooling of the token vectors.
    pub(super) pooling: Option<Result<Pooling, ModeNotComputed>>,
    /// The file with the pooling.
    pub(super) pooling_file: Option<PathBuf>,
    /// Whether there are any settings.
    pub(super) is_there: bool,
    /// The most tokens of a text; longer ones are truncated.
    pub(super) max_length: Option<usize>,
    /// Whether vectors are divided by their lengths.
    pub(super) normalize: bool,
    /// Whether texts are lower-cased, whatever the tokenizer does.
    pub(super) lower_case: bool,
}

/// An unsupported mode of pooling, by its name in the file: an error only if the user has not chosen another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModeNotComputed(pub(super) String);

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    class: String,
}

/// The flags of older versions; newer ones have one `pooling_mode`.
const MODES: &[(&str, &str)] = &[
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

impl SentenceSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or names an unsupported module or setting.
    pub(super) fn read(files: &TextModelFiles) -> Result<Self, ModelError> {
        let Some(path) = &files.modules else { return Ok(Self::default()) };
        let modules: Vec<Module> = read_json(path)?;
        let unsupported = |what| Err(ModelError::Unsupported { path: path.clone(), what });
        let mut settings = Self { is_there: true, ..Self::default() };
        for (module_idx, module) in modules.iter().enumerate() {
            let class = module.class.rsplit('.').next().unwrap_or_default();
            match (class, module_idx) {
                ("Transformer", 0) => settings.read_transformer(files)?,
                ("Pooling", 1) => settings.read_pooling(&path.with_file_name(&module.path))?,
                ("Normalize", 2..) => settings.normalize = true,
                // Drops numbers in training only.
                ("Dropout", 2..) => (),
                _ => return unsupported(format!("module {module_idx}, `{}`, is not computed here", module.class)),
            }
        }
        if settings.pooling.is_none() {
            return unsupported("it has no module `Pooling`, so that a text has no single vector".into());
        }
        if let Some(path) = &files.prompts {
            check_prompts(path)?;
        }
        Ok(settings)
    }

    fn read_transformer(&mut self, files: &TextModelFiles) -> Result<(), ModelError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Transformer {
            max_seq_length: Option<usize>,
            do_lower_case: bool,
        }
        let Some(path) = &files.sentence_config else { return Ok(()) };
        let transformer: Transformer = read_json(path)?;
        if transformer.max_seq_length.is_some_and(|length| length < 2) {
            let what = "`max_seq_length` leaves no room for `[CLS]` and `[SEP]`".into();
            return Err(ModelError::Unsupported { path: path.clone(), what });
        }
        self.max_length = transformer.max_seq_length;
        self.lower_case = transformer.do_lower_case;
        Ok(())
    }

    fn read_pooling(&mut self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join("config.json");
        let config = read_config(&path)?;
        let pooling = match modes(&config).as_slice() {
            ["cls"] => Ok(Pooling::Cls),
            ["mean"] => Ok(Pooling::Mean),
            modes => Err(ModeNotComputed(modes.join(" and "))),
        };
        self.pooling = Some(pooling);
        self.pooling_file = Some(path);
        Ok(())
    }
}

/// The modes whose vectors are concatenated.
fn modes(config: &Map<String, Value>) -> Vec<&str> {
    match config.get("pooling_mode") {
        Some(Value::String(mode)) => vec![mode],
        Some(Value::Array(modes)) => modes.iter().filter_map(Value::as_str).collect(),
        _ => {
            let is_set = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
            let set: Vec<&str> = MODES.iter().filter(|(name, _)| is_set(name)).map(|(_, mode)| *mode).collect();
            // The default of sentence-transformers.
            if set.is_empty() { vec!["mean"] } else { set }
        }
    }
}

/// Refuses a prompt that sentence-transformers puts before every text by default.
fn check_prompts(path: &Path) -> Result<(), ModelError> {
    let config = read_config(path)?;
    let Some(name) = config.get("default_prompt_name").and_then(Value::as_str) else { return Ok(()) };
    let prompt = config.get("prompts").and_then(|prompts| prompts.get(name)).and_then(Value::as_str);
    match prompt.filter(|prompt| !prompt.is_empty()) {
        None => Ok(()),
        Some(prompt) => {
            let what = format!("`default_prompt_name` puts `{prompt}` before every text");
            Err(ModelError::Unsupported { path: path.to_owned(), what })
        }
    }
}

#[cfg(test)]
mod tests;
