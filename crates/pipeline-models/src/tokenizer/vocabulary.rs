//! The words of a tokenizer: from `vocab.txt`, or from `tokenizer.json` as the `tokenizers` library reads it.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

use super::json::JsonParts;
use super::unknown::Spelling;
use super::{TokenizerSettings, file_name};
use crate::weights::{ModelError, TextModelFiles};

/// WordPiece over a `vocab.txt`: one token per line, whose number is the id. The last of duplicate tokens counts.
pub(super) fn from_text(
    path: &Path,
    settings: &TokenizerSettings,
    lower_case: Option<bool>,
) -> Result<LoadedWords, ModelError> {
    let unusable = |source| ModelError::Tokenizer { path: path.to_owned(), source };
    let vocabulary = WordPiece::read_bytes(&read(path)?).map_err(unusable)?;
    let model = WordPiece::builder().vocab(vocabulary).unk_token(settings.unk.clone()).build().map_err(unusable)?;
    let mut tokenizer = Tokenizer::new(model);
    let unknown = id(&tokenizer, &settings.unk).map_err(unusable)?;
    tokenizer.with_normalizer(Some(BertNormalizer::new(
        true,
        settings.tokenize_chinese_chars,
        settings.strip_accents,
        lower_case.unwrap_or(settings.do_lower_case),
    )));
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(LoadedWords { tokenizer, cuts_left: false, spelling: Spelling::Letters, unknown: Some(unknown) })
}

/// A tokenizer as its own files have it, and what they say beside words.
pub(super) struct LoadedWords {
    pub(super) tokenizer: Tokenizer,
    /// Whether texts are cut at the left.
    pub(super) cuts_left: bool,
    /// How its tokens are written.
    pub(super) spelling: Spelling,
    /// The token for what the words cannot express.
    pub(super) unknown: Option<u32>,
}

/// A `tokenizer.json` in `text`, changed to what the settings say; `path` is for messages.
pub(super) fn from_json(
    text: &[u8],
    path: &Path,
    settings: &TokenizerSettings,
    lower_case: Option<bool>,
) -> Result<LoadedWords, ModelError> {
    let unusable = |source| ModelError::Tokenizer { path: path.to_owned(), source };
    let mut parts: JsonParts = serde_json::from_slice(text).map_err(|error| unusable(error.into()))?;
    if let Some(unk) = parts.model.unk_token.as_ref().filter(|unk| settings.is_unk_named && **unk != settings.unk) {
        let problem = format!("`unk_token` is `{unk}`, and `{}` in the configuration beside it", settings.unk);
        return Err(unusable(problem.into()));
    }
    let is_changed = parts.apply(settings, lower_case).map_err(|why| unusable(why.into()))?;
    let (cuts_left, model, spelling) = (parts.cuts_left(), parts.model.clone(), parts.spelling());
    let tokenizer = match is_changed {
        true => {
            let mut json: Value = serde_json::from_slice(text).map_err(|error| unusable(error.into()))?;
            parts.put_into(&mut json);
            Tokenizer::from_bytes(json.to_string())
        }
        false => Tokenizer::from_bytes(text),
    };
    let tokenizer = tokenizer.map_err(unusable)?;
    let unknown = model.unk_id.or_else(|| tokenizer.token_to_id(model.unk_token.as_deref()?));
    Ok(LoadedWords { tokenizer, cuts_left, spelling, unknown })
}

/// Checks that `vocab.txt` has exactly the words of the `tokenizer.json` beside it: transformers reads one or the
/// other.
pub(super) fn compare(tokenizer: &Tokenizer, files: &TextModelFiles) -> Result<(), ModelError> {
    let trimmed = |words: HashMap<String, u32>| -> HashMap<String, u32> {
        words
            .into_iter()
            .map(|(word, id)| (word.trim_end().to_owned(), id))
            .filter(|(word, _)| !word.is_empty())
            .collect()
    };
    let in_json = trimmed(tokenizer.get_vocab(false));
    let in_text = WordPiece::read_bytes(&read(&files.vocab)?)
        .map_err(|source| ModelError::Tokenizer { path: files.vocab.clone(), source })?;
    let in_text = trimmed(in_text.into_iter().collect());
    let mut words: Vec<&String> = in_json.keys().chain(in_text.keys()).collect();
    words.sort_by_key(|word| (in_text.get(*word).or(in_json.get(*word)), *word));
    let Some(word) = words.into_iter().find(|word| in_json.get(*word) != in_text.get(*word)) else { return Ok(()) };
    let id = |words: &HashMap<String, u32>| words.get(word).map_or("no id".to_owned(), |id| format!("the id {id}"));
    let json = files.tokenizer.as_deref().unwrap_or(&files.vocab);
    let (given, other, name) = (id(&in_text), id(&in_json), file_name(json));
    let problem = format!("gives `{word}` {given}, and `{name}` beside it {other}; remove the one that is out of date");
    Err(ModelError::Malformed { path: files.vocab.clone(), problem })
}

/// The id of a required token.
pub(super) fn id(tokenizer: &Tokenizer, token: &str) -> Result<u32, tokenizers::Error> {
    tokenizer.token_to_id(token).ok_or_else(|| format!("no token `{token}`").into())
}

/// The text of a `vocab.txt`.
fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let mut bytes = pipeline_files::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    // A byte order mark of Windows editors is not part of the first token.
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}
