//! The symmetric InfoNCE loss of a batch of pairs.

use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// The square of the smallest divisor of a vector: PyTorch's `F.normalize` uses 1e-12.
const MIN_SQUARED_LENGTH: f32 = 1e-24;

/// Scales every row to length one.
///
/// # Shapes
/// - rows: `[n_pairs, dim]`
/// - output: `[n_pairs, dim]`
pub(super) fn normalize_rows<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    // Clamped before the root, not after it: the root's slope at zero is infinite and would become NaN.
    let lengths = rows.clone().square().sum_dim(1).clamp_min(MIN_SQUARED_LENGTH).sqrt();
    rows / lengths
}

/// The mean of the cross-entropies of finding each row's column and each column's row; row `i` belongs to column `i`.
///
/// `loss = (CE(logits) + CE(logitsᵀ)) / 2`
///
/// # Shapes
/// - logits: `[n_pairs, n_pairs]`
/// - output: `[1]`
pub(super) fn info_nce<B: Backend>(logits: Tensor<B, 2>) -> Tensor<B, 1> {
    let [n_pairs, _] = logits.dims();
    let own = Tensor::<B, 1, Int>::arange(0..n_pairs as i64, &logits.device());
    let of_texts = log_softmax(logits.clone(), 1).gather(1, own.clone().unsqueeze_dim(1));
    let of_images = log_softmax(logits, 0).gather(0, own.unsqueeze_dim(0));
    (of_texts.mean() + of_images.mean()) / -2.0
}

/// The same loss with the logits of `others`, places (row, column), excluded from both softmaxes.
///
/// # Shapes
/// - logits: `[n_pairs, n_pairs]`
/// - output: `[1]`
pub(super) fn masked_info_nce<B: Backend>(logits: Tensor<B, 2>, others: &[(usize, usize)]) -> Tensor<B, 1> {
    let is_other = places(others, &logits).greater_elem(0.5);
    info_nce(logits.mask_fill(is_other, f32::NEG_INFINITY))
}

/// The same loss with `others`, places (row, column), as further positives: the mean over all positives of a row or
/// column.
///
/// # Shapes
/// - logits: `[n_pairs, n_pairs]`
/// - output: `[1]`
pub(super) fn spread_info_nce<B: Backend>(logits: Tensor<B, 2>, others: &[(usize, usize)]) -> Tensor<B, 1> {
    let [n_pairs, _] = logits.dims();
    let positives = places(others, &logits) + Tensor::eye(n_pairs, &logits.device());
    let side = |dim: usize| {
        let targets = positives.clone() / positives.clone().sum_dim(dim);
        (log_softmax(logits.clone(), dim) * targets).sum()
    };
    (side(1) + side(0)) / (-2.0 * n_pairs as f64)
}

/// 1 at the places, 0 elsewhere, in the shape and on the device of `logits`.
fn places<B: Backend>(places: &[(usize, usize)], logits: &Tensor<B, 2>) -> Tensor<B, 2> {
    let [n_rows, n_cols] = logits.dims();
    let mut values = vec![0f32; n_rows * n_cols];
    places.iter().for_each(|(row, col)| values[row * n_cols + col] = 1.0);
    Tensor::from_data(TensorData::new(values, [n_rows, n_cols]), &logits.device())
}
