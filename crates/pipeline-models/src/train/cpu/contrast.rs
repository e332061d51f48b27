//! The symmetric InfoNCE loss of a batch of pairs, and its gradient.

use rayon::prelude::*;

use super::loss::{LossScratch, info_nce};
use super::positives::{Counts, masked, spread};
use crate::train::Positives;
use pipeline_kernels::{InstructionSet, PackedMatrix, Rows};

/// Rows of a product per unit of work of a thread: a whole number of tiles.
const BLOCK_ROWS: usize = 48;

/// `logits = textᵀ · image / temperature`, with their loss and its gradient.
pub(super) struct Contrast {
    instructions: InstructionSet,
    /// The divisor of similarities.
    pub(super) temperature: f32,
    positives: Positives,
    n_pairs: usize,
    /// `[n_pairs, n_pairs]`; after the loss its gradient with respect to the logits.
    logits: Vec<f32>,
    /// `[n_pairs, dim]`
    text_rows: Vec<f32>,
    /// The right sides of products: of embeddings, of the gradient and of the transposed gradient.
    packed: [PackedMatrix; 3],
    scratch: LossScratch,
    counts: Counts,
}

impl Contrast {
    pub(super) fn new(temperature: f64, positives: Positives, instructions: InstructionSet) -> Self {
        let packed = [(); 3].map(|()| PackedMatrix::new(instructions));
        let [logits, text_rows] = Default::default();
        let (temperature, scratch, counts) = (temperature as f32, LossScratch::default(), Counts::default());
        Self { instructions, temperature, positives, n_pairs: 0, logits, text_rows, packed, scratch, counts }
    }

    /// The mean loss of a batch.
    ///
    /// # Shapes
    /// `text`, `image`: `[dim, n_pairs]`, `others`: the other relevant pairs (row, column)
    pub(super) fn loss(&mut self, text: &[f32], image: &[f32], n_pairs: usize, others: &[(usize, usize)]) -> f32 {
        let Self { instructions, temperature, logits, text_rows, packed: [images, ..], scratch, counts, .. } = self;
        self.n_pairs = n_pairs;
        let dim = text.len() / n_pairs;
        text_rows.clear();
        text_rows.resize(text.len(), 0.0);
        transpose(text, text_rows, n_pairs);
        images.pack(dim, n_pairs, |k, pair_idx| image[k * n_pairs + pair_idx]);
        logits.clear();
        logits.resize(n_pairs * n_pairs, 0.0);
        let temperature = *temperature;
        multiply(text_rows, dim, images, logits, n_pairs, |run, _| {
            run.iter_mut().for_each(|logit| *logit /= temperature);
        });
        match self.positives {
            Positives::Own => instructions.run(
                #[inline(always)]
                || info_nce(logits, n_pairs, scratch),
            ),
            Positives::Mask => instructions.run(
                #[inline(always)]
                || masked(logits, n_pairs, others, scratch),
            ),
            Positives::All => instructions.run(
                #[inline(always)]
                || spread(logits, n_pairs, others, counts, scratch),
            ),
        }
    }

    /// The gradients of the last loss with respect to its embeddings.
    ///
    /// # Shapes
    /// all `[dim, n_pairs]`
    pub(super) fn differentiate(
        &mut self,
        text: &[f32],
        image: &[f32],
        text_gradient: &mut Vec<f32>,
        image_gradient: &mut Vec<f32>,
    ) {
        let Self { temperature, n_pairs, logits, packed: [_, by_text, by_image], .. } = self;
        let (n_pairs, temperature) = (*n_pairs, *temperature);
        text_gradient.resize(text.len(), 0.0);
        image_gradient.resize(image.len(), 0.0);
        let divide = |run: &mut [f32], _| run.iter_mut().for_each(|value| *value /= temperature);
        rayon::join(
            || {
                by_text.pack(n_pairs, n_pairs, |image_idx, text_idx| logits[text_idx * n_pairs + image_idx]);
                multiply(image, n_pairs, by_text, text_gradient, n_pairs, divide);
            },
            || {
                by_image.pack(n_pairs, n_pairs, |text_idx, image_idx| logits[text_idx * n_pairs + image_idx]);
                multiply(text, n_pairs, by_image, image_gradient, n_pairs, divide);
            },
        );
    }
}

/// `out = finish(rows · packed)`, on all threads.
fn multiply(
    rows: &[f32],
    depth: usize,
    packed: &PackedMatrix,
    out: &mut [f32],
    n_cols: usize,
    finish: impl Fn(&mut [f32], usize) + Copy + Sync + Send,
) {
    out.par_chunks_mut(BLOCK_ROWS * n_cols).enumerate().for_each(|(block_idx, out)| {
        let values = &rows[block_idx * BLOCK_ROWS * depth..];
        packed.multiply(Rows { values, stride: depth, n_rows: out.len() / n_cols }, out, n_cols, finish);
    });
}

/// # Shapes
/// `values`: `[n_rows, n_cols]`, `transposed`: `[n_cols, n_rows]`
fn transpose(values: &[f32], transposed: &mut [f32], n_cols: usize) {
    let n_rows = values.len() / n_cols;
    for (row_idx, row) in values.chunks_exact(n_cols).enumerate() {
        for (col, value) in row.iter().enumerate() {
            transposed[col * n_rows + row_idx] = *value;
        }
    }
}
