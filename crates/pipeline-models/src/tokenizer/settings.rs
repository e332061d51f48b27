//! What the small files beside a vocabulary say about tokens: as transformers reads them, or refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tokenizers::AddedToken;

use super::fields::TokenizerFields;
use super::special::{NamedToken, Tokens, named_token, named_tokens, with_older_files};
use super::words::WordFiles;
use super::{TokenizerFamily, unsupported};
use crate::weights::{ModelError, TextModelFiles, read_config};

/// What `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say, as far as it changes tokens.
#[derive(Debug, Clone)]
pub(crate) struct TokenizerSettings {
    /// The family that absent settings are of.
    pub(super) family: TokenizerFamily,
    /// Whether the settings apply to a `tokenizer.json`, too: of BERT's tokenizers they do, of plain ones they do not.
    pub(super) of_bert: bool,
    pub(super) do_lower_case: bool,
    pub(super) strip_accents: Option<bool>,
    pub(super) tokenize_chinese_chars: bool,
    /// Whether long texts lose their beginning.
    pub(super) cut_left: Option<bool>,
    /// Whether special tokens written in a text are text.
    pub(super) specials_are_text: bool,
    /// Whether texts are lower-cased whatever `tokenizer.json` says.
    pub(super) lower_cases_always: bool,
    /// Whether a space is put before a text that begins with none; for tokenizers of bytes.
    pub(super) prefix_space: Option<bool>,
    pub(super) unk: String,
    pub(super) is_unk_named: bool,
    /// The token before a text.
    pub(super) first: Option<String>,
    /// The token after a text.
    pub(super) last: Option<String>,
    /// The token that fills up to the longest text, and whether it stands before the text.
    pub(super) padding: Option<(String, bool)>,
    /// The tokens with a role, then the additional special ones.
    pub(super) named: Vec<NamedToken>,
    /// Tokens added under these ids.
    pub(super) added: BTreeMap<u32, AddedToken>,
    /// The file that says so.
    pub(super) added_in: Option<PathBuf>,
    /// The longest text in tokens: sentence-transformers keeps to it, transformers where nothing else is asked for.
    max_length: Option<f64>,
}

impl TokenizerSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or asks for what is not computed here.
    pub(crate) fn read(family: TokenizerFamily, files: &TextModelFiles) -> Result<Self, ModelError> {
        let path = files.tokenizer_config.as_deref().or(files.config.as_deref()).unwrap_or(&files.folder);
        let config = files.tokenizer_config.as_deref().map(read_config).transpose()?.unwrap_or_default();
        let mut fields: TokenizerFields = serde_json::from_value(Value::Object(config.clone()))
            .map_err(|source| ModelError::Config { path: path.to_owned(), source })?;
        if fields.tokenizer_class.is_none() {
            let config = files.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
            fields.tokenizer_class = config.get("tokenizer_class").and_then(Value::as_str).map(str::to_owned);
        }
        let words = WordFiles::of(family, files)?;
        if let Some(what) = fields.unsupported(family, matches!(words, WordFiles::Json(_))) {
            return Err(unsupported(path, what));
        }
        let Tokens { config, added, added_in } = with_older_files(config, files, &family.roles(fields.class()))?;
        let wrong = |what: String| unsupported(path, what);
        let roles = family.roles(fields.class());
        let named = named_tokens(&config, &roles).map_err(wrong)?;
        let of_role = |role: &str| -> Result<Option<String>, ModelError> {
            let token = config.get(role).map(named_token).transpose().map_err(wrong)?.flatten();
            let usual = || roles.iter().find(|(name, _)| *name == role).and_then(|(_, usual)| *usual);
            Ok(token.map(|token| token.content).or_else(|| usual().map(str::to_owned)))
        };
        let is_named = |content: &str| named.iter().any(|named| named.token.content == content);
        let added = added.into_iter().map(|(id, mut token)| {
            token.special |= is_named(&token.content);
            (id, token)
        });
        let (first, last) = family.ends();
        let pads_left = fields.padding_side.as_deref() == Some("left");
        Ok(Self {
            family,
            of_bert: family == TokenizerFamily::Bert && fields.is_of(family),
            do_lower_case: fields.do_lower_case.unwrap_or(true),
            strip_accents: fields.strip_accents,
            tokenize_chinese_chars: fields.tokenize_chinese_chars.unwrap_or(true),
            cut_left: fields.truncation_side.as_deref().map(|side| side == "left"),
            specials_are_text: fields.split_special_tokens.unwrap_or(false),
            lower_cases_always: fields.class() == Some("Siglip2Tokenizer"),
            prefix_space: fields.prefix_space(family),
            unk: of_role("unk_token")?.unwrap_or_default(),
            is_unk_named: config.get("unk_token").is_some_and(|token| !token.is_null()),
            first: of_role(first)?.filter(|_| fields.adds_first(family)),
            last: of_role(last)?.filter(|_| fields.adds_last(family)),
            padding: of_role("pad_token")?.filter(|_| family.pads()).map(|token| (token, pads_left)),
            added: added.collect(),
            added_in,
            named,
            max_length: fields.model_max_length,
        })
    }

    /// The tokens before and after a text.
    pub(super) fn ends(&self) -> impl Iterator<Item = &String> {
        self.first.iter().chain(&self.last)
    }

    /// Whether texts are lower-cased by what the files say.
    pub(crate) fn lower_cases(&self) -> bool {
        self.of_bert && self.do_lower_case
    }

    /// The longest text in tokens, at most `most`.
    pub(crate) fn max_length(&self, most: usize) -> usize {
        // Many files say 1e30 for "no limit".
        self.max_length.filter(|length| *length < most as f64).map_or(most, |length| length as usize)
    }
}
