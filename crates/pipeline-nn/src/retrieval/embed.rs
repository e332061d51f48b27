//! Maps features into the shared space.

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

use super::RetrievalError;
use crate::Matrix;
use crate::checkpoint::Linear;
use crate::device::map_batches;

/// Rows that one thread takes at a time. Part of the result's last bits: independent of the thread count.
const BLOCK_ROWS: usize = 256;
/// The smallest length that a row is divided by, as in PyTorch's `F.normalize`.
const MIN_LENGTH: f32 = 1e-12;

/// Embeds every row: through the head if there is one, then to length one if `normalize`.
///
/// The thread count changes no bit of the result.
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
        normalize_rows(&mut embedded);
    }
    Ok(embedded)
}

/// Divides every row by its length.
pub(super) fn normalize_rows(matrix: &mut Matrix) {
    for row in matrix.values.chunks_exact_mut(matrix.n_cols.max(1)) {
        // Summed in f64, so that the result does not depend on the order of the sum in any of the digits kept.
        let squared: f64 = row.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        let length = (squared.sqrt() as f32).max(MIN_LENGTH);
        row.iter_mut().for_each(|value| *value /= length);
    }
}

fn project(features: &Matrix, linear: &Linear, n_threads: usize) -> Result<Matrix, RetrievalError> {
    let (d_features, d_head) = (features.n_cols, linear.weight.n_cols);
    if d_features != d_head {
        return Err(RetrievalError::Features { d_features, d_head });
    }
    let weight = to_tensor(linear.weight.clone()).transpose();
    let bias = to_tensor(Matrix::new(1, linear.bias.len(), linear.bias.clone()));
    let blocks = map_batches(features.n_rows.div_ceil(BLOCK_ROWS), n_threads, |block_idx| {
        let block = rows_of(features, block_idx * BLOCK_ROWS, BLOCK_ROWS);
        to_values(to_tensor(block).matmul(weight.clone()) + bias.clone())
    });
    Ok(Matrix::new(features.n_rows, linear.weight.n_rows, blocks.concat()))
}

/// At most `n_rows` rows of a matrix from `first_row` on.
pub(super) fn rows_of(matrix: &Matrix, first_row: usize, n_rows: usize) -> Matrix {
    let n_rows = n_rows.min(matrix.n_rows - first_row);
    let values = &matrix.values[first_row * matrix.n_cols..][..n_rows * matrix.n_cols];
    Matrix::new(n_rows, matrix.n_cols, values.to_vec())
}

pub(super) fn to_tensor(matrix: Matrix) -> Tensor<Flex, 2> {
    Tensor::from_data(TensorData::new(matrix.values, [matrix.n_rows, matrix.n_cols]), &Default::default())
}

pub(super) fn to_values(tensor: Tensor<Flex, 2>) -> Vec<f32> {
    tensor.into_data().into_vec().expect("this backend's floats are f32")
}
