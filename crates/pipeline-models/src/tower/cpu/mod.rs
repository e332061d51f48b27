//! Towers on the processor, over rows of any lengths: no padding and no mask. A *row* is a text or an image.
//!
//! The tokens of all rows are the lines of one matrix, so that every affine map is one product with weights that were
//! laid out once; rows meet their own tokens only in the attention. What follows a product is done while its lines are
//! in the cache. One thread computes a batch, and a row's features depend on no other row.

mod attention;
mod attention_pool;
mod dense;
mod head;
mod image;
mod layer;
mod text;
mod top;

use std::sync::Mutex;

use pipeline_kernels::{Buffer, InstructionSet, Norm};
use rayon::prelude::*;

use super::{LayerShape, LayerWeights, NormWeights};
use attention::{Asking, AttentionScratch};
pub(crate) use attention_pool::CpuAttentionPool;
pub(crate) use dense::Dense;
pub(crate) use image::CpuImageTower;
use layer::{Layer, keep_one};
pub(crate) use text::CpuTextTower;

/// The layers of a tower, with the norm of their output.
struct Layers {
    instructions: InstructionSet,
    width: usize,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
    /// Of batches that are done, for those to come: one for each thread.
    scratches: Mutex<Vec<Scratch>>,
}

/// The buffers of the layers; each holds at least the numbers that it says.
struct Scratch {
    /// `[n_tokens, width]`, of the tokens that ask.
    query: Buffer,
    /// `[n_tokens, 2 · width]`
    key_value: Buffer,
    /// `[n_tokens, width]`
    context: Buffer,
    /// `[n_tokens, width]`
    normed: Buffer,
    /// `[n_tokens, intermediate]`
    inner: Buffer,
    attention: AttentionScratch,
}

impl Layers {
    fn new(
        layers: Vec<LayerWeights>,
        final_norm: Option<NormWeights>,
        shape: &LayerShape,
        instructions: InstructionSet,
    ) -> Self {
        Self {
            instructions,
            width: shape.width,
            layers: layers.into_par_iter().map(|layer| Layer::new(layer, shape, instructions)).collect(),
            final_norm: final_norm.map(|weights| norm(weights, shape.epsilon, instructions)),
            scratches: Mutex::default(),
        }
    }

    /// Replaces the vectors of tokens by the output of the last layer and its norm: of all tokens, or of those that ask
    /// alone.
    ///
    /// # Shapes
    /// `hidden`: `[sum of lengths, width]`, then `[n asking, width]`
    fn forward(&self, hidden: &mut Vec<f32>, lengths: &[usize], asking: Asking<'_>) {
        let mut scratch = self.scratch(lengths);
        let n_whole = self.layers.len().saturating_sub(usize::from(matches!(asking, Asking::One(_))));
        for layer in &self.layers[..n_whole] {
            layer.forward(hidden, lengths, &mut scratch);
        }
        if let Asking::One(places) = asking {
            match self.layers.last() {
                Some(last) => last.forward_one(hidden, places, lengths, &mut scratch),
                None => keep_one(hidden, self.width, places, lengths),
            }
        }
        if let Some(norm) = &self.final_norm {
            norm.apply(hidden);
        }
        self.scratches.lock().expect("no thread panics while it holds this").push(scratch);
    }

    /// One that is free, large enough for rows of these lengths.
    fn scratch(&self, lengths: &[usize]) -> Scratch {
        let free = self.scratches.lock().expect("no thread panics while it holds this").pop();
        let mut scratch = free.unwrap_or_else(|| Scratch::new(self.instructions));
        let inner_width = self.layers.iter().map(Layer::inner_width).max().unwrap_or(0);
        scratch.grow(lengths.iter().sum(), self.width, inner_width);
        scratch
    }
}

impl Scratch {
    fn new(instructions: InstructionSet) -> Self {
        let [query, key_value, context, normed, inner] = Default::default();
        Self { query, key_value, context, normed, inner, attention: AttentionScratch::new(instructions) }
    }

    fn grow(&mut self, n_tokens: usize, width: usize, inner_width: usize) {
        let Self { query, key_value, context, normed, inner, .. } = self;
        for (values, width) in
            [(query, width), (key_value, 2 * width), (context, width), (normed, width), (inner, inner_width)]
        {
            values.grow(n_tokens * width);
        }
    }
}

/// A norm with its weights laid out.
pub(crate) fn norm(weights: NormWeights, epsilon: f64, instructions: InstructionSet) -> Norm {
    Norm::new(weights.scale, weights.shift, epsilon, instructions)
}

/// The mean over the tokens of each row, its first `n_skipped` ones left out.
///
/// # Shapes
/// `hidden`: `[sum of lengths, width]` · returns `[n_rows, width]`
pub(crate) fn means(hidden: &[f32], width: usize, lengths: &[usize], n_skipped: usize) -> Vec<f32> {
    let mut tokens = hidden.chunks_exact(width);
    let mut means = Vec::with_capacity(lengths.len() * width);
    for &length in lengths {
        let mut sums = vec![0.0; width];
        for token in tokens.by_ref().take(length).skip(n_skipped) {
            sums.iter_mut().zip(token).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        means.extend(sums.iter().map(|sum| (sum / (length - n_skipped) as f64) as f32));
    }
    means
}
