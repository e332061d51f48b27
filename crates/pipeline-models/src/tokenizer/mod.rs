//! Splits texts into the tokens of a model, as the Rust tokenizers of transformers do.
//!
//! A model's folder says everything: `vocab.txt`, `tokenizer.json`, or CLIP's `vocab.json` and `merges.txt`, and the
//! settings beside them. The former Python tokenizer of BERT differs on code points that Unicode has not assigned:
//! Python dropped them, here they stay and make their word unknown.

mod added;
mod cleaning;
mod family;
mod fields;
mod json;
mod pairs;
mod settings;
mod special;
mod unknown;
mod vocabulary;
mod words;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokenizers::processors::bert::BertProcessing;
use tokenizers::utils::padding::{PaddingDirection, PaddingParams, PaddingStrategy};
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{Tokenizer, TruncationParams};

use crate::weights::{ModelError, TextModelFiles};

pub use cleaning::Cleaning;
pub(crate) use family::TokenizerFamily;
pub(crate) use settings::TokenizerSettings;
pub use unknown::TokenCount;

use unknown::Meanings;
use vocabulary::LoadedWords;
use words::WordFiles;

/// A tokenizer that puts a model's own tokens before and after a text, and cuts long texts.
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    cleaning: Cleaning,
    meanings: Meanings,
}

/// What the caller decides about tokens.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokenizerOptions {
    /// Overrides the model's files. Without either, BERT's texts are lower-cased, as transformers does.
    pub(crate) lower_case: Option<bool>,
    /// What is done to a text first.
    pub(crate) cleaning: Cleaning,
    /// Texts are cut to so many tokens, those before and after a text included; SigLIP's are padded to as many.
    pub(crate) max_length: usize,
    /// The tokens that the model's embedding knows.
    pub(crate) n_known: usize,
}

impl TextTokenizer {
    /// Loads the vocabulary and everything beside it that changes tokens.
    ///
    /// # Errors
    /// When a file cannot be read, contradicts another or asks for what is not supported, when the vocabulary lacks a
    /// special token, or when the model's embedding does not know a token.
    pub(crate) fn load(
        family: TokenizerFamily,
        files: &TextModelFiles,
        options: &TokenizerOptions,
    ) -> Result<Self, ModelError> {
        let settings = TokenizerSettings::read(family, files)?;
        let unusable = |source| ModelError::Tokenizer { path: files.vocab.clone(), source };
        let words = WordFiles::of(family, files)?;
        let LoadedWords { tokenizer: mut inner, cuts_left, spelling, unknown } =
            words.load(&settings, options.lower_case)?;
        if family == TokenizerFamily::Bert && files.tokenizer.is_some() {
            vocabulary::compare(&inner, files)?;
        }
        added::add_tokens(&mut inner, &settings, options.n_known).map_err(unusable)?;
        if let (WordFiles::Lines(_), Some(first), Some(last)) = (&words, &settings.first, &settings.last) {
            let id = |token: &String| vocabulary::id(&inner, token).map(|id| (token.clone(), id));
            let ends = BertProcessing::new(id(last).map_err(unusable)?, id(first).map_err(unusable)?);
            inner.with_post_processor(Some(ends));
        }
        inner.set_encode_special_tokens(settings.specials_are_text);
        let left = settings.cut_left.unwrap_or(cuts_left);
        let direction = if left { TruncationDirection::Left } else { TruncationDirection::Right };
        let truncation = TruncationParams { max_length: options.max_length, direction, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(unusable)?.with_padding(None);
        check_ends(&inner, &settings).map_err(unusable)?;
        let vocabulary = inner.get_vocab(true);
        check_ids(&vocabulary, files, options.n_known)?;
        let padding = padding(&inner, &settings, options.max_length).map_err(unusable)?;
        let ends = settings.ends().chain(settings.padding.iter().map(|(token, _)| token));
        let special: Vec<u32> = ends.filter_map(|token| inner.token_to_id(token)).chain(special_ids(&inner)).collect();
        // CLIP's unknown token is the one after a text, where it says nothing.
        let unknown = unknown.filter(|unknown| settings.ends().all(|end| inner.token_to_id(end) != Some(*unknown)));
        let meanings = Meanings::of(&vocabulary, spelling, unknown, &special);
        inner.with_padding(padding);
        Ok(Self { inner, cleaning: options.cleaning, meanings })
    }

    /// The ids of a text's tokens.
    ///
    /// # Errors
    /// When the tokenizer's model cannot express the text.
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>, tokenizers::Error> {
        Ok(self.inner.encode_fast(self.cleaning.apply(text), true)?.get_ids().to_vec())
    }

    /// Counts the tokens of a text by its ids, and of them those that are unknown or less than a character.
    pub(crate) fn count(&self, ids: &[u32]) -> TokenCount {
        self.meanings.count(ids)
    }

    /// Writes the tokenizer as a `tokenizer.json`.
    #[cfg(test)]
    pub(crate) fn save(&self, path: &Path) {
        self.inner.save(path, false).unwrap();
    }
}

/// The encoder takes the vector of a text at the place of one of these tokens.
fn check_ends(inner: &Tokenizer, settings: &TokenizerSettings) -> Result<(), tokenizers::Error> {
    let ids = inner.encode_fast("", true)?.get_ids().to_vec();
    let is = |id: &u32, token: &String| inner.token_to_id(token).is_none_or(|end| end == *id);
    if ids.len() == settings.ends().count() && ids.iter().zip(settings.ends()).all(|(id, token)| is(id, token)) {
        return Ok(());
    }
    let end = |token: &Option<String>| token.as_ref().map_or("nothing".to_owned(), |token| format!("`{token}`"));
    Err(format!("it does not put {} before and {} after a text", end(&settings.first), end(&settings.last)).into())
}

/// A token without a row in the embedding cannot be computed.
fn check_ids(vocabulary: &HashMap<String, u32>, files: &TextModelFiles, n_known: usize) -> Result<(), ModelError> {
    // An empty token, of a blank line, never comes out of a text.
    let ids = vocabulary.iter().filter(|(token, _)| !token.is_empty());
    let Some((token, id)) = ids.max_by_key(|(_, id)| **id).filter(|(_, id)| **id as usize >= n_known) else {
        return Ok(());
    };
    let problem = format!("has a token of id {id}, `{token}`, and the model knows only {n_known} tokens");
    Err(ModelError::Malformed { path: files.vocab.clone(), problem })
}

/// How texts are padded, if they are.
fn padding(
    inner: &Tokenizer,
    settings: &TokenizerSettings,
    max_length: usize,
) -> Result<Option<PaddingParams>, tokenizers::Error> {
    let Some((token, at_left)) = &settings.padding else { return Ok(None) };
    Ok(Some(PaddingParams {
        strategy: PaddingStrategy::Fixed(max_length),
        direction: if *at_left { PaddingDirection::Left } else { PaddingDirection::Right },
        pad_id: vocabulary::id(inner, token)?,
        pad_token: token.clone(),
        ..PaddingParams::default()
    }))
}

/// The ids of the added tokens that stand for no text.
fn special_ids(inner: &Tokenizer) -> impl Iterator<Item = u32> {
    inner.get_added_tokens_decoder().into_iter().filter(|(_, token)| token.special).map(|(id, _)| id)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A setting that is followed nowhere.
fn unsupported(path: &Path, what: String) -> ModelError {
    ModelError::Unsupported { path: PathBuf::from(path), what }
}

#[cfg(test)]
mod tests;
