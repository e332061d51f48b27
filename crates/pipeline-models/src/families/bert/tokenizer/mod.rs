//! Splits texts into the tokens of a BERT vocabulary.
//!
//! This is the tokenizer of `transformers` (its Rust part), with all token settings of a model's folder. The former
//! Python tokenizer differs on unassigned Unicode code points: Python dropped them, here they stay and make their word
//! unknown.

mod settings;
mod vocabulary;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tokenizers::processors::bert::BertProcessing;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{AddedToken, Tokenizer, TruncationParams};

use crate::weights::{ModelError, TextModelFiles};

pub(super) use settings::TokenizerSettings;

/// A tokenizer that puts `[CLS]` before and `[SEP]` after a text, and truncates long texts.
pub(super) struct BertTokenizer {
    inner: Tokenizer,
}

/// The caller's choices about tokens.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TokenizerOptions {
    /// Overrides `tokenizer_config.json`. Without either, texts are lower-cased, as transformers does.
    pub(super) lower_case: Option<bool>,
    /// The most tokens of a text, with `[CLS]` and `[SEP]`.
    pub(super) max_length: usize,
    /// The number of tokens in the model's embedding.
    pub(super) n_known: usize,
}

impl BertTokenizer {
    /// Loads the vocabulary and all files beside it that change tokens.
    ///
    /// # Errors
    /// When a file cannot be read, contradicts another or needs an unsupported computation. When the vocabulary lacks a
    /// special token, or the model's embedding lacks a token.
    pub(super) fn load(files: &TextModelFiles, options: &TokenizerOptions) -> Result<Self, ModelError> {
        let settings = TokenizerSettings::read(files)?;
        let unusable = |source| ModelError::Tokenizer { path: files.vocab.clone(), source };
        let json = files.tokenizer.as_ref().or(Some(&files.vocab).filter(|path| is_json(path)));
        let (mut inner, cut_left) = match json {
            Some(path) => vocabulary::from_json(path, &settings, options.lower_case)?,
            None => (vocabulary::from_text(&files.vocab, &settings, options.lower_case)?, false),
        };
        if files.tokenizer.is_some() {
            vocabulary::compare(&inner, files)?;
        }
        add_tokens(&mut inner, &settings, options.n_known).map_err(unusable)?;
        if json.is_none() {
            let id = |token: &str| vocabulary::id(&inner, token).map(|id| (token.to_owned(), id));
            let ends = BertProcessing::new(id(&settings.sep).map_err(unusable)?, id(&settings.cls).map_err(unusable)?);
            inner.with_post_processor(Some(ends));
        }
        inner.set_encode_special_tokens(settings.specials_are_text);
        let left = settings.cut_left.unwrap_or(cut_left);
        let direction = if left { TruncationDirection::Left } else { TruncationDirection::Right };
        let truncation = TruncationParams { max_length: options.max_length, direction, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(unusable)?.with_padding(None);
        let tokenizer = Self { inner };
        tokenizer.check_ends(&settings).map_err(unusable)?;
        tokenizer.check_ids(files, options.n_known)?;
        Ok(tokenizer)
    }

    /// The token ids of a text.
    ///
    /// # Errors
    /// When the tokenizer's model cannot express the text.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, tokenizers::Error> {
        Ok(self.inner.encode_fast(text, true)?.get_ids().to_vec())
    }

    /// Writes the tokenizer as a `tokenizer.json`.
    #[cfg(test)]
    pub(super) fn save(&self, path: &Path) {
        self.inner.save(path, false).unwrap();
    }

    /// Checks the first and last token: the encoder uses a text's first token as `[CLS]`.
    fn check_ends(&self, settings: &TokenizerSettings) -> Result<(), tokenizers::Error> {
        let ids = self.ids("")?;
        let is = |place: usize, token: &str| self.inner.token_to_id(token).is_none_or(|id| ids.get(place) == Some(&id));
        if ids.len() == 2 && is(0, &settings.cls) && is(1, &settings.sep) {
            return Ok(());
        }
        Err(format!("it does not put `{}` before and `{}` after a text", settings.cls, settings.sep).into())
    }

    /// Refuses tokens without a row in the embedding, which cannot be computed.
    fn check_ids(&self, files: &TextModelFiles, n_known: usize) -> Result<(), ModelError> {
        // An empty token, from a blank line, never occurs in a text.
        let ids = self.inner.get_vocab(true).into_iter().filter(|(token, _)| !token.is_empty());
        let Some((token, id)) = ids.max_by_key(|(_, id)| *id).filter(|(_, id)| *id as usize >= n_known) else {
            return Ok(());
        };
        let problem = format!("has a token of id {id}, `{token}`, and the model knows only {n_known} tokens");
        Err(ModelError::Malformed { path: files.vocab.clone(), problem })
    }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Adds the tokens in the settings, in transformers' order, which decides the ids of new ones.
fn add_tokens(inner: &mut Tokenizer, settings: &TokenizerSettings, n_known: usize) -> Result<(), tokenizers::Error> {
    let is_added = |content: &str| settings.added.values().any(|token| token.content == content);
    for end in [&settings.cls, &settings.sep].into_iter().filter(|end| !is_added(end)) {
        vocabulary::id(inner, end)?;
    }
    let known: HashSet<String> =
        inner.get_added_tokens_decoder().into_values().map(|token: AddedToken| token.content).collect();
    let mut tokens: Vec<AddedToken> = settings.added.values().cloned().collect();
    let mut n_tokens = inner.get_vocab_size(true);
    n_tokens += tokens.iter().filter(|token| inner.token_to_id(&token.content).is_none()).count();
    for named in &settings.named {
        let content = &named.token.content;
        if known.contains(content) || tokens.iter().any(|token| token.content == *content) {
            continue;
        }
        if inner.token_to_id(content).is_none() {
            // An unused padding token has no row in the embedding of some models.
            if named.is_dispensable && n_tokens >= n_known {
                continue;
            }
            n_tokens += 1;
        }
        tokens.push(named.token.clone());
    }
    inner.add_tokens(&tokens);
    let moved = settings.added.iter().find(|(id, token)| inner.token_to_id(&token.content) != Some(**id));
    match moved {
        None => Ok(()),
        Some((id, token)) => {
            let found = inner.token_to_id(&token.content).map_or("none".to_owned(), |id| id.to_string());
            let file = settings.added_in.as_deref().map(file_name).unwrap_or_default();
            Err(format!("`{file}` gives `{}` the id {id}, but the vocabulary gives it {found}", token.content).into())
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The error for an unsupported setting.
fn unsupported(path: &Path, what: String) -> ModelError {
    ModelError::Unsupported { path: PathBuf::from(path), what }
}

#[cfg(test)]
mod tests;
