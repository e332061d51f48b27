//! The token settings in the small files beside a vocabulary: read as transformers does, or refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::unsupported;
use crate::weights::{ModelError, TextModelFiles, read_config, read_json};

/// Tokenizer classes with BERT's words.
const BERT_CLASSES: &[&str] = &["BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"];
/// Tokenizer classes that use a `tokenizer.json` unchanged.
const PLAIN_CLASSES: &[&str] = &["PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend"];
/// The tokens with a role, in the order in which transformers adds them.
const NAMED: [(&str, Option<&str>); 7] = [
    ("bos_token", None),
    ("eos_token", None),
    ("unk_token", Some("[UNK]")),
    ("sep_token", Some("[SEP]")),
    ("pad_token", Some("[PAD]")),
    ("cls_token", Some("[CLS]")),
    ("mask_token", Some("[MASK]")),
];

/// A token with a role: its text always becomes that token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedToken {
    pub(super) token: AddedToken,
    /// Whether a text can do without it.
    pub(super) is_dispensable: bool,
}

/// The fields of `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` that change tokens.
#[derive(Debug, Clone)]
pub(in crate::families::bert) struct TokenizerSettings {
    /// Whether the settings also apply to a `tokenizer.json`: those of BERT's tokenizers do, those of plain ones do
    /// not.
    pub(super) of_bert: bool,
    pub(super) do_lower_case: bool,
    pub(super) strip_accents: Option<bool>,
    pub(super) tokenize_chinese_chars: bool,
    /// Whether long texts are truncated at their beginning.
    pub(super) cut_left: Option<bool>,
    /// Whether the names of special tokens in a text are ordinary text.
    pub(super) specials_are_text: bool,
    pub(super) unk: String,
    pub(super) is_unk_named: bool,
    pub(super) cls: String,
    pub(super) sep: String,
    /// The tokens with a role, then the additional special ones.
    pub(super) named: Vec<NamedToken>,
    /// Tokens added under these ids.
    pub(super) added: BTreeMap<u32, AddedToken>,
    /// The file with the added tokens.
    pub(super) added_in: Option<PathBuf>,
    /// The longest text in tokens: sentence-transformers always applies it, transformers only by default.
    max_length: Option<f64>,
}

/// The plain fields of `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    tokenizer_class: Option<String>,
    truncation_side: Option<String>,
    split_special_tokens: Option<bool>,
    clean_text: Option<bool>,
    do_basic_tokenize: Option<bool>,
    never_split: Option<Vec<String>>,
    wordpieces_prefix: Option<String>,
    model_max_length: Option<f64>,
    auto_map: Option<Value>,
}

impl TokenizerSettings {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or needs an unsupported computation.
    pub(in crate::families::bert) fn read(files: &TextModelFiles) -> Result<Self, ModelError> {
        let path = files.tokenizer_config.as_deref().unwrap_or(&files.config);
        let config = files.tokenizer_config.as_deref().map(read_config).transpose()?.unwrap_or_default();
        let mut fields: Fields = serde_json::from_value(Value::Object(config.clone()))
            .map_err(|source| ModelError::Config { path: path.to_owned(), source })?;
        if fields.tokenizer_class.is_none() {
            let class = read_config(&files.config)?.get("tokenizer_class").and_then(Value::as_str).map(str::to_owned);
            fields.tokenizer_class = class;
        }
        let has_json = files.tokenizer.is_some() || super::is_json(&files.vocab);
        if let Some(what) = fields.unsupported(has_json) {
            return Err(unsupported(path, what));
        }
        let Tokens { config, added, added_in } = with_older_files(config, files)?;
        let wrong = |what: String| unsupported(path, what);
        let named = named_tokens(&config).map_err(wrong)?;
        let name = |role: &str, default: &str| -> Result<String, ModelError> {
            let token = config.get(role).map(named_token).transpose().map_err(wrong)?.flatten();
            Ok(token.map_or(default.to_owned(), |token| token.content))
        };
        let is_named = |content: &str| named.iter().any(|named| named.token.content == content);
        let added = added.into_iter().map(|(id, mut token)| {
            token.special |= is_named(&token.content);
            (id, token)
        });
        Ok(Self {
            of_bert: fields.class().is_none_or(|class| BERT_CLASSES.contains(&class)),
            do_lower_case: fields.do_lower_case.unwrap_or(true),
            strip_accents: fields.strip_accents,
            tokenize_chinese_chars: fields.tokenize_chinese_chars.unwrap_or(true),
            cut_left: fields.truncation_side.as_deref().map(|side| side == "left"),
            specials_are_text: fields.split_special_tokens.unwrap_or(false),
            unk: name("unk_token", "[UNK]")?,
            is_unk_named: config.get("unk_token").is_some_and(|token| !token.is_null()),
            cls: name("cls_token", "[CLS]")?,
            sep: name("sep_token", "[SEP]")?,
            added: added.collect(),
            added_in,
            named,
            max_length: fields.model_max_length,
        })
    }

    /// Whether texts are lower-cased according to the files.
    pub(in crate::families::bert) fn lower_cases(&self) -> bool {
        self.of_bert && self.do_lower_case
    }

    /// The longest text in tokens, at most `most`.
    pub(in crate::families::bert) fn max_length(&self, most: usize) -> usize {
        // Many files have 1e30 for "no limit".
        self.max_length.filter(|length| *length < most as f64).map_or(most, |length| length as usize)
    }
}

impl Fields {
    fn class(&self) -> Option<&str> {
        self.tokenizer_class.as_deref().map(|class| class.strip_suffix("Fast").unwrap_or(class))
    }

    fn unsupported(&self, has_json: bool) -> Option<String> {
        let written = self.tokenizer_class.as_deref().unwrap_or_default();
        let is_plain = has_json && PLAIN_CLASSES.contains(&written);
        if !is_plain && self.class().is_some_and(|class| !BERT_CLASSES.contains(&class)) {
            return Some(format!("`tokenizer_class` is `{written}` instead of `BertTokenizer`"));
        }
        if let Some(code) = self.auto_map.as_ref().and_then(|map| map.get("AutoTokenizer")) {
            return Some(format!("`auto_map` names a tokenizer of its own, {code}, and no code of a model is run"));
        }
        if let Some(side) = self.truncation_side.as_deref().filter(|side| !matches!(*side, "left" | "right")) {
            return Some(format!("`truncation_side` is `{side}` instead of `right` or `left`"));
        }
        if self.do_basic_tokenize == Some(false) || self.clean_text == Some(false) {
            let name = if self.clean_text == Some(false) { "clean_text" } else { "do_basic_tokenize" };
            return Some(format!("`{name}` is false"));
        }
        if self.never_split.as_ref().is_some_and(|tokens| !tokens.is_empty()) {
            return Some("`never_split` names words, which only the Python tokenizer spares".into());
        }
        let prefix = self.wordpieces_prefix.as_deref().filter(|prefix| *prefix != "##");
        prefix.map(|prefix| format!("`wordpieces_prefix` is `{prefix}` instead of `##`"))
    }
}

type Added = BTreeMap<u32, AddedToken>;

/// The token settings of all files together.
struct Tokens {
    /// `tokenizer_config.json`, with the special tokens of the older files.
    config: Map<String, Value>,
    /// The tokens that are added under an id.
    added: Added,
    /// The file with the added tokens.
    added_in: Option<PathBuf>,
}

/// The configuration merged with the two older files, and the tokens that are added under an id.
///
/// transformers reads the older files only where the newer one has no added tokens.
fn with_older_files(mut config: Map<String, Value>, files: &TextModelFiles) -> Result<Tokens, ModelError> {
    if let Some(decoder) = config.get("added_tokens_decoder") {
        let path = files.tokenizer_config.as_deref().unwrap_or(&files.folder);
        let added = decoder_tokens(decoder).map_err(|what| unsupported(path, what))?;
        return Ok(Tokens { config, added, added_in: Some(path.to_owned()) });
    }
    if let Some(path) = &files.special_tokens_map {
        for (role, value) in read_config(path)? {
            match (role.as_str(), config.get_mut(&role), value) {
                (ADDITIONAL, Some(Value::Array(own)), Value::Array(more)) => own.extend(more),
                (_, _, value) => drop(config.insert(role, value)),
            }
        }
    }
    let Some(path) = &files.added_tokens else { return Ok(Tokens { config, added: Added::new(), added_in: None }) };
    let ids: BTreeMap<String, u32> = read_json(path)?;
    let special = named_tokens(&config).map_err(|what| unsupported(path, what))?;
    let is_special = |content: &str| special.iter().any(|named| named.token.content == content);
    let added = ids.into_iter().map(|(content, id)| (id, AddedToken::from(content.clone(), is_special(&content))));
    let added = added.collect();
    Ok(Tokens { config, added, added_in: Some(path.clone()) })
}

const ADDITIONAL: &str = "additional_special_tokens";

fn decoder_tokens(decoder: &Value) -> Result<Added, String> {
    let wrong = || "`added_tokens_decoder` must map ids to tokens".to_owned();
    let entries = decoder.as_object().ok_or_else(wrong)?;
    let token = |(id, value): (&String, &Value)| {
        let id = id.parse().map_err(|_| wrong())?;
        Ok((id, described(value).ok_or_else(wrong)?))
    };
    entries.iter().map(token).collect()
}

/// The tokens with a role, then the additional special ones.
fn named_tokens(config: &Map<String, Value>) -> Result<Vec<NamedToken>, String> {
    let mut named = Vec::new();
    for (role, default) in NAMED {
        let written = config.get(role).map(named_token).transpose()?.flatten();
        let token = written.or_else(|| default.map(|content| AddedToken::from(content, true)));
        let is_dispensable = !matches!(role, "unk_token" | "sep_token" | "cls_token");
        named.extend(token.map(|token| NamedToken { token, is_dispensable }));
    }
    let mut additional = |value: &Value| -> Result<(), String> {
        let token = named_token(value)?;
        named.extend(token.map(|token| NamedToken { token, is_dispensable: false }));
        Ok(())
    };
    for list in [ADDITIONAL, "extra_special_tokens"] {
        match config.get(list) {
            Some(Value::Array(values)) => values.iter().try_for_each(&mut additional)?,
            Some(Value::Object(values)) => values.values().try_for_each(&mut additional)?,
            None | Some(Value::Null) => (),
            Some(other) => return Err(format!("`{list}` is `{other}` instead of a list of tokens")),
        }
    }
    Ok(named)
}

/// A special token, given by its text or with its flags.
fn named_token(value: &Value) -> Result<Option<AddedToken>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(content) => Ok(Some(AddedToken::from(content.clone(), true))),
        value => {
            let token = described(value).ok_or_else(|| format!("`{value}` is no token"))?;
            Ok(Some(AddedToken { special: true, ..token }))
        }
    }
}

/// A token with its flags, with the defaults of transformers' `AddedToken`.
fn described(value: &Value) -> Option<AddedToken> {
    let content = value.get("content")?.as_str()?.to_owned();
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    Some(AddedToken {
        content,
        special,
        single_word: flag("single_word").unwrap_or(false),
        lstrip: flag("lstrip").unwrap_or(false),
        rstrip: flag("rstrip").unwrap_or(false),
        normalized: flag("normalized").unwrap_or(!special),
    })
}
