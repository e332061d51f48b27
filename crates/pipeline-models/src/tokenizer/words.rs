//! Which of a model's files hold its tokens.

use std::path::{Path, PathBuf};

use super::vocabulary::LoadedWords;
use super::{TokenizerFamily, TokenizerSettings, pairs, unsupported, vocabulary};
use crate::weights::{ModelError, TextModelFiles};

/// The files that hold the tokens of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WordFiles {
    /// `tokenizer.json`, which the `tokenizers` library executes.
    Json(PathBuf),
    /// `vocab.txt`, one token a line.
    Lines(PathBuf),
    /// `vocab.json` and `merges.txt`: tokens, and the pairs that are joined to longer ones.
    Pairs {
        /// Tokens and their ids.
        vocab: PathBuf,
        /// The pairs in the order in which they are joined.
        merges: PathBuf,
    },
}

impl WordFiles {
    /// The files that a family reads: `tokenizer.json` wherever there is one, as transformers does.
    ///
    /// # Errors
    /// When only files are there that the family's tokens cannot be made from.
    pub(super) fn of(family: TokenizerFamily, files: &TextModelFiles) -> Result<Self, ModelError> {
        let vocab = &files.vocab;
        if let Some(json) = files.tokenizer.as_ref().or(Some(vocab).filter(|path| is_named(path, "tokenizer.json"))) {
            return Ok(Self::Json(json.clone()));
        }
        match (family, &files.merges) {
            (TokenizerFamily::Bert, None) => Ok(Self::Lines(vocab.clone())),
            (TokenizerFamily::Clip, Some(merges)) => Ok(Self::Pairs { vocab: vocab.clone(), merges: merges.clone() }),
            _ => Err(unsupported(vocab, NO_JSON.into())),
        }
    }

    /// Loads the words, with the settings that change them.
    ///
    /// # Errors
    /// When a file cannot be read or used, or contradicts a setting.
    pub(super) fn load(
        &self,
        settings: &TokenizerSettings,
        lower_case: Option<bool>,
    ) -> Result<LoadedWords, ModelError> {
        match self {
            Self::Json(path) => {
                let text = pipeline_files::read(path);
                let text = text.map_err(|source| ModelError::Read { path: path.clone(), source })?;
                vocabulary::from_json(&text, path, settings, lower_case)
            }
            Self::Lines(path) => vocabulary::from_text(path, settings, lower_case),
            Self::Pairs { vocab, merges } => {
                let json = pairs::to_json(vocab, merges, settings)?.to_string();
                vocabulary::from_json(json.as_bytes(), vocab, settings, lower_case)
            }
        }
    }
}

const NO_JSON: &str = "there is no `tokenizer.json`; AutoTokenizer.from_pretrained(…).save_pretrained(…) writes one";

fn is_named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|own| own == name)
}
