//! Maps features into the shared space.

use rayon::prelude::*;

use super::RetrievalError;
use super::lengths::normalize_rows;
use crate::Matrix;
use crate::checkpoint::Linear;
use crate::device::{InstructionSet, PackedMatrix, Rows, on_threads};

/// Rows that one thread takes at a time.
const BLOCK_ROWS: usize = 192;

/// Embeds every row: through the head if there is one, then to length one if `normalize`.
///
/// Neither the thread count nor the other rows change a bit of a row.
///
/// # Shapes
/// - features: `[n_rows, d_features]`
/// - output: `[n_rows, dim]`, or `[n_rows, d_features]` without a head
///
/// # Errors
/// When the head takes rows of another width.
pub fn embed(
    features: &Matrix,
    linear: Option<&Linear>,
    normalize: bool,
    n_threads: usize,
) -> Result<Matrix, RetrievalError> {
    let mut embedded = match linear {
        Some(linear) => project(features, linear, n_threads)?,
        None => features.clone(),
    };
    if normalize {
        on_threads(n_threads, || normalize_rows(&mut embedded));
    }
    Ok(embedded)
}

/// `features · weightᵀ + bias`
fn project(features: &Matrix, linear: &Linear, n_threads: usize) -> Result<Matrix, RetrievalError> {
    let Linear { weight, bias } = linear;
    let (d_features, d_head, dim) = (features.n_cols, weight.n_cols, weight.n_rows);
    if d_features != d_head {
        return Err(RetrievalError::Features { d_features, d_head });
    }
    let mut projected = Matrix::zeros(features.n_rows, dim);
    if dim == 0 || d_head == 0 {
        projected.values.chunks_exact_mut(dim.max(1)).for_each(|row| row.copy_from_slice(bias));
        return Ok(projected);
    }
    let mut packed = PackedMatrix::new(InstructionSet::best());
    packed.pack(d_head, dim, |k, output_idx| weight.values[output_idx * d_head + k]);
    let add_bias = |run: &mut [f32], first_col: usize| {
        run.iter_mut().zip(&bias[first_col..]).for_each(|(value, bias)| *value += bias);
    };
    on_threads(n_threads, || {
        let blocks = features.values.par_chunks(BLOCK_ROWS * d_head);
        blocks.zip(projected.values.par_chunks_mut(BLOCK_ROWS * dim)).for_each(|(features, projected)| {
            let rows = Rows { values: features, stride: d_head, n_rows: features.len() / d_head };
            packed.multiply(rows, projected, dim, add_bias);
        });
    });
    Ok(projected)
}
