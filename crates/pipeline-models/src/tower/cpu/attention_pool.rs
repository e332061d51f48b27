//! CLIP's attention pool on the processor.

use pipeline_kernels::InstructionSet;

use super::attention::{Asking, Attention, AttentionScratch};
use super::dense::Dense;
use super::means;
use crate::tower::AttentionPoolWeights;

/// An attention pool with its weights laid out.
pub(crate) struct CpuAttentionPool {
    width: usize,
    positions: Vec<f32>,
    query: Dense,
    key_value: Dense,
    attention: Attention,
    output: Dense,
    instructions: InstructionSet,
}

impl CpuAttentionPool {
    /// Lays the weights out for the instructions of `instructions`.
    pub(crate) fn new(weights: AttentionPoolWeights, instructions: InstructionSet) -> Self {
        let width = weights.query.n_in;
        Self {
            width,
            positions: weights.positions,
            query: Dense::new(weights.query, instructions),
            key_value: Dense::side_by_side(&[weights.key, weights.value], instructions),
            attention: Attention::new(width, weights.n_heads, false, instructions),
            output: Dense::new(weights.output, instructions),
            instructions,
        }
    }

    /// One vector an image, from the places of its map: as many as there are positions.
    ///
    /// # Shapes
    /// `maps`: `[n_images, n_places, width]` · returns `[n_images, dim]`
    pub(crate) fn forward(&self, maps: &[f32]) -> Vec<f32> {
        let (width, n_tokens) = (self.width, self.positions.len() / self.width);
        let map_len = (n_tokens - 1) * width;
        let n_images = maps.len() / map_len;
        let mut tokens = Vec::with_capacity(n_images * self.positions.len());
        let mut asking = Vec::with_capacity(n_images * width);
        for map in maps.chunks_exact(map_len) {
            let start = tokens.len();
            tokens.extend(means(map, width, &[n_tokens - 1], 0));
            tokens.extend_from_slice(map);
            tokens[start..].iter_mut().zip(&self.positions).for_each(|(token, position)| *token += position);
            asking.extend_from_slice(&tokens[start..start + width]);
        }
        let mut query = vec![0.0; asking.len()];
        self.query.forward(&asking, &mut query);
        let mut key_value = vec![0.0; 2 * tokens.len()];
        self.key_value.forward(&tokens, &mut key_value);
        let mut context = asking;
        let mut scratch = AttentionScratch::new(self.instructions);
        let (places, lengths) = (vec![0; n_images], vec![n_tokens; n_images]);
        self.attention.forward(&query, Asking::One(&places), (&key_value, &lengths), &mut context, &mut scratch);
        let mut out = vec![0.0; n_images * self.output.n_out()];
        self.output.forward(&context, &mut out);
        out
    }
}
