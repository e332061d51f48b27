//! The BERT of burn against a plain one.

use burn_flex::Flex;

use super::*;
use crate::families::bert::cpu::CpuBert;
use crate::families::bert::tests::{tiny_files, token_ids};
use crate::weights::fixtures;
use pipeline_kernels::InstructionSet;

/// PyTorch itself differs by up to 3.3e-6 between batch sizes, threads and kernels.
const TOLERANCE: f32 = 1e-5;

#[test]
fn the_processor_and_burn_give_the_same_features() {
    let files = tiny_files();
    let config = BertConfig::read(&files.config).unwrap();
    let texts = ["水果 红 苹果", "红苹果"].map(|text| token_ids(text));
    for pooling in [Pooling::Cls, Pooling::Mean] {
        let weights = || BertWeights::read(&files, &config).unwrap();
        let burn = Bert::<Flex>::new(weights(), &config, pooling, Default::default());
        let burn = texts.iter().flat_map(|ids| burn.forward(ids.clone(), ids.len())).collect::<Vec<_>>();
        let cpu = CpuBert::new(weights(), &config, pooling, InstructionSet::best());
        let difference = fixtures::max_difference(&burn, &cpu.forward(&[&texts[0], &texts[1]]));
        assert!(difference <= TOLERANCE, "{pooling:?}: {difference:e}");
    }
}

#[test]
fn hidden_states_of_every_layer_are_those_of_pytorch() {
    let files = tiny_files();
    let config = BertConfig::read(&files.config).unwrap();
    let weights = BertWeights::read(&files, &config).unwrap();
    let bert = Bert::<Flex>::new(weights, &config, Pooling::Mean, Default::default());
    let ids = token_ids("水果 红 苹果");
    let n_tokens = ids.len();
    let golden = fixtures::tensors("goldens/text_features.safetensors");

    let mut hidden = bert.embed(ids, n_tokens);
    for layer_idx in 0..=bert.layers.len() {
        let values = hidden.clone().into_data().into_vec::<f32>().unwrap();
        let difference = fixtures::max_difference(&values, &golden[&format!("layers.{layer_idx}")].values);
        assert!(difference <= TOLERANCE, "after layer {layer_idx}: {difference:e}");
        if let Some(layer) = bert.layers.get(layer_idx) {
            hidden = layer.forward(hidden, n_tokens, n_tokens);
        }
    }
}
