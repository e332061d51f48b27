//! Maps features into the shared space.

use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::pool::{Features, TokenPool, pool};
use super::{Head, Linear};
use crate::tower::Top;
use pipeline_kernels::{
    InstructionSet, Matrix, PackedMatrix, RowReader, Rows, TokenReader, consecutive_rows, gelu, normalize_rows,
    on_threads,
};

/// Rows of tokens that are pooled before they are embedded.
const POOLED_ROWS: usize = 4096;

/// Rows per unit of work of a thread.
const BLOCK_ROWS: usize = 192;

/// The reason why features cannot be embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The features do not fit the head.
    #[error(
        "the features have {d_features} columns, but the projection head takes {d_head}: was it trained on others?"
    )]
    Widths {
        /// The columns of the features.
        d_features: usize,
        /// The inputs of the head.
        d_head: usize,
    },
    /// The features cannot be read.
    #[error("the features cannot be read")]
    Read(#[from] io::Error),
}

/// Embeds every row: through the head if there is one, then to length one if `normalize`.
///
/// Neither the thread count nor the other rows change a bit of a row. Of features that do not lie in memory, each
/// thread reads 192 rows at a time.
///
/// # Shapes
/// - features: `[n_rows, d_features]`
/// - output: `[n_rows, dim]`, or `[n_rows, d_features]` without a head
///
/// # Errors
/// When the head takes rows of another width, or they cannot be read.
pub fn embed(
    features: &dyn RowReader,
    head: Option<&Head>,
    normalize: bool,
    n_threads: usize,
) -> Result<Matrix, EmbedError> {
    embed_rows(features, 0..features.n_rows(), head, normalize, n_threads)
}

/// Embeds consecutive rows as [`embed`] does.
///
/// # Shapes
/// output: `[rows.len(), dim]`
///
/// # Errors
/// When the head takes rows of another width, or they cannot be read.
pub fn embed_rows(
    features: &dyn RowReader,
    rows: Range<usize>,
    head: Option<&Head>,
    normalize: bool,
    n_threads: usize,
) -> Result<Matrix, EmbedError> {
    let mut embedded = match head {
        Some(head) => project(features, rows, head, n_threads, InstructionSet::best())?,
        None => copied(features, rows, n_threads)?,
    };
    if normalize {
        on_threads(n_threads, || normalize_rows(&mut embedded));
    }
    Ok(embedded)
}

/// Consecutive rows as they are.
fn copied(features: &dyn RowReader, rows: Range<usize>, n_threads: usize) -> io::Result<Matrix> {
    let mut copied = Matrix::zeros(rows.len(), features.n_cols());
    on_threads(n_threads, || {
        let blocks = copied.values.par_chunks_mut((BLOCK_ROWS * features.n_cols()).max(1)).enumerate();
        blocks.try_for_each(|(block_idx, values)| features.read_rows(&block_of(&rows, block_idx), values))
    })?;
    Ok(copied)
}

/// The rows of a unit of work.
fn block_of(rows: &Range<usize>, block_idx: usize) -> Vec<usize> {
    rows.clone().skip(block_idx * BLOCK_ROWS).take(BLOCK_ROWS).collect()
}

/// Embeds every row of features, of which tokens are pooled by the head's layers or vector first.
///
/// # Errors
/// When the head takes rows of another width, or they cannot be read.
///
/// # Panics
/// When a head without either is given tokens: a bug of the caller.
pub fn embed_features(
    features: Features<'_>,
    head: Option<&Head>,
    normalize: bool,
    n_threads: usize,
) -> Result<Matrix, EmbedError> {
    match features {
        Features::Vectors(vectors) => embed(vectors, head, normalize, n_threads),
        Features::Tokens(tokens) => {
            let head = head.expect("BUG: tokens are embedded by a head that pools them");
            embed_tokens(tokens, head, normalize, n_threads)
        }
    }
}

/// Embeds every row of tokens, a part of them at a time.
fn embed_tokens(
    tokens: &dyn TokenReader,
    head: &Head,
    normalize: bool,
    n_threads: usize,
) -> Result<Matrix, EmbedError> {
    let vector = || head.attention.as_deref().expect("BUG: tokens are embedded by a head that pools them");
    let (d_features, d_head) = (tokens.width(), head.top.as_ref().map_or_else(|| vector().len(), Top::width));
    if d_features != d_head {
        return Err(EmbedError::Widths { d_features, d_head });
    }
    let (n_rows, dim) = (tokens.n_rows(), head.output.bias.len());
    let mut values = Vec::with_capacity(n_rows * dim);
    for first_row in (0..n_rows).step_by(POOLED_ROWS) {
        let rows = first_row..n_rows.min(first_row + POOLED_ROWS);
        let features = match &head.top {
            Some(top) => top.features(tokens, rows, n_threads)?,
            None => pool(tokens, rows, TokenPool::Attentive(vector()), n_threads)?,
        };
        values.extend(embed(&features, Some(head), normalize, n_threads)?.values);
    }
    Ok(Matrix::new(n_rows, dim, values))
}

pub(super) fn project(
    features: &dyn RowReader,
    rows: Range<usize>,
    head: &Head,
    n_threads: usize,
    instructions: InstructionSet,
) -> Result<Matrix, EmbedError> {
    let (d_features, d_head) = (features.n_cols(), head.d_features());
    if d_features != d_head {
        return Err(EmbedError::Widths { d_features, d_head });
    }
    let layer = |linear| Layer::new(linear, instructions);
    let (hidden, output) = (head.hidden.as_ref().map(layer), layer(&head.output));
    let dim = output.bias.len();
    let mut projected = Matrix::zeros(rows.len(), dim);
    on_threads(n_threads, || {
        let blocks = projected.values.par_chunks_mut((BLOCK_ROWS * dim).max(1)).enumerate();
        blocks.try_for_each_init(<(Vec<_>, Vec<_>)>::default, |(buffer, between), (block_idx, projected)| {
            let n_rows = projected.len() / dim;
            let first_row = rows.start + block_idx * BLOCK_ROWS;
            let features = consecutive_rows(features, first_row..first_row + n_rows, buffer)?;
            match &hidden {
                None => output.apply(features, projected, |value| value),
                Some(hidden) => {
                    between.resize(n_rows * hidden.bias.len(), 0.0);
                    hidden.apply(features, between, gelu);
                    output.apply(between, projected, |value| value);
                }
            }
            Ok::<_, EmbedError>(())
        })
    })?;
    Ok(projected)
}

/// A linear map that is packed for products with many rows.
struct Layer<'a> {
    weight: PackedMatrix,
    bias: &'a [f32],
    n_inputs: usize,
}

impl<'a> Layer<'a> {
    fn new(Linear { weight, bias }: &'a Linear, instructions: InstructionSet) -> Self {
        let mut packed = PackedMatrix::new(instructions);
        packed.pack(weight.n_cols, weight.n_rows, |k, output_idx| weight.values[output_idx * weight.n_cols + k]);
        Self { weight: packed, bias, n_inputs: weight.n_cols }
    }

    /// `outputs = activation(inputs · weightᵀ + bias)`
    ///
    /// # Shapes
    /// `inputs`: `[n_rows, n_inputs]`, `outputs`: `[n_rows, n_outputs]`
    fn apply(&self, inputs: &[f32], outputs: &mut [f32], activation: impl Fn(f32) -> f32 + Copy) {
        let n_outputs = self.bias.len();
        if self.n_inputs == 0 {
            let rows = outputs.chunks_exact_mut(n_outputs.max(1));
            rows.for_each(|row| row.iter_mut().zip(self.bias).for_each(|(out, bias)| *out = activation(*bias)));
            return;
        }
        let rows = Rows { values: inputs, stride: self.n_inputs, n_rows: inputs.len() / self.n_inputs };
        self.weight.multiply(
            rows,
            outputs,
            n_outputs,
            #[inline(always)]
            |run: &mut [f32], first_col: usize| {
                let bias = &self.bias[first_col..][..run.len()];
                run.iter_mut().zip(bias).for_each(|(value, bias)| *value = activation(*value + bias));
            },
        );
    }
}
