//! Folders of sentence-transformers: supported and refused settings.

use super::*;
use crate::families::bert::family::model;
use crate::families::text::{TextModel, TextOptions};
use crate::tokenizer::TokenizerFamily;
use crate::weights::{ModelSearch, find_text_model, fixtures};

const TRANSFORMER: &str = r#"{"path": "", "type": "sentence_transformers.models.Transformer"}"#;
const POOLING: &str = r#"{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}"#;

/// The tiny model with these files beside it.
fn read(files: &[(&str, &str)], options: &TextOptions) -> Result<TextModel, String> {
    let folder = fixtures::folder_without_weights("tiny/bert");
    for (name, text) in [("model.safetensors", "")].iter().chain(files) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let files = find_text_model(folder.path().to_str().unwrap(), &ModelSearch::default()).unwrap();
    model(&files, options, TokenizerFamily::Bert).map_err(|error| error.to_string())
}

fn modules(list: &[&str]) -> String {
    format!("[{}]", list.join(", "))
}

#[test]
fn pooling_and_limit_are_those_of_the_folder_or_of_the_spec() {
    let both = modules(&[TRANSFORMER, POOLING]);
    let new = r#"{"path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}"#;
    let newer = modules(&[TRANSFORMER, new]);
    let (mean, cls) = (Pooling::Mean, Pooling::Cls);
    let chosen = TextOptions { pooling: Some(Pooling::Cls), max_length: Some(40), ..TextOptions::default() };
    let limit = r#"{"max_seq_length": 32}"#;
    for (modules, pooling, sentence, options, expected) in [
        (&both, r#"{"pooling_mode_mean_tokens": true}"#, limit, TextOptions::default(), (mean, 32)),
        (&both, r#"{"pooling_mode_cls_token": true}"#, "{}", TextOptions::default(), (cls, 512)),
        (&both, "{}", r#"{"max_seq_length": 9999}"#, TextOptions::default(), (mean, 512)),
        (&newer, r#"{"pooling_mode": "cls"}"#, limit, TextOptions::default(), (cls, 32)),
        (&newer, r#"{"pooling_mode": ["mean"]}"#, limit, TextOptions::default(), (mean, 32)),
        (&both, r#"{"pooling_mode_mean_tokens": true}"#, limit, chosen.clone(), (cls, 40)),
        (&both, r#"{"pooling_mode": "max"}"#, limit, chosen, (cls, 40)),
    ] {
        let files = [
            ("modules.json", modules.as_str()),
            ("1_Pooling/config.json", pooling),
            ("sentence_bert_config.json", sentence),
        ];
        let found = read(&files, &options).unwrap();
        assert_eq!((found.reader.pooling, found.max_length), expected, "{pooling} {sentence}");
    }
    // Its own limit replaces the tokenizer's, and not the model's.
    let tokenizer = ("tokenizer_config.json", r#"{"model_max_length": 24}"#);
    for (sentence, expected) in [("{}", 24), (limit, 32), (r#"{"max_seq_length": 9999}"#, 512)] {
        let mean = ("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#);
        let files = [("modules.json", both.as_str()), mean, ("sentence_bert_config.json", sentence), tokenizer];
        assert_eq!(read(&files, &TextOptions::default()).unwrap().max_length, expected, "{sentence}");
    }
    let plain = read(&[], &TextOptions::default()).unwrap();
    assert_eq!((plain.reader.pooling, plain.max_length, plain.normalizes), (Pooling::Cls, 128, false));
}

#[test]
fn what_changes_vectors_is_followed_or_refused_by_name() {
    let other = |class: &str| format!(r#"{{"path": "2_Other", "type": "sentence_transformers.models.{class}"}}"#);
    let mean = ("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#);
    let both = modules(&[TRANSFORMER, POOLING]);
    for (list, expected) in [
        (modules(&[TRANSFORMER, POOLING, &other("Normalize")]), Ok(true)),
        (modules(&[TRANSFORMER, POOLING, &other("Dropout")]), Ok(false)),
        (modules(&[TRANSFORMER, POOLING, &other("Dense")]), Err("module 2, `sentence_transformers.models.Dense`")),
        (modules(&[TRANSFORMER, POOLING, &other("LayerNorm")]), Err("`sentence_transformers.models.LayerNorm`")),
        (modules(&[TRANSFORMER]), Err("no module `Pooling`")),
        (modules(&[&other("CLIPModel")]), Err("`sentence_transformers.models.CLIPModel`")),
    ] {
        let found = read(&[("modules.json", &list), mean], &TextOptions::default()).map(|model| model.normalizes);
        match expected {
            Ok(normalize) => assert_eq!(found, Ok(normalize), "{list}"),
            Err(named) => assert!(found.as_ref().err().unwrap().contains(named), "{list}: {found:?}"),
        }
    }
    let prompt = r#"{"default_prompt_name": "query", "prompts": {"query": "question: "}}"#;
    for (name, text, named) in [
        ("1_Pooling/config.json", r#"{"pooling_mode_max_tokens": true}"#, "its pooling is `max`"),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true}"#,
            "its pooling is `mean and max`",
        ),
        ("config_sentence_transformers.json", prompt, "puts `question: ` before every text"),
        ("sentence_bert_config.json", r#"{"do_lower_case": true}"#, "`do_lower_case` is true"),
        ("sentence_bert_config.json", r#"{"max_seq_length": 1}"#, "`max_seq_length`"),
    ] {
        let error = read(&[("modules.json", &both), mean, (name, text)], &TextOptions::default()).err().unwrap();
        assert!(error.contains(named), "{text}: {error}");
    }
    let silent = r#"{"default_prompt_name": null, "prompts": {"query": "question: "}}"#;
    read(&[("modules.json", &both), mean, ("config_sentence_transformers.json", silent)], &TextOptions::default())
        .unwrap();
}
