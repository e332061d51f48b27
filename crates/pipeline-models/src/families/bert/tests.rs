//! The text encoder against PyTorch's goldens: tokens, features, and what batches and threads must not change.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline_kernels::Matrix;

use super::*;
use crate::gpu;
use crate::tokenizer::{TextTokenizer, TokenizerFamily, TokenizerOptions};
use crate::tower::TextTower;
use crate::weights::{fixtures, read_config};

mod bits;

/// PyTorch itself differs by up to 3.3e-6 between batch sizes, threads and kernels.
const TOLERANCE: f32 = 1e-5;

#[derive(serde::Deserialize)]
struct Goldens {
    cases: Vec<BTreeMap<String, Value>>,
}

fn cases() -> Vec<BTreeMap<String, Value>> {
    let text = std::fs::read(fixtures::path("goldens/tokens.json")).unwrap();
    serde_json::from_slice::<Goldens>(&text).unwrap().cases
}

fn texts() -> Vec<String> {
    cases().iter().map(|case| case["text"].as_str().unwrap().to_owned()).collect()
}

fn tiny_files() -> TextModelFiles {
    let folder = fixtures::path("tiny/bert").canonicalize().unwrap();
    find_text_model(folder.to_str().unwrap(), &ModelSearch::default()).unwrap()
}

fn load(options: &TextOptions) -> TextEncoder {
    encoder(&tiny_files(), options).unwrap()
}

fn encode(encoder: &TextEncoder, texts: &[String], n_threads: usize) -> Matrix {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    encoder.encode(&texts, n_threads).unwrap()
}

/// The tiny model as plain numbers.
pub(crate) fn tiny_tower() -> TextTower {
    tower_of(&tiny_files(), Pooling::Mean)
}

fn tower_of(files: &TextModelFiles, pooling: Pooling) -> TextTower {
    let path = files.required_config().unwrap();
    let reader = bert(&read_config(path).unwrap(), path, Some(pooling)).unwrap();
    reader.tower(&files.weights).unwrap()
}

/// The ids of a text's tokens in the tiny model.
pub(crate) fn token_ids(text: &str) -> Vec<u32> {
    TextTokenizer::load(TokenizerFamily::Bert, &tiny_files(), &tokenizer_options(None)).unwrap().ids(text).unwrap()
}

pub(super) fn tokenizer_options(lower_case: Option<bool>) -> TokenizerOptions {
    TokenizerOptions { lower_case, max_length: 128, n_known: usize::MAX, ..TokenizerOptions::default() }
}

fn check_tokens(name: &str, vocab: &Path, lower_case: bool) {
    let files = TextModelFiles { vocab: vocab.to_owned(), ..tiny_files() };
    let tokenizer = TextTokenizer::load(TokenizerFamily::Bert, &files, &tokenizer_options(Some(lower_case))).unwrap();
    let mut n_as_python = 0;
    for case in cases() {
        let text = case["text"].as_str().unwrap();
        let ids = serde_json::json!(tokenizer.ids(text).unwrap());
        n_as_python += usize::from(ids == case[name]);
        let expected = case.get(&format!("{name}_fast")).unwrap_or(&case[name]);
        assert_eq!(&ids, expected, "{name}: {text:?}");
    }
    // The other two texts have code points that Unicode has not assigned.
    assert_eq!(n_as_python, 103, "{name}");
}

#[test]
fn texts_become_the_tokens_of_transformers() {
    for (vocabulary, name) in [("vocab/vocab.txt", "full"), ("tiny/bert/vocab.txt", "tiny")] {
        check_tokens(name, &fixtures::path(vocabulary), false);
        check_tokens(&format!("{name}_lower"), &fixtures::path(vocabulary), true);
    }
}

#[test]
fn a_tokenizer_json_gives_the_same_tokens_as_the_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("tokenizer.json");
    let from_vocabulary = TextTokenizer::load(TokenizerFamily::Bert, &tiny_files(), &tokenizer_options(None)).unwrap();
    from_vocabulary.save(&json);
    check_tokens("tiny", &json, false);
    check_tokens("tiny_lower", &json, true);
}

#[test]
fn the_model_says_whether_texts_are_lower_cased_and_an_option_overrides_it() {
    let tokens = |lower_case| load(&TextOptions { lower_case, ..Default::default() }).tokenize("T恤").unwrap();
    assert_eq!(tokens(None), tokens(Some(false)));
    assert_ne!(tokens(None), tokens(Some(true)));
}

#[test]
fn features_are_those_of_pytorch() {
    let golden = fixtures::tensors("goldens/text_features.safetensors");
    let features = encode(&load(&TextOptions::default()), &texts(), 2);
    let python_differs = [92, 93];
    let mut difference = 0f32;
    for text_idx in (0..texts().len()).filter(|text_idx| !python_differs.contains(text_idx)) {
        let expected = &golden["alone"].values[text_idx * 64..][..64];
        difference = difference.max(fixtures::max_difference(features.row(text_idx), expected));
    }
    assert!(difference <= TOLERANCE, "largest difference of CLS to PyTorch: {difference:e}");
    report("CLS to PyTorch", difference);
}

#[test]
fn features_are_those_of_the_framework_whatever_is_computed_together() {
    for pooling in [Pooling::Cls, Pooling::Mean] {
        let options = TextOptions { pooling: Some(pooling), batch_rows: 3, ..Default::default() };
        let own = encode(&load(&options), &texts(), 2);
        let reference =
            TextEncoder { forward: gpu::reference::load(tower_of(&tiny_files(), pooling)), ..load(&options) };
        let difference = fixtures::max_difference(&own.values, &encode(&reference, &texts(), 2).values);
        assert!(difference <= TOLERANCE, "{pooling:?}: {difference:e}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let encoder = load(&TextOptions { batch_rows: 4, ..Default::default() });
    let one = encode(&encoder, &texts(), 1);
    assert_eq!(one, encode(&encoder, &texts(), 2));
    assert_eq!(one, encode(&encoder, &texts(), 5));
}

#[test]
fn batch_mates_change_no_bit() {
    let many: Vec<String> = texts().into_iter().cycle().take(250).collect();
    for pooling in [Pooling::Cls, Pooling::Mean] {
        let features = |batch_rows| {
            encode(&load(&TextOptions { batch_rows, pooling: Some(pooling), ..Default::default() }), &many, 2)
        };
        let alone = features(1);
        for batch_rows in [2, 3, 7, 32, 256] {
            assert_eq!(features(batch_rows), alone, "{pooling:?} in batches of {batch_rows}");
        }
    }
}

#[test]
fn mean_pooling_is_the_mean_over_all_tokens() {
    let encoder = load(&TextOptions { pooling: Some(Pooling::Mean), ..Default::default() });
    let features = encode(&encoder, &["水果 红 苹果".to_owned()], 1);
    let golden = &fixtures::tensors("goldens/text_features.safetensors")["layers.2"];
    for (dim_idx, feature) in features.values.iter().enumerate() {
        let mean = golden.values.iter().skip(dim_idx).step_by(64).sum::<f32>() / golden.shape[0] as f32;
        assert!((feature - mean).abs() <= TOLERANCE, "{feature} and {mean}");
    }
}

#[test]
fn no_texts_give_no_rows() {
    let features = load(&TextOptions::default()).encode(&[], 2).unwrap();
    assert_eq!((features.n_rows, features.n_cols), (0, 64));
}

#[test]
fn a_limit_beyond_the_positions_of_the_model_is_an_error() {
    for max_length in [1, 513] {
        let options = TextOptions { max_length: Some(max_length), ..Default::default() };
        let error = encoder(&tiny_files(), &options).err().unwrap();
        assert!(error.to_string().contains("takes from 2 to 512 tokens"), "{error}");
    }
}

#[test]
fn a_vocabulary_that_is_too_large_for_the_model_is_an_error() {
    let files = TextModelFiles { vocab: fixtures::path("vocab/vocab.txt"), ..tiny_files() };
    let error = encoder(&files, &TextOptions::default()).err().unwrap();
    assert!(error.to_string().contains("the model knows only 928 tokens"), "{error}");
}

#[test]
fn a_vocabulary_without_special_tokens_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let vocab = folder.path().join("vocab.txt");
    std::fs::write(&vocab, "[UNK]\n[SEP]\n红\n").unwrap();
    let files = TextModelFiles { vocab, ..tiny_files() };
    let error = encoder(&files, &TextOptions::default()).err().unwrap();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("`[CLS]`"), "{error}");
}

/// Shown with `cargo test -- --nocapture`.
fn report(what: &str, difference: f32) {
    eprintln!("largest difference of {what}: {difference:e}");
}

/// Loads the tiny model after `edit` has changed its tensors, saved as one file or two shards.
fn load_edited(edit: impl Fn(Tensors) -> Tensors, n_shards: usize) -> Result<TextEncoder, ModelError> {
    let folder = fixtures::folder_without_weights("tiny/bert");
    let tensors = edit(fixtures::tensors("tiny/bert/model.safetensors"));
    let mut weight_map = BTreeMap::new();
    let mut shards = vec![Tensors::new(); n_shards];
    for (tensor_idx, (name, tensor)) in tensors.into_iter().enumerate() {
        weight_map.insert(name.clone(), format!("{}.safetensors", tensor_idx % n_shards));
        shards[tensor_idx % n_shards].insert(name, tensor);
    }
    if n_shards == 1 {
        fixtures::write(&folder.path().join("model.safetensors"), &shards[0]);
    } else {
        for (shard_idx, shard) in shards.iter().enumerate() {
            fixtures::write(&folder.path().join(format!("{shard_idx}.safetensors")), shard);
        }
        let index = serde_json::json!({ "weight_map": weight_map }).to_string();
        std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    }
    let files = find_text_model(folder.path().to_str().unwrap(), &ModelSearch::default()).unwrap();
    encoder(&files, &TextOptions::default())
}

type Tensors = BTreeMap<String, crate::weights::PlainTensor>;

fn rename(tensors: Tensors, name: impl Fn(&str) -> String) -> Tensors {
    tensors.into_iter().map(|(old, tensor)| (name(&old), tensor)).collect()
}

#[test]
fn every_dialect_of_checkpoint_gives_the_same_features() {
    let texts = ["红苹果".to_owned(), "水果 红 苹果".to_owned()];
    let expected = encode(&load(&TextOptions::default()), &texts, 1);
    let old_names = |name: &str| {
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        format!("bert.{name}")
    };
    let with_heads = |mut tensors: Tensors| {
        let pooler = tensors["pooler.dense.weight"].clone();
        tensors.insert("cls.seq_relationship.weight".into(), pooler.clone());
        tensors.insert("embeddings.position_ids".into(), pooler);
        tensors
    };
    let without_pooler =
        |tensors: Tensors| tensors.into_iter().filter(|(name, _)| !name.starts_with("pooler")).collect();
    for (dialect, encoder) in [
        ("old names", load_edited(|tensors| rename(tensors, old_names), 1)),
        ("heads and buffers", load_edited(with_heads, 1)),
        ("without pooler", load_edited(without_pooler, 1)),
        ("two shards", load_edited(|tensors| rename(tensors, |name| format!("bert.{name}")), 2)),
    ] {
        assert_eq!(encode(&encoder.unwrap(), &texts, 1), expected, "{dialect}");
    }
    let pickle = TextModelFiles { weights: vec![fixtures::path("tiny/bert/pytorch_model.bin")], ..tiny_files() };
    let encoder = encoder(&pickle, &TextOptions::default()).unwrap();
    assert_eq!(encode(&encoder, &texts, 1), expected, "pickle");
}

#[test]
fn everything_that_is_wrong_with_the_weights_is_in_one_error() {
    let damage = |mut tensors: Tensors| {
        tensors.remove("encoder.layer.1.output.dense.bias");
        tensors.get_mut("embeddings.LayerNorm.bias").unwrap().values[3] = f32::NAN;
        tensors.get_mut("encoder.layer.0.intermediate.dense.weight").unwrap().shape = vec![64, 128];
        let extra = tensors["encoder.layer.0.output.dense.bias"].clone();
        tensors.insert("encoder.layer.2.output.dense.bias".into(), extra);
        tensors
    };
    let error = load_edited(damage, 1).err().unwrap().to_string();
    for part in [
        "`encoder.layer.1.output.dense.bias` is missing",
        "`embeddings.LayerNorm.bias` has a value that is not finite",
        "`encoder.layer.0.intermediate.dense.weight` has shape [64, 128] instead of [128, 64]",
        "`encoder.layer.2.output.dense.bias` is not known in this model",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
