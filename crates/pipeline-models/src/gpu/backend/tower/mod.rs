//! Towers of transformer layers, over rows that have the same number of tokens. A *row* is a text or an image.
//!
//! Activations are kept as `[n_rows · n_tokens, width]`, so that every affine map is one large matrix product.

mod image;
mod text;

use burn::tensor::backend::Backend;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Tensor, activation};

use super::layers::{Dense, LayerNorm};
use crate::tower::{Activation, HeadStep, LayerShape, LayerWeights, NormPlace};

/// A layer on a device.
struct Layer<B: Backend> {
    query: Dense<B>,
    key: Dense<B>,
    value: Dense<B>,
    attention_output: Dense<B>,
    attention_norm: LayerNorm<B>,
    intermediate: Dense<B>,
    output: Dense<B>,
    output_norm: LayerNorm<B>,
    shape: LayerShape,
}

impl<B: Backend> Layer<B> {
    fn new(weights: LayerWeights, shape: &LayerShape, device: &B::Device) -> Self {
        Self {
            query: Dense::new(weights.query, device),
            key: Dense::new(weights.key, device),
            value: Dense::new(weights.value, device),
            attention_output: Dense::new(weights.attention_output, device),
            attention_norm: LayerNorm::new(weights.attention_norm, shape.epsilon, device),
            intermediate: Dense::new(weights.intermediate, device),
            output: Dense::new(weights.output, device),
            output_norm: LayerNorm::new(weights.output_norm, shape.epsilon, device),
            shape: *shape,
        }
    }

    /// Computes the first `n_wanted` tokens of every row; all tokens are attended to.
    ///
    /// # Shapes
    /// `hidden`: `[n_rows · n_tokens, width]` · returns `[n_rows · n_wanted, width]`
    fn forward(&self, hidden: Tensor<B, 2>, n_tokens: usize, n_wanted: usize) -> Tensor<B, 2> {
        let is_before = self.shape.norms == NormPlace::Before;
        let wanted = first_tokens(hidden.clone(), n_tokens, n_wanted);
        let normed = |rows: Tensor<B, 2>| if is_before { self.attention_norm.forward(rows) } else { rows };
        let all = normed(hidden);
        let asking = first_tokens(all.clone(), n_tokens, n_wanted);
        let context = attend(
            self.query.forward(asking),
            self.key.forward(all.clone()),
            self.value.forward(all),
            (n_tokens, n_wanted),
            &self.shape,
        );
        let branch = self.attention_output.forward(context);
        if is_before {
            let hidden = wanted + branch;
            let inner = self.intermediate.forward(self.output_norm.forward(hidden.clone()));
            return hidden + self.output.forward(activate(inner, self.shape.activation));
        }
        let attended = self.attention_norm.forward(branch + wanted);
        let inner = activate(self.intermediate.forward(attended.clone()), self.shape.activation);
        self.output_norm.forward(self.output.forward(inner) + attended)
    }
}

/// The first `n_wanted` tokens of every row.
fn first_tokens<B: Backend>(hidden: Tensor<B, 2>, n_tokens: usize, n_wanted: usize) -> Tensor<B, 2> {
    if n_wanted == n_tokens {
        return hidden;
    }
    let [n_rows, width] = [hidden.dims()[0] / n_tokens, hidden.dims()[1]];
    hidden.reshape([n_rows, n_tokens, width]).slice([0..n_rows, 0..n_wanted]).reshape([n_rows * n_wanted, width])
}

/// Attention of the first `n_asking` tokens of every row to all its `n_tokens` tokens.
///
/// # Shapes
/// `query`, returned: `[n_rows · n_asking, width]` · `key`, `value`: `[n_rows · n_tokens, width]`
pub(super) fn attend<B: Backend>(
    query: Tensor<B, 2>,
    key: Tensor<B, 2>,
    value: Tensor<B, 2>,
    (n_tokens, n_asking): (usize, usize),
    shape: &LayerShape,
) -> Tensor<B, 2> {
    let [n_keys, width] = key.dims();
    let n_rows = n_keys / n_tokens;
    let heads = |rows: Tensor<B, 2>, n_tokens: usize| {
        rows.reshape([n_rows, n_tokens, shape.n_heads, width / shape.n_heads]).swap_dims(1, 2)
    };
    let options = AttentionModuleOptions { is_causal: shape.is_causal, ..AttentionModuleOptions::default() };
    let (query, key, value) = (heads(query, n_asking), heads(key, n_tokens), heads(value, n_tokens));
    attention(query, key, value, None, None, options).swap_dims(1, 2).reshape([n_rows * n_asking, width])
}

pub(super) fn activate<B: Backend, const D: usize>(inner: Tensor<B, D>, activation: Activation) -> Tensor<B, D> {
    match activation {
        Activation::Gelu => activation::gelu(inner),
        Activation::GeluTanh => activation::gelu_approximate(inner),
        Activation::QuickGelu => inner.clone() * activation::sigmoid(inner * 1.702),
        Activation::Relu => activation::relu(inner),
    }
}

/// The steps from pooled vectors to features.
struct Head<B: Backend>(Vec<Step<B>>);

enum Step<B: Backend> {
    Dense(Dense<B>),
    Norm(LayerNorm<B>),
    Tanh,
}

impl<B: Backend> Head<B> {
    fn new(steps: Vec<HeadStep>, epsilon: f64, device: &B::Device) -> Self {
        let step = |step| match step {
            HeadStep::Dense(weights) => Step::Dense(Dense::new(weights, device)),
            HeadStep::Norm(weights) => Step::Norm(LayerNorm::new(weights, epsilon, device)),
            HeadStep::Tanh => Step::Tanh,
        };
        Self(steps.into_iter().map(step).collect())
    }

    fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        self.0.iter().fold(rows, |rows, step| match step {
            Step::Dense(dense) => dense.forward(rows),
            Step::Norm(norm) => norm.forward(rows),
            Step::Tanh => rows.tanh(),
        })
    }
}

#[cfg(test)]
mod tests;
