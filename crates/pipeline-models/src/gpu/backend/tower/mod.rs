//! Towers of transformer layers, over rows that have the same number of tokens. A *row* is a text or an image.
//!
//! Activations are kept as `[n_rows · n_tokens, width]`, so that every affine map is one large matrix product.

mod image;
mod text;

use burn::tensor::{Int, Tensor};

use super::arithmetic::{Arithmetic, Site, Then, of_primitive, primitive, product};
use super::layers::{Dense, LayerNorm};
use crate::device::Precision;
use crate::tower::{HeadStep, LayerShape, LayerWeights, NormPlace};

/// The tokens that a layer attends to, and those that ask.
pub(in crate::gpu::backend) struct Attended<B: Arithmetic> {
    /// The tokens of every row, padding included.
    n_tokens: usize,
    /// The first tokens of every row that are asked for.
    n_asking: usize,
    /// The tokens of each row that are not padding, `[n_rows]`; `None` where no row has any.
    lengths: Option<Tensor<B, 1, Int>>,
}

impl<B: Arithmetic> Attended<B> {
    /// All tokens of rows without padding.
    pub(in crate::gpu::backend) fn whole(n_tokens: usize, n_asking: usize) -> Self {
        Self { n_tokens, n_asking, lengths: None }
    }
}

/// A layer on a device.
struct Layer<B: Arithmetic> {
    query: Dense<B>,
    key: Dense<B>,
    value: Dense<B>,
    attention_output: Dense<B>,
    attention_norm: LayerNorm<B>,
    intermediate: Dense<B>,
    output: Dense<B>,
    output_norm: LayerNorm<B>,
    shape: LayerShape,
    precision: Precision,
}

impl<B: Arithmetic> Layer<B> {
    fn new(weights: LayerWeights, shape: &LayerShape, site: &Site<B>) -> Self {
        Self {
            query: Dense::new(weights.query, site),
            key: Dense::new(weights.key, site),
            value: Dense::new(weights.value, site),
            attention_output: Dense::new(weights.attention_output, site),
            attention_norm: LayerNorm::new(weights.attention_norm, shape.epsilon, site),
            intermediate: Dense::new(weights.intermediate, site),
            output: Dense::new(weights.output, site),
            output_norm: LayerNorm::new(weights.output_norm, shape.epsilon, site),
            shape: *shape,
            precision: site.precision,
        }
    }

    /// Computes the first tokens of every row, as many as ask.
    ///
    /// # Shapes
    /// `hidden`: `[n_rows · n_tokens, width]` · returns `[n_rows · n_asking, width]`
    fn forward(&self, hidden: Tensor<B, 2>, attended: &Attended<B>) -> Tensor<B, 2> {
        let is_before = self.shape.norms == NormPlace::Before;
        let wanted = first_tokens(hidden.clone(), attended);
        let normed = |rows: Tensor<B, 2>| if is_before { self.attention_norm.forward(rows) } else { rows };
        let all = normed(hidden);
        let asking = first_tokens(all.clone(), attended);
        let context = attend(
            self.query.forward(asking),
            self.key.forward(all.clone()),
            self.value.forward(all),
            attended,
            &self.shape,
            self.precision,
        );
        let summed = self.attention_output.forward_then(context, Some(wanted), Then::Nothing);
        let feed_forward = |rows: Tensor<B, 2>, others| {
            let inner = self.intermediate.forward_then(rows, None, self.shape.activation.into());
            self.output.forward_then(inner, Some(others), Then::Nothing)
        };
        if is_before {
            return feed_forward(self.output_norm.forward(summed.clone()), summed);
        }
        let attended = self.attention_norm.forward(summed);
        self.output_norm.forward(feed_forward(attended.clone(), attended))
    }
}

/// The first tokens of every row, as many as ask.
fn first_tokens<B: Arithmetic>(hidden: Tensor<B, 2>, attended: &Attended<B>) -> Tensor<B, 2> {
    let Attended { n_tokens, n_asking: n_wanted, .. } = *attended;
    if n_wanted == n_tokens {
        return hidden;
    }
    let [n_rows, width] = [hidden.dims()[0] / n_tokens, hidden.dims()[1]];
    hidden.reshape([n_rows, n_tokens, width]).slice([0..n_rows, 0..n_wanted]).reshape([n_rows * n_wanted, width])
}

/// Attention of the first tokens of every row to all its tokens.
///
/// # Shapes
/// `query`, returned: `[n_rows · n_asking, width]` · `key`, `value`: `[n_rows · n_tokens, width]`
pub(super) fn attend<B: Arithmetic>(
    query: Tensor<B, 2>,
    key: Tensor<B, 2>,
    value: Tensor<B, 2>,
    attended: &Attended<B>,
    shape: &LayerShape,
    precision: Precision,
) -> Tensor<B, 2> {
    let [n_keys, width] = key.dims();
    let Attended { n_tokens, n_asking, .. } = *attended;
    let n_rows = n_keys / n_tokens;
    let heads = |rows: Tensor<B, 2>, n_tokens: usize| {
        rows.reshape([n_rows, n_tokens, shape.n_heads, width / shape.n_heads]).swap_dims(1, 2)
    };
    let (query, key, value) = (heads(query, n_asking), heads(key, n_tokens), heads(value, n_tokens));
    let scale = 1.0 / ((width / shape.n_heads) as f64).sqrt();
    let scores = product(query, key.transpose(), precision);
    let lengths = attended.lengths.clone().map(Tensor::into_primitive);
    let shares = B::attention_shares(primitive(scores), scale, lengths, shape.is_causal);
    let context = product(of_primitive(shares), value, precision);
    context.swap_dims(1, 2).reshape([n_rows * n_asking, width])
}

/// The steps from pooled vectors to features.
struct Head<B: Arithmetic>(Vec<Step<B>>);

enum Step<B: Arithmetic> {
    Dense(Dense<B>),
    Norm(LayerNorm<B>),
    Tanh,
}

impl<B: Arithmetic> Head<B> {
    fn new(steps: Vec<HeadStep>, epsilon: f64, site: &Site<B>) -> Self {
        let step = |step| match step {
            HeadStep::Dense(weights) => Step::Dense(Dense::new(weights, site)),
            HeadStep::Norm(weights) => Step::Norm(LayerNorm::new(weights, epsilon, site)),
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
