//! A text's features have the same bits in any batch, order and company, on any number of threads.

use super::*;
use crate::tower::cpu::CpuTextTower;

/// The tiny model with other widths, since products are computed by size.
fn made_up(hidden: usize, intermediate: usize) -> tempfile::TempDir {
    let folder = fixtures::folder_without_weights("tiny/bert");
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["hidden_size"] = hidden.into();
    config["intermediate_size"] = intermediate.into();
    config["num_attention_heads"] = (hidden / 16).min(12).into();
    std::fs::write(&path, config.to_string()).unwrap();
    let mut tensors = fixtures::tensors("tiny/bert/model.safetensors");
    for (name, tensor) in &mut tensors {
        let widened = |side: &usize| match side {
            64 => hidden,
            128 => intermediate,
            other => *other,
        };
        let shape: Vec<usize> = tensor.shape.iter().map(widened).collect();
        *tensor = fixtures::noise(name, shape, 0.05);
        if name.ends_with("LayerNorm.weight") {
            tensor.values.iter_mut().for_each(|value| *value += 1.0);
        }
    }
    fixtures::write(&folder.path().join("model.safetensors"), &tensors);
    folder
}

fn load_made_up(hidden: usize, intermediate: usize, pooling: Pooling) -> TextEncoder {
    let folder = made_up(hidden, intermediate);
    let files = find_text_model(folder.path().to_str().unwrap(), &ModelSearch::default()).unwrap();
    encoder(&files, &TextOptions { pooling: Some(pooling), ..Default::default() }).unwrap()
}

/// Several texts of each of many lengths, and two that are truncated.
fn texts_of_like_lengths() -> Vec<String> {
    let characters: Vec<char> = texts().concat().chars().filter(|character| !character.is_ascii()).collect();
    let lengths = [(0, 1), (1, 5), (2, 3), (5, 4), (14, 2), (30, 3), (62, 2), (140, 2)];
    let starts = lengths.iter().flat_map(|(length, n_texts)| (0..*n_texts).map(|text_idx| (*length, 7 * text_idx)));
    starts.map(|(length, start)| characters[start..start + length].iter().collect()).collect()
}

fn check(encoder: &mut TextEncoder, cases: &[(usize, usize, usize)]) {
    let texts = texts_of_like_lengths();
    let alone: Vec<Vec<f32>> = texts.iter().map(|text| encode(encoder, std::slice::from_ref(text), 1).values).collect();
    for &(batch_rows, n_threads, stride) in cases {
        encoder.batch_rows = batch_rows;
        // A stride without a common factor visits every text once; some occur twice, so that batches differ, too.
        let order: Vec<usize> = (0..texts.len() + 5).map(|idx| idx * stride % texts.len()).collect();
        let shuffled: Vec<String> = order.iter().map(|text_idx| texts[*text_idx].clone()).collect();
        let features = encode(encoder, &shuffled, n_threads);
        for (row_idx, text_idx) in order.iter().enumerate() {
            let same = fixtures::bits(features.row(row_idx)) == fixtures::bits(&alone[*text_idx]);
            assert!(same, "{:?}: batches of {batch_rows}, {n_threads} threads, stride {stride}", texts[*text_idx]);
        }
    }
}

#[test]
fn the_tiny_models_features_have_the_same_bits_in_any_company() {
    for pooling in [Pooling::Cls, Pooling::Mean] {
        let every_case = [1, 3, 16].into_iter().flat_map(|batch_rows| {
            [1, 2, 3].into_iter().flat_map(move |n_threads| [1, 7, 21].map(|stride| (batch_rows, n_threads, stride)))
        });
        let mut encoder = load(&TextOptions { pooling: Some(pooling), ..Default::default() });
        check(&mut encoder, &every_case.collect::<Vec<_>>());
    }
}

#[test]
fn bert_base_features_have_the_same_bits_in_any_company() {
    for pooling in [Pooling::Cls, Pooling::Mean] {
        check(&mut load_made_up(768, 3072, pooling), &[(1, 2, 7), (3, 1, 21), (3, 2, 5), (16, 3, 1), (16, 2, 7)]);
    }
}

/// With so few hidden numbers, sums are split by the number of rows.
#[test]
fn narrow_berts_features_have_the_same_bits_in_any_company() {
    for pooling in [Pooling::Cls, Pooling::Mean] {
        check(&mut load_made_up(64, 640, pooling), &[(1, 2, 7), (3, 2, 5), (16, 3, 1)]);
    }
}

#[test]
fn features_have_the_same_bits_with_every_instruction_set() {
    // Wider than a product's block is deep; 500 is not a whole number of tiles.
    for (hidden, intermediate) in [(64, 128), (480, 500), (768, 1536)] {
        let folder = made_up(hidden, intermediate);
        let files = find_text_model(folder.path().to_str().unwrap(), &ModelSearch::default()).unwrap();
        let tokenizer = TextTokenizer::load(TokenizerFamily::Bert, &files, &tokenizer_options(None)).unwrap();
        let ids: Vec<Vec<u32>> = texts_of_like_lengths().iter().map(|text| tokenizer.ids(text).unwrap()).collect();
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        for pooling in [Pooling::Cls, Pooling::Mean] {
            fixtures::assert_same_bits(&format!("{hidden} and {intermediate} numbers, {pooling:?}"), |instructions| {
                CpuTextTower::new(tower_of(&files, pooling), instructions).forward(&ids)
            });
        }
    }
}
