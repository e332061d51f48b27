//! The BERT of burn, layer by layer.

use burn_flex::Flex;

use super::*;
use crate::families::bert::tests::{tiny_parts, token_ids};
use crate::weights::fixtures;

/// PyTorch itself differs by up to 3.3e-6 between batch sizes, threads and kernels.
const TOLERANCE: f32 = 1e-5;

#[test]
fn hidden_states_of_every_layer_are_those_of_pytorch() {
    let bert = Bert::<Flex>::new(tiny_parts(Pooling::Mean), &Default::default());
    let ids: Vec<i32> = token_ids("水果 红 苹果").into_iter().map(|id| id as i32).collect();
    let n_tokens = ids.len();
    let golden = fixtures::tensors("goldens/text_features.safetensors");

    let mut hidden = bert.embed(Tensor::from_data(TensorData::new(ids, [1, n_tokens]), &Default::default()));
    for layer_idx in 0..=bert.layers.len() {
        let values = hidden.clone().into_data().into_vec::<f32>().unwrap();
        let difference = fixtures::max_difference(&values, &golden[&format!("layers.{layer_idx}")].values);
        assert!(difference <= TOLERANCE, "after layer {layer_idx}: {difference:e}");
        if let Some(layer) = bert.layers.get(layer_idx) {
            hidden = layer.forward(hidden, n_tokens, n_tokens);
        }
    }
}
