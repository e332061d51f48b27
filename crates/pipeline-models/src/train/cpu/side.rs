//! One side of a batch, texts or images: features, head, embeddings and their gradient.

use super::adam::AdamStep;
use super::head::CpuHead;
use crate::heads::Head;
use pipeline_kernels::Matrix;
use pipeline_kernels::{InstructionSet, PackedMatrix};

/// The square of the smallest divisor of a vector: PyTorch's `F.normalize` uses 1e-12.
const MIN_SQUARED_LENGTH: f32 = 1e-24;

/// Texts or images; the values of a batch are kept until the next one.
pub(super) struct Side<'a> {
    features: &'a Matrix,
    head: Option<CpuHead>,
    normalize: bool,
    instructions: InstructionSet,
    /// The batch's rows of `features`.
    rows: Vec<usize>,
    /// Those features for the forward product: `[n_inputs, n_pairs]`.
    columns: PackedMatrix,
    /// The same for the product of the gradient: `[n_pairs, n_inputs]`.
    inputs: PackedMatrix,
    /// `[dim, n_pairs]`, of length one if `normalize`.
    pub(super) embedded: Vec<f32>,
    /// The gradient of the loss with respect to `embedded`.
    pub(super) gradient: Vec<f32>,
    /// `[n_pairs]`, the divisors of the embeddings.
    lengths: Vec<f32>,
    /// `[n_pairs]`, the inner products of embeddings and gradients.
    alignments: Vec<f32>,
}

impl<'a> Side<'a> {
    pub(super) fn new(features: &'a Matrix, head: Option<Head>, normalize: bool, instructions: InstructionSet) -> Self {
        let empty = || PackedMatrix::new(instructions);
        let [embedded, gradient, lengths, alignments] = Default::default();
        Self {
            features,
            head: head.map(|head| CpuHead::new(head, instructions)),
            normalize,
            instructions,
            rows: Vec::new(),
            columns: empty(),
            inputs: empty(),
            embedded,
            gradient,
            lengths,
            alignments,
        }
    }

    /// Remembers the weights as the start to which the anchor pulls.
    pub(super) fn remember_start(&mut self) {
        self.head.iter_mut().for_each(CpuHead::remember_start);
    }

    pub(super) fn to_head(&self) -> Option<Head> {
        self.head.as_ref().map(CpuHead::to_head)
    }

    /// Embeds rows of the features.
    pub(super) fn embed(&mut self, rows: impl Iterator<Item = usize>) {
        self.rows.clear();
        self.rows.extend(rows);
        let Self { features, head, rows, columns, inputs, embedded, .. } = self;
        let n_pairs = rows.len();
        let dim = head.as_ref().map_or(features.n_cols, CpuHead::n_outputs);
        embedded.clear();
        embedded.resize(dim * n_pairs, 0.0);
        if let Some(head) = head {
            rayon::join(
                || columns.pack(features.n_cols, n_pairs, |k, pair_idx| features.row(rows[pair_idx])[k]),
                || inputs.pack(n_pairs, features.n_cols, |pair_idx, col| features.row(rows[pair_idx])[col]),
            );
            head.forward(columns, embedded, n_pairs);
        } else {
            for (pair_idx, &row_idx) in rows.iter().enumerate() {
                let places = embedded.iter_mut().skip(pair_idx).step_by(n_pairs);
                places.zip(features.row(row_idx)).for_each(|(place, value)| *place = *value);
            }
        }
        if self.normalize {
            self.scale();
        }
    }

    /// Divides every column by its length.
    fn scale(&mut self) {
        let Self { instructions, rows, embedded, lengths, .. } = self;
        lengths.clear();
        lengths.resize(rows.len(), 0.0);
        instructions.run(
            #[inline(always)]
            || {
                for row in embedded.chunks_exact(rows.len()) {
                    lengths.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * value);
                }
                // NaN stays NaN.
                for length in lengths.iter_mut() {
                    *length = if *length < MIN_SQUARED_LENGTH { MIN_SQUARED_LENGTH } else { *length }.sqrt();
                }
                for row in embedded.chunks_exact_mut(rows.len()) {
                    row.iter_mut().zip(&*lengths).for_each(|(value, length)| *value /= length);
                }
            },
        );
    }

    /// Updates the head by `gradient`.
    pub(super) fn learn(&mut self, step: &AdamStep) {
        if self.normalize {
            self.differentiate_scale();
        }
        if let Some(head) = &mut self.head {
            head.learn(&self.inputs, &self.gradient, self.rows.len(), step);
        }
    }

    /// Turns the gradient with respect to embeddings `e = z / |z|` into that for `z`: `(g - e · (e · g)) / |z|`.
    fn differentiate_scale(&mut self) {
        let Self { instructions, rows, embedded, gradient, lengths, alignments, .. } = self;
        let n_pairs = rows.len();
        alignments.clear();
        alignments.resize(n_pairs, 0.0);
        instructions.run(
            #[inline(always)]
            || {
                for (embedded, gradient) in embedded.chunks_exact(n_pairs).zip(gradient.chunks_exact(n_pairs)) {
                    let terms = embedded.iter().zip(gradient);
                    alignments.iter_mut().zip(terms).for_each(|(sum, (value, gradient))| *sum += value * gradient);
                }
                for (alignment, length) in alignments.iter_mut().zip(&*lengths) {
                    // The smallest divisor does not depend on the vector.
                    *alignment = if *length > MIN_SQUARED_LENGTH.sqrt() { *alignment } else { 0.0 };
                }
                for (embedded, gradient) in embedded.chunks_exact(n_pairs).zip(gradient.chunks_exact_mut(n_pairs)) {
                    let columns = alignments.iter().zip(&*lengths);
                    for ((gradient, value), (alignment, length)) in gradient.iter_mut().zip(embedded).zip(columns) {
                        *gradient = (*gradient - value * alignment) / length;
                    }
                }
            },
        );
    }
}
