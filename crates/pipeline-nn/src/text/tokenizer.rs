//! Splits texts into the tokens of a BERT vocabulary.
//!
//! This is the tokenizer of `transformers` (its Rust part). The former Python tokenizer differs from it on code points
//! that Unicode has not assigned: Python dropped them, here they stay and make their word unknown.

use std::path::Path;

use serde::Deserialize;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Tokenizer, TruncationParams};

use crate::weights::{ModelError, TextModelFiles, read_json};

/// Tokens that have a role: written in a text they are that token.
const SPECIAL_TOKENS: [&str; 5] = ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"];

/// A tokenizer that adds `[CLS]` and `[SEP]` and cuts long texts.
pub(super) struct BertTokenizer {
    inner: Tokenizer,
}

/// What `tokenizer_config.json` says, as far as it changes tokens.
#[derive(Debug, Default, Deserialize)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
}

impl BertTokenizer {
    /// Loads the vocabulary; texts are cut to `max_length` tokens, `[CLS]` and `[SEP]` included.
    ///
    /// `lower_case` overrides `tokenizer_config.json`. Without either, texts are lower-cased, as transformers does.
    ///
    /// # Errors
    /// When the vocabulary cannot be read or lacks a special token.
    pub(super) fn load(
        files: &TextModelFiles,
        lower_case: Option<bool>,
        max_length: usize,
    ) -> Result<Self, ModelError> {
        let config: TokenizerConfig = match &files.tokenizer_config {
            Some(path) => read_json(path)?,
            None => TokenizerConfig::default(),
        };
        let lower_case = lower_case.or(config.do_lower_case);
        let unusable = |source| ModelError::Tokenizer { path: files.vocab.clone(), source };
        let mut inner = if files.vocab.extension().is_some_and(|extension| extension == "json") {
            let mut inner = Tokenizer::from_file(&files.vocab).map_err(unusable)?;
            if lower_case.is_some() {
                inner.with_normalizer(Some(normalizer(&config, lower_case)));
            }
            inner
        } else {
            let mut inner = from_vocabulary(&files.vocab)?;
            inner.with_normalizer(Some(normalizer(&config, lower_case)));
            inner
        };
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(unusable)?.with_padding(None);
        let tokenizer = Self { inner };
        if tokenizer.ids("").map_err(unusable)?.len() != 2 {
            return Err(unusable("it does not put `[CLS]` before and `[SEP]` after a text".into()));
        }
        Ok(tokenizer)
    }

    /// The ids of a text's tokens.
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

    /// The largest id that a token may have.
    pub(super) fn max_id(&self) -> u32 {
        self.inner.get_vocab(true).into_values().max().unwrap_or(0)
    }
}

fn normalizer(config: &TokenizerConfig, lower_case: Option<bool>) -> BertNormalizer {
    let chinese = config.tokenize_chinese_chars.unwrap_or(true);
    BertNormalizer::new(true, chinese, config.strip_accents, lower_case.unwrap_or(true))
}

/// WordPiece over a `vocab.txt`, one token a line, the line's number its id.
fn from_vocabulary(path: &Path) -> Result<Tokenizer, ModelError> {
    let text = pipeline_files::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let unusable = |source| ModelError::Tokenizer { path: path.to_owned(), source };
    let vocabulary = WordPiece::read_bytes(&text).map_err(unusable)?;
    let id = |token: &str| vocabulary.get(token).copied().ok_or_else(|| unusable(format!("no token `{token}`").into()));
    id("[UNK]")?;
    let (separator, class) = (id("[SEP]")?, id("[CLS]")?);
    let special: Vec<_> = SPECIAL_TOKENS
        .iter()
        .filter(|token| vocabulary.contains_key(**token))
        .map(|token| AddedToken::from(*token, true))
        .collect();
    let model = WordPiece::builder().vocab(vocabulary).build().map_err(unusable)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(("[SEP]".into(), separator), ("[CLS]".into(), class))));
    tokenizer.add_special_tokens(&special);
    Ok(tokenizer)
}
