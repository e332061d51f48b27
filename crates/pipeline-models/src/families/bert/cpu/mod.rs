//! The forward pass of a BERT encoder on the processor, over texts of any lengths: no padding and no mask.
//!
//! The tokens of all texts are the rows of one matrix, so that every affine map is one product with weights that were laid
//! out once; texts meet their own tokens only in the attention. What follows a product is done while its rows are in the
//! cache. One thread computes a batch, and a text's features depend on no other text.

mod attention;
mod layer;

use std::sync::Mutex;

use pipeline_kernels::{InstructionSet, Norm};

use super::Pooling;
use super::weights::BertParts;
use attention::AttentionScratch;
use layer::Layer;

/// A BERT encoder with weights laid out for [`CpuBert::forward`].
pub(super) struct CpuBert {
    instructions: InstructionSet,
    width: usize,
    /// Embeddings of words, that of the first segment already added: `[vocab, hidden]`.
    words: Vec<f32>,
    /// `[max_positions, hidden]`
    positions: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    pooling: Pooling,
    /// Of batches that are done, for those to come: one for each thread.
    scratches: Mutex<Vec<Scratch>>,
}

/// What the layers write into; each holds at least the numbers that it says.
struct Scratch {
    /// `[n_rows, hidden]`, of the tokens that are wanted.
    query: Vec<f32>,
    /// `[n_rows, 2 · hidden]`
    key_value: Vec<f32>,
    /// `[n_rows, hidden]`
    context: Vec<f32>,
    /// `[n_rows, hidden]`
    attended: Vec<f32>,
    /// `[n_rows, intermediate]`
    inner: Vec<f32>,
    attention: AttentionScratch,
}

impl CpuBert {
    /// Lays the weights out for the instructions of `instructions`.
    pub(super) fn new(parts: BertParts, instructions: InstructionSet) -> Self {
        let BertParts { weights, config, pooling } = parts;
        let layers = weights.layers.into_iter().map(|layer| Layer::new(layer, &config, instructions));
        Self {
            instructions,
            width: config.hidden_size,
            words: weights.words,
            positions: weights.positions,
            embedding_norm: Norm::new(
                weights.embedding_norm.scale,
                weights.embedding_norm.shift,
                config.layer_norm_eps,
                instructions,
            ),
            layers: layers.collect(),
            pooling,
            scratches: Mutex::default(),
        }
    }

    /// The features of texts, given the ids of their tokens; each has at least one.
    ///
    /// # Shapes
    /// returns `[n_texts, hidden]`
    pub(super) fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let mut scratch = self.scratch(&lengths);
        let features = self.forward_in(texts, &lengths, &mut scratch);
        self.scratches.lock().expect("no thread panics while it holds this").push(scratch);
        features
    }

    fn forward_in(&self, texts: &[&[u32]], lengths: &[usize], scratch: &mut Scratch) -> Vec<f32> {
        let mut hidden = self.embed(texts);
        let (last, others) = self.layers.split_last().expect("a configuration without layers is refused");
        for layer in others {
            layer.forward(&mut hidden, lengths, scratch);
        }
        match self.pooling {
            Pooling::Cls => {
                last.forward_first(&mut hidden, lengths, scratch);
                hidden
            }
            Pooling::Mean => {
                last.forward(&mut hidden, lengths, scratch);
                self.means(&hidden, lengths)
            }
        }
    }

    /// `[n_tokens of all texts, hidden]`
    fn embed(&self, texts: &[&[u32]]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(texts.iter().map(|ids| ids.len()).sum::<usize>() * self.width);
        for ids in texts {
            for (id, position) in ids.iter().zip(self.positions.chunks_exact(self.width)) {
                let word = &self.words[*id as usize * self.width..][..self.width];
                rows.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        self.embedding_norm.apply(&mut rows);
        rows
    }

    /// The mean over the tokens of each text.
    fn means(&self, hidden: &[f32], lengths: &[usize]) -> Vec<f32> {
        let mut rows = hidden.chunks_exact(self.width);
        let mut means = Vec::with_capacity(lengths.len() * self.width);
        for &length in lengths {
            let mut sums = vec![0.0; self.width];
            for row in rows.by_ref().take(length) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            means.extend(sums.iter().map(|sum| (sum / length as f64) as f32));
        }
        means
    }

    /// One that is free, large enough for texts of these lengths.
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
        let [query, key_value, context, attended, inner] = Default::default();
        Self { query, key_value, context, attended, inner, attention: AttentionScratch::new(instructions) }
    }

    fn grow(&mut self, n_rows: usize, width: usize, inner_width: usize) {
        let Self { query, key_value, context, attended, inner, .. } = self;
        for (values, width) in
            [(query, width), (key_value, 2 * width), (context, width), (attended, width), (inner, inner_width)]
        {
            values.resize(values.len().max(n_rows * width), 0.0);
        }
    }
}

#[cfg(test)]
mod tests;
