//! The towers of burn, layer by layer.

use burn_flex::Flex;

use super::text::DeviceTextTower;
use crate::families::bert::tests::{tiny_tower, token_ids};
use crate::gpu::backend::Site;
use crate::gpu::backend::rows::TextBatch;
use crate::weights::fixtures;

/// PyTorch itself differs by up to 3.3e-6 between batch sizes, threads and kernels.
const TOLERANCE: f32 = 1e-5;

#[test]
fn hidden_states_of_every_layer_are_those_of_pytorch() {
    let tower = DeviceTextTower::<Flex>::new(tiny_tower(), Site::on_processor());
    let ids = token_ids("水果 红 苹果");
    let golden = fixtures::tensors("goldens/text_features.safetensors");

    let batch = TextBatch { texts: vec![&ids], n_tokens: ids.len() };
    let mut hidden = tower.embed(&batch);
    for layer_idx in 0..=tower.layers.len() {
        let values = hidden.clone().into_data().into_vec::<f32>().unwrap();
        let difference = fixtures::max_difference(&values, &golden[&format!("layers.{layer_idx}")].values);
        assert!(difference <= TOLERANCE, "after layer {layer_idx}: {difference:e}");
        if let Some(layer) = tower.layers.get(layer_idx) {
            hidden = layer.forward(hidden, &tower.attended(&batch));
        }
    }
}
