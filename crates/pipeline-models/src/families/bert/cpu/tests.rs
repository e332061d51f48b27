//! The BERT of the processor, layer by layer, with every instruction set that this processor has.

use super::*;
use crate::families::bert::tests::{tiny_parts, token_ids};
use crate::weights::fixtures;

/// PyTorch itself differs by up to 3.3e-6 between batch sizes, threads and kernels.
const TOLERANCE: f32 = 1e-5;

#[test]
fn hidden_states_of_every_layer_are_those_of_pytorch() {
    let ids = token_ids("水果 红 苹果");
    let golden = fixtures::tensors("goldens/text_features.safetensors");
    for instructions in InstructionSet::available() {
        let bert = CpuBert::new(tiny_parts(Pooling::Cls), instructions);
        let lengths = [ids.len()];
        let mut scratch = bert.scratch(&lengths);
        let mut hidden = bert.embed(&[&ids]);
        for layer_idx in 0..=bert.layers.len() {
            let difference = fixtures::max_difference(&hidden, &golden[&format!("layers.{layer_idx}")].values);
            assert!(difference <= TOLERANCE, "{instructions:?}, after layer {layer_idx}: {difference:e}");
            if let Some(layer) = bert.layers.get(layer_idx) {
                layer.forward(&mut hidden, &lengths, &mut scratch);
            }
        }
    }
}
