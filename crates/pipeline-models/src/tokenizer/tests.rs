//! Folders of every kind, compared with the tokens of transformers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

mod families;

use super::*;
use crate::weights::{ModelSearch, find_text_model, fixtures};

#[derive(serde::Deserialize)]
struct Goldens {
    max_length: usize,
    texts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    files: BTreeMap<String, Value>,
    ids: Vec<Vec<u32>>,
}

fn goldens() -> Goldens {
    let text = std::fs::read(fixtures::path("goldens/tokenizer_folders.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A model's folder with these files: texts unchanged, other values as JSON.
fn write(folder: &Path, files: &BTreeMap<String, Value>) -> TextModelFiles {
    for (name, content) in files {
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        std::fs::write(folder.join(name), text).unwrap();
    }
    for (name, text) in [("config.json", r#"{"model_type": "bert"}"#), ("model.safetensors", "")] {
        if !folder.join(name).exists() {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    find_text_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap()
}

fn load(
    family: TokenizerFamily,
    files: &BTreeMap<String, Value>,
    options: TokenizerOptions,
) -> Result<TextTokenizer, String> {
    let folder = tempfile::tempdir().unwrap();
    TextTokenizer::load(family, &write(folder.path(), files), &options).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}

const OPTIONS: TokenizerOptions =
    TokenizerOptions { lower_case: None, cleaning: Cleaning::Off, max_length: 8, n_known: 1000 };

#[test]
fn every_file_beside_the_words_changes_tokens_as_in_transformers() {
    let goldens = goldens();
    let options = TokenizerOptions { max_length: goldens.max_length, ..OPTIONS };
    let mut wrong = Vec::new();
    for case in &goldens.cases {
        let tokenizer =
            load(TokenizerFamily::Bert, &case.files, options).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        for (text, expected) in goldens.texts.iter().zip(&case.ids) {
            let ids = tokenizer.ids(text).unwrap();
            if ids != *expected {
                wrong.push(format!("{}: {text:?} gives {ids:?} instead of {expected:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn case(name: &str) -> BTreeMap<String, Value> {
    goldens().cases.into_iter().find(|case| case.name == name).unwrap().files
}

#[test]
fn what_is_not_followed_is_refused_by_name() {
    for (file, content, named) in [
        ("tokenizer_config.json", r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#, "`BertJapaneseTokenizer`"),
        ("tokenizer_config.json", r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#, "`PreTrainedTokenizerFast`"),
        ("config.json", r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#, "`BertJapaneseTokenizer`"),
        ("tokenizer_config.json", r#"{"auto_map": {"AutoTokenizer": ["own.Tokenizer", null]}}"#, "`auto_map`"),
        ("tokenizer_config.json", r#"{"auto_map": ["own.Tokenizer", null]}"#, "`auto_map`"),
        ("tokenizer_config.json", r#"{"do_basic_tokenize": false}"#, "`do_basic_tokenize` is false"),
        ("tokenizer_config.json", r#"{"never_split": ["[SKU]"]}"#, "`never_split`"),
        ("tokenizer_config.json", r#"{"wordpieces_prefix": "@@"}"#, "`wordpieces_prefix` is `@@`"),
        ("tokenizer_config.json", r#"{"truncation_side": "middle"}"#, "`truncation_side` is `middle`"),
        ("tokenizer_config.json", r#"{"added_tokens_decoder": {"7": "[SKU]"}}"#, "`added_tokens_decoder`"),
        ("tokenizer_config.json", r#"{"cls_token": "<cls>"}"#, "no token `<cls>`"),
        ("added_tokens.json", r#"{"[SKU]": 999}"#, "gives `[SKU]` the id 999"),
        ("added_tokens.json", r#"{"红": 1}"#, "gives `红` the id 1"),
        ("special_tokens_map.json", r#"{"additional_special_tokens": "[SKU]"}"#, "`additional_special_tokens`"),
    ] {
        let mut files = case("vocab.txt alone");
        files.insert(file.into(), Value::String(content.into()));
        let error = load(TokenizerFamily::Bert, &files, OPTIONS).err().unwrap_or_else(|| panic!("{content}: accepted"));
        assert!(error.contains(named), "{content}: {error}");
    }
}

#[test]
fn words_that_two_files_number_differently_are_an_error() {
    let mut files = case("tokenizer.json and vocab.txt");
    load(TokenizerFamily::Bert, &files, OPTIONS).unwrap();
    let words = files["vocab.txt"].as_str().unwrap().replace("苹\n果\n", "果\n苹\n");
    files.insert("vocab.txt".into(), words.into());
    let error = load(TokenizerFamily::Bert, &files, OPTIONS).err().unwrap();
    assert!(error.contains("vocab.txt` gives `果` the id 7, and `tokenizer.json` beside it the id 8"), "{error}");
}

#[test]
fn a_special_token_of_another_name_in_each_file_is_an_error() {
    for (setting, named) in [(r#"{"cls_token": "<s>"}"#, "`<s>`"), (r#"{"unk_token": "<unk>"}"#, "`unk_token`")] {
        let mut files = case("tokenizer.json alone");
        files.insert("tokenizer_config.json".into(), Value::String(setting.into()));
        let error = load(TokenizerFamily::Bert, &files, OPTIONS).err().unwrap();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn lower_case_can_be_chosen_only_where_a_normalizer_has_it() {
    let lower = TokenizerOptions { lower_case: Some(true), ..OPTIONS };
    let ids = |files, options| load(TokenizerFamily::Bert, files, options).unwrap().ids("ABC").unwrap();
    let files = case("tokenizer.json as it is");
    assert_ne!(ids(&files, OPTIONS), ids(&files, lower));
    assert_eq!(ids(&files, lower), ids(&case("tokenizer.json alone"), OPTIONS));
    let error = load(TokenizerFamily::Bert, &case("tokenizer.json: another normaliser"), lower).err().unwrap();
    assert!(error.contains("its normalizer is `Lowercase`"), "{error}");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_token() {
    let plain = case("no last line feed");
    let mut marked = plain.clone();
    marked.insert("vocab.txt".into(), format!("\u{feff}{}", plain["vocab.txt"].as_str().unwrap()).into());
    let ids = |files| load(TokenizerFamily::Bert, files, OPTIONS).unwrap().ids("[PAD]红").unwrap();
    assert_eq!(ids(&plain), ids(&marked));
}

#[test]
fn every_token_has_a_row_in_the_embedding_and_a_blank_line_needs_none() {
    let files = case("blank last line");
    let n_words = files["vocab.txt"].as_str().unwrap().trim_end().lines().count();
    load(TokenizerFamily::Bert, &files, TokenizerOptions { n_known: n_words, ..OPTIONS }).unwrap();
    let error =
        load(TokenizerFamily::Bert, &files, TokenizerOptions { n_known: n_words - 1, ..OPTIONS }).err().unwrap();
    assert!(error.contains("the model knows only 63 tokens"), "{error}");
    let added = case("added_tokens.json");
    load(TokenizerFamily::Bert, &added, TokenizerOptions { n_known: n_words + 2, ..OPTIONS }).unwrap();
    let error = load(TokenizerFamily::Bert, &added, TokenizerOptions { n_known: n_words, ..OPTIONS }).err().unwrap();
    assert!(error.contains("`[品牌]`"), "{error}");
}
