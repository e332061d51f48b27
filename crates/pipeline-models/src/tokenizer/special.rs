//! The special and the added tokens that the small files beside a vocabulary name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::family::NamedRole;
use super::unsupported;
use crate::weights::{ModelError, TextModelFiles, read_config, read_json};

/// A token that has a role: written in a text, it is that token.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedToken {
    pub(super) token: AddedToken,
    /// Whether a text can do without it.
    pub(super) is_dispensable: bool,
}

type Added = BTreeMap<u32, AddedToken>;

/// What all files together say of tokens.
pub(super) struct Tokens {
    /// `tokenizer_config.json`, with what the older files say of special tokens.
    pub(super) config: Map<String, Value>,
    /// The tokens that are added under an id.
    pub(super) added: Added,
    /// The file that says so.
    pub(super) added_in: Option<PathBuf>,
}

/// The configuration with what the two older files say, and the tokens that are added under an id.
///
/// transformers reads the older files only where the newer one says nothing of added tokens.
pub(super) fn with_older_files(
    mut config: Map<String, Value>,
    files: &TextModelFiles,
    roles: &[NamedRole],
) -> Result<Tokens, ModelError> {
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
    let special = named_tokens(&config, roles).map_err(|what| unsupported(path, what))?;
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
pub(super) fn named_tokens(config: &Map<String, Value>, roles: &[NamedRole]) -> Result<Vec<NamedToken>, String> {
    let mut named = Vec::new();
    for &(role, usual) in roles {
        let written = config.get(role).map(named_token).transpose()?.flatten();
        let token = written.or_else(|| usual.map(|content| AddedToken::from(content, true)));
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

/// A special token, by its text or described by its flags.
pub(super) fn named_token(value: &Value) -> Result<Option<AddedToken>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(content) => Ok(Some(AddedToken::from(content.clone(), true))),
        value => {
            let token = described(value).ok_or_else(|| format!("`{value}` is no token"))?;
            Ok(Some(AddedToken { special: true, ..token }))
        }
    }
}

/// A token described by its flags, with the defaults of transformers' `AddedToken`.
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
