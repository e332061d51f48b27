//! Encoder stages and the small files beside a model's weights: their effects, their hashes, and refusals.

use std::path::Path;

use crate::bench::{self, Bench};

/// A copy of a fixture model with more files beside its weights.
fn model(folder: &Path, of: &str, more: &[(&str, &str)]) {
    std::fs::create_dir_all(folder).unwrap();
    for entry in std::fs::read_dir(bench::fixtures().join("tiny").join(of)).unwrap() {
        let from = entry.unwrap().path();
        std::fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    for (name, text) in more {
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// The stages `text` and `vectors` with these models, not run yet.
fn encoders(text: &str, text_params: &str, image: &str) -> Bench {
    Bench::new(&format!(
        "
vars: {{ data: ../../../../tests/fixtures/data/mini, models: ../../../../tests/fixtures/tiny }}
stages:
  queries: {{ kind: load-queries, params: {{ path: '${{data}}/MR_valid_queries.jsonl' }} }}
  images: {{ kind: decode-images, params: {{ path: '${{data}}/MR_train_imgs.tsv', size: [32, 32], max_samples: 20 }} }}
  text: {{ kind: extract-text, inputs: {{ queries: queries }}, params: {{ model: '{text}'{text_params} }} }}
  vectors: {{ kind: extract-image, inputs: {{ images: images }}, params: {{ model: '{image}' }} }}
"
    ))
}

fn lines(bench: &Bench, stage: &str) -> String {
    let stage = bench.stage(stage);
    let params = stage.params().into_iter().map(|(name, json)| format!("{name}={json}"));
    let sources = stage.sources().unwrap().into_iter().map(|source| source.name);
    params.chain(sources).collect::<Vec<_>>().join(" ")
}

fn text_vectors(model: &str, params: &str) -> std::collections::BTreeMap<String, Vec<u32>> {
    let mut bench = encoders(model, params, "${models}/resnet");
    ["queries", "text"].iter().for_each(|stage| bench.run(stage).unwrap());
    bench.vectors("text")
}

const MODULES: &str = r#"[
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
]"#;
const MEAN: &str =
    r#"{"word_embedding_dimension": 64, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#;

#[test]
fn a_folder_of_sentence_transformers_is_followed_and_the_spec_wins() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        ("modules.json", MODULES),
        ("1_Pooling/config.json", MEAN),
        ("sentence_bert_config.json", r#"{"max_seq_length": 16, "do_lower_case": false}"#),
    ];
    model(folder.path(), "bert", &more);
    let path = folder.path().to_str().unwrap();
    let followed = lines(&encoders(path, "", "${models}/resnet"), "text");
    let expected = "lower_case=null max_length=16 pooling=\"mean\" model/config model/vocab model/tokenizer-config \
                    model/modules model/sentence-config model/pooling model/weights";
    assert_eq!(followed, expected);
    let chosen = lines(&encoders(path, ", pooling: cls, max_length: 99", "${models}/resnet"), "text");
    assert!(chosen.starts_with("lower_case=null max_length=99 pooling=\"cls\""), "{chosen}");
    let plain = "${models}/bert";
    assert_eq!(text_vectors(path, ""), text_vectors(plain, ", pooling: mean, max_length: 16"));
    assert_eq!(text_vectors(path, ", pooling: cls, max_length: 128"), text_vectors(plain, ""));
}

#[test]
fn a_module_that_normalises_is_followed_and_recorded_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let normalize =
        r#", {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;
    let modules = MODULES.trim_end().strip_suffix(']').unwrap().to_owned() + normalize;
    model(folder.path(), "bert", &[("modules.json", &modules), ("1_Pooling/config.json", MEAN)]);
    let vectors = text_vectors(folder.path().to_str().unwrap(), "");
    let plain = text_vectors("${models}/bert", ", pooling: mean, max_length: 512");
    for (id, vector) in &vectors {
        let numbers = |bits: &[u32]| bits.iter().map(|bits| f32::from_bits(*bits)).collect::<Vec<_>>();
        let (vector, plain) = (numbers(vector), numbers(&plain[id]));
        let length = plain.iter().map(|value| value * value).sum::<f32>().sqrt();
        let difference = vector.iter().zip(&plain).map(|(a, b)| (a - b / length).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-6, "{id}: {difference:e}");
    }
}

#[test]
fn a_model_that_could_never_be_used_is_a_mistake_before_anything_runs_and_a_missing_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    model(&folder.path().join("clip"), "bert", &[("config.json", r#"{"model_type": "jina_clip"}"#)]);
    model(
        &folder.path().join("vit"),
        "resnet",
        &[("config.json", r#"{"architecture": "swin_tiny_patch4_window7_224"}"#)],
    );
    let both = "${models}/";
    for (text, image, stage, expected) in [
        (format!("{both}bert"), format!("{both}resnet"), "text", None),
        (path("clip"), format!("{both}resnet"), "text", Some("jina_clip")),
        (format!("{both}bert"), path("vit"), "vectors", Some("swin_tiny_patch4_window7_224")),
        (path("nowhere"), path("nowhere"), "text", None),
        (path("nowhere"), path("nowhere"), "vectors", None),
        ("bert-base-chinese".into(), "resnet50".into(), "vectors", None),
        ("OFA-Sys/chinese-clip-vit-base-patch16".into(), "resnet50".into(), "text", None),
        ("albert-base-v2".into(), "resnet50".into(), "text", Some("ALBERT")),
        ("bert-base-chinese".into(), "resnetaa50".into(), "vectors", Some("anti-aliasing")),
    ] {
        let bench = encoders(&text, "", &image);
        let error = bench.stage(stage).check().err().map(|error| {
            let cause = error.source.as_ref().map(|cause| cause.to_string());
            let message = format!("{error}: {}", cause.unwrap_or_default());
            let advice = format!("{message} {}", error.help.as_deref().unwrap_or_default());
            assert!(advice.contains("import-") || advice.contains("can be imported"), "{advice}");
            message
        });
        match expected {
            None => assert_eq!(error, None, "{text} {image}"),
            Some(part) => assert!(error.as_deref().is_some_and(|error| error.contains(part)), "{error:?}"),
        }
    }
}

/// Large vocabularies take seconds to read.
#[test]
fn a_text_model_is_checked_once_for_each_way_to_use_it() {
    let facts = |stage: &str, params: &str| {
        let bench = encoders("${models}/bert", params, "${models}/resnet");
        bench.stage(stage).check_facts()
    };
    assert!(facts("text", "").is_some());
    assert_eq!(facts("text", ""), facts("text", ""));
    assert_ne!(facts("text", ""), facts("text", ", max_length: 20"));
    assert_eq!(facts("vectors", ""), None, "the pixels' size is checked, too");
    assert_eq!(encoders("./nowhere", "", "${models}/resnet").stage("text").check_facts(), None);
}

#[test]
fn mean_and_deviation_of_a_models_own_change_its_vectors_and_its_sources() {
    let folder = tempfile::tempdir().unwrap();
    let half = r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": 32, "resample": 3}"#;
    model(folder.path(), "resnet", &[("preprocessor_config.json", half)]);
    let path = folder.path().to_str().unwrap();
    let run = |image: &str| {
        let mut bench = encoders("${models}/bert", "", image);
        ["images", "vectors"].iter().for_each(|stage| bench.run(stage).unwrap());
        bench
    };
    let (own, plain) = (run(path), run("${models}/resnet"));
    assert_eq!(lines(&own, "vectors"), "model/config model/preprocessor model/weights");
    assert_eq!(lines(&plain, "vectors"), "model/config model/weights");
    assert!(own.vectors("vectors").values().ne(plain.vectors("vectors").values()));
    assert_eq!(plain.warnings, Vec::<String>::new());
    let expected = "the model's own files expect `bicubic` resizing and not `bilinear`; its vectors differ from other \
                    tools' by that (`decode-images` with `like` follows them)";
    assert_eq!(own.warnings, [expected]);
}
