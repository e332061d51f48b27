//! CLIP's tokenizer from `vocab.json` and `merges.txt`, written as the `tokenizer.json` that transformers would save.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::TokenizerSettings;
use crate::weights::{ModelError, read_config};

/// The words of a text, after white space has become single spaces.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// CLIP's `tokenizer.json`.
///
/// # Errors
/// When a file cannot be read, a line is no pair, or an end has no id.
pub(super) fn to_json(vocab: &Path, merges: &Path, settings: &TokenizerSettings) -> Result<Value, ModelError> {
    let tokens = read_config(vocab)?;
    let pairs = read_pairs(merges)?;
    let first = id_of(&tokens, settings.first.as_deref().unwrap_or_default(), vocab)?;
    let last = id_of(&tokens, settings.last.as_deref().unwrap_or_default(), vocab)?;
    let special = |(token, id): &(&str, u64)| {
        json!({ "id": id, "content": token, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true })
    };
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(&first), special(&last)],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
            { "type": "Lowercase" },
        ] },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": WORDS }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        ] },
        "post_processor": { "type": "RobertaProcessing", "sep": last, "cls": first, "trim_offsets": false,
            "add_prefix_space": false },
        "decoder": null,
        "model": { "type": "BPE", "dropout": null, "unk_token": settings.unk, "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": tokens, "merges": pairs },
    }))
}

fn id_of<'a>(tokens: &Map<String, Value>, token: &'a str, vocab: &Path) -> Result<(&'a str, u64), ModelError> {
    let id = tokens.get(token).and_then(Value::as_u64);
    let problem = || ModelError::Malformed { path: vocab.to_owned(), problem: format!("has no token `{token}`") };
    Ok((token, id.ok_or_else(problem)?))
}

/// The pairs of a `merges.txt`: two tokens a line, after a line with a version.
fn read_pairs(path: &Path) -> Result<Vec<(String, String)>, ModelError> {
    let bytes = pipeline_files::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let malformed = |problem| ModelError::Malformed { path: path.to_owned(), problem };
    let text = String::from_utf8(bytes).map_err(|_| malformed("is not UTF-8".into()))?;
    let lines = text.lines().enumerate().filter(|(line_idx, line)| {
        let is_version = *line_idx == 0 && line.starts_with("#version");
        !is_version && !line.trim().is_empty()
    });
    let pair = |(line_idx, line): (usize, &str)| match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.trim_end().is_empty() && !right.trim_end().contains(' ') => {
            Ok((left.to_owned(), right.trim_end().to_owned()))
        }
        _ => Err(malformed(format!("has no pair of tokens in line {}: `{line}`", line_idx + 1))),
    };
    lines.map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_pair_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("merges.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_pairs(&path).map_err(|error| error.to_string())
        };
        let pair = |left: &str, right: &str| (left.to_owned(), right.to_owned());
        assert_eq!(read("#version: 0.2\r\na b\r\n\r\n#version c\n").unwrap(), [pair("a", "b"), pair("#version", "c")]);
        for text in ["a b\nabc\n", "a b\na b c\n", "a b\n a\n"] {
            let error = read(text).unwrap_err();
            assert!(error.contains("has no pair of tokens in line 2"), "{text:?}: {error}");
        }
    }
}
