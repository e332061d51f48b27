//! One side of a batch, texts or images: features, head, embeddings and their gradient.

use std::io;

use rayon::prelude::*;

use super::adam::AdamStep;
use super::attention::CpuAttention;
use super::head::CpuHead;
use super::top::TrainedTop;
use crate::heads::{Features, Head};
use crate::train::options::TopRate;
use pipeline_kernels::{InstructionSet, PackedMatrix, RowReader};

/// The square of the smallest divisor of a vector: PyTorch's `F.normalize` uses 1e-12.
const MIN_SQUARED_LENGTH: f32 = 1e-24;

/// Rows that a thread reads at once.
const ROWS_AT_ONCE: usize = 16;

/// The inputs of a head.
enum Inputs<'a> {
    /// A vector for each row.
    Vectors(BatchOfVectors<'a>),
    /// The tokens of each row, and the vector by which they are weighed.
    Tokens(CpuAttention<'a>),
    /// The tokens of each row, and the layers that they go through.
    Layers(Box<TrainedTop<'a>>),
}

/// Vectors of which those of a batch are in memory.
struct BatchOfVectors<'a> {
    all: &'a dyn RowReader,
    /// `[n_pairs, width]`
    values: Vec<f32>,
}

impl BatchOfVectors<'_> {
    fn read(&mut self, rows: &[usize]) -> io::Result<()> {
        let Self { all, values } = self;
        let width = all.n_cols();
        values.resize(rows.len() * width, 0.0);
        let parts = values.par_chunks_mut((ROWS_AT_ONCE * width).max(1)).zip(rows.par_chunks(ROWS_AT_ONCE));
        parts.try_for_each(|(values, rows)| all.read_rows(rows, values))
    }
}

/// What the pools of tokens learn with, beside the step of the heads.
pub(super) struct PoolSteps {
    /// That of the vector by which tokens are weighed.
    pub(super) attention: AdamStep,
    /// The share of the own rates of layers.
    pub(super) share_of_layers: f64,
}

impl Inputs<'_> {
    fn width(&self) -> usize {
        match self {
            Self::Vectors(vectors) => vectors.all.n_cols(),
            Self::Tokens(attention) => attention.vector().len(),
            Self::Layers(top) => top.dim(),
        }
    }

    /// The vector of a pair of the batch.
    fn row(&self, pair_idx: usize) -> &[f32] {
        match self {
            Self::Vectors(BatchOfVectors { all, values }) => &values[pair_idx * all.n_cols()..][..all.n_cols()],
            Self::Tokens(attention) => attention.row(pair_idx),
            Self::Layers(top) => top.row(pair_idx),
        }
    }
}

/// Texts or images; the values of a batch are kept until the next one.
pub(super) struct Side<'a> {
    features: Inputs<'a>,
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
    /// The gradient of the loss with respect to pooled vectors: `[n_inputs, n_pairs]`; empty where there are none.
    by_inputs: Vec<f32>,
    /// `[n_pairs]`, the divisors of the embeddings.
    lengths: Vec<f32>,
    /// `[n_pairs]`, the inner products of embeddings and gradients.
    alignments: Vec<f32>,
}

impl<'a> Side<'a> {
    /// # Panics
    /// When tokens come without a head that pools them: a bug of the caller.
    pub(super) fn new(
        features: Features<'a>,
        mut head: Option<Head>,
        rate: TopRate,
        normalize: bool,
        instructions: InstructionSet,
    ) -> Self {
        let features = match features {
            Features::Vectors(all) => Inputs::Vectors(BatchOfVectors { all, values: Vec::new() }),
            Features::Tokens(tokens) => {
                let top = head.as_mut().and_then(|head| head.top.take());
                let vector = head.as_mut().and_then(|head| head.attention.take());
                match top {
                    Some(top) => Inputs::Layers(Box::new(TrainedTop::new(tokens, top, rate, instructions))),
                    None => Inputs::Tokens(CpuAttention::new(
                        tokens,
                        vector.expect("BUG: tokens have a head that pools them"),
                    )),
                }
            }
        };
        let empty = || PackedMatrix::new(instructions);
        let [embedded, gradient, by_inputs, lengths, alignments] = Default::default();
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
            by_inputs,
            lengths,
            alignments,
        }
    }

    /// Remembers the weights as the start to which the anchor pulls.
    pub(super) fn remember_start(&mut self) {
        self.head.iter_mut().for_each(CpuHead::remember_start);
    }

    pub(super) fn to_head(&self) -> Option<Head> {
        let head = self.head.as_ref()?.to_head();
        Some(match &self.features {
            Inputs::Vectors(_) => head,
            Inputs::Tokens(attention) => Head { attention: Some(attention.vector().to_vec()), ..head },
            Inputs::Layers(top) => Head { top: Some(top.to_top()), ..head },
        })
    }

    /// Embeds rows of the features.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn embed(&mut self, rows: impl Iterator<Item = usize>) -> io::Result<()> {
        self.rows.clear();
        self.rows.extend(rows);
        let Self { features, head, rows, columns, inputs, embedded, .. } = self;
        match features {
            Inputs::Vectors(vectors) => vectors.read(rows)?,
            Inputs::Tokens(attention) => attention.pool(rows)?,
            Inputs::Layers(top) => top.forward(rows)?,
        }
        let features = &*features;
        let (n_pairs, width) = (rows.len(), features.width());
        let row = |pair_idx: usize| features.row(pair_idx);
        let dim = head.as_ref().map_or(width, CpuHead::n_outputs);
        embedded.clear();
        embedded.resize(dim * n_pairs, 0.0);
        if let Some(head) = head {
            rayon::join(
                || columns.pack(width, n_pairs, |k, pair_idx| row(pair_idx)[k]),
                || inputs.pack(n_pairs, width, |pair_idx, col| row(pair_idx)[col]),
            );
            head.forward(columns, embedded, n_pairs);
        } else {
            for pair_idx in 0..n_pairs {
                let places = embedded.iter_mut().skip(pair_idx).step_by(n_pairs);
                places.zip(row(pair_idx)).for_each(|(place, value)| *place = *value);
            }
        }
        if self.normalize {
            self.scale();
        }
        Ok(())
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

    /// Updates the head by `gradient`, and what makes one vector of a row's tokens.
    ///
    /// # Errors
    /// When the tokens cannot be read.
    pub(super) fn learn(&mut self, step: &AdamStep, pool_steps: &PoolSteps) -> io::Result<()> {
        if self.normalize {
            self.differentiate_scale();
        }
        let Self { features, head, inputs, gradient, by_inputs, .. } = self;
        let (Some(head), n_pairs) = (head, self.rows.len()) else { return Ok(()) };
        match features {
            Inputs::Vectors(_) => head.learn(inputs, gradient, n_pairs, step, None),
            Inputs::Tokens(attention) => {
                head.learn(inputs, gradient, n_pairs, step, Some(by_inputs));
                attention.learn(by_inputs, &pool_steps.attention)?;
            }
            Inputs::Layers(top) => {
                head.learn(inputs, gradient, n_pairs, step, Some(by_inputs));
                top.learn(by_inputs.clone(), pool_steps.share_of_layers);
            }
        }
        Ok(())
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
