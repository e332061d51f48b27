//! The symmetric InfoNCE loss of a batch of pairs.

use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// The square of the smallest length that a vector is divided by: PyTorch's `F.normalize` uses 1e-12.
const MIN_SQUARED_LENGTH: f32 = 1e-24;

/// Scales every row to length one.
///
/// # Shapes
/// - rows: `[n_pairs, dim]`
/// - output: `[n_pairs, dim]`
pub(super) fn normalize_rows<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    // Clamped before the root and not after it: the root's slope at zero is infinite and would turn into NaN.
    let lengths = rows.clone().square().sum_dim(1).clamp_min(MIN_SQUARED_LENGTH).sqrt();
    rows / lengths
}

/// The mean of the cross-entropies of finding each text's image and each image's text.
///
/// `logits = text · imageᵀ / temperature`, `loss = (CE(logits) + CE(logitsᵀ)) / 2`; row `i` belongs to row `i`.
///
/// # Shapes
/// - text, image: `[n_pairs, dim]`
/// - output: `[1]`
pub(super) fn info_nce<B: Backend>(text: Tensor<B, 2>, image: Tensor<B, 2>, temperature: f64) -> Tensor<B, 1> {
    let [n_pairs, _] = text.dims();
    let logits = text.matmul(image.transpose()) / temperature;
    let own = Tensor::<B, 1, Int>::arange(0..n_pairs as i64, &logits.device());
    let of_texts = log_softmax(logits.clone(), 1).gather(1, own.clone().unsqueeze_dim(1));
    let of_images = log_softmax(logits, 0).gather(0, own.unsqueeze_dim(0));
    (of_texts.mean() + of_images.mean()) / -2.0
}
