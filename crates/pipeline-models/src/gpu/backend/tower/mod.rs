//! Towers of transformer layers, over rows that have the same number of tokens. A *row* is a text or an image.
//!
//! Activations are kept as `[n_rows · n_tokens, width]`, so that every affine map is one large matrix product.

mod image;
mod text;

use burn::tensor::{Int, Tensor};

use super::arithmetic::{Arithmetic, Site, Then, of_primitive, primitive, product};
use super::layers::{Dense, LayerNorm, Projections};
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
    attention: Attention<B>,
    attention_output: Dense<B>,
    attention_norm: LayerNorm<B>,
    intermediate: Dense<B>,
    output: Dense<B>,
    output_norm: LayerNorm<B>,
    shape: LayerShape,
    precision: Precision,
}

/// The maps to queries, keys and values.
enum Attention<B: Arithmetic> {
    /// Every token asks.
    OfAll(Projections<B, 3>),
    /// The first tokens ask: queries, then keys and values.
    OfFirst(Projections<B, 1>, Projections<B, 2>),
}

impl<B: Arithmetic> Layer<B> {
    /// A layer in which all tokens ask, or the first ones of every row alone.
    fn new(weights: LayerWeights, asks_all: bool, shape: &LayerShape, site: &Site<B>) -> Self {
        let LayerWeights { query, key, value, .. } = weights;
        Self {
            attention: match asks_all {
                true => Attention::OfAll(Projections::new([query, key, value], shape.n_heads, site)),
                false => Attention::OfFirst(
                    Projections::new([query], shape.n_heads, site),
                    Projections::new([key, value], shape.n_heads, site),
                ),
            },
            attention_output: Dense::new(weights.attention_output, site),
            attention_norm: LayerNorm::new(weights.attention_norm, shape.epsilon, site),
            intermediate: Dense::new(weights.intermediate, site),
            output: Dense::new(weights.output, site),
            output_norm: LayerNorm::new(weights.output_norm, shape.epsilon, site),
            shape: *shape,
            precision: site.precision,
        }
    }

    /// All layers of a tower; in the last one, all tokens ask or the first ones alone.
    fn all(weights: Vec<LayerWeights>, last_asks_all: bool, shape: &LayerShape, site: &Site<B>) -> Vec<Self> {
        let n_layers = weights.len();
        let layer = |(idx, weights)| Self::new(weights, last_asks_all || idx + 1 < n_layers, shape, site);
        weights.into_iter().enumerate().map(layer).collect()
    }

    /// Computes the first tokens of every row, as many as ask.
    ///
    /// # Shapes
    /// `hidden`: `[n_rows · n_tokens, width]` · returns `[n_rows · n_asking, width]`
    fn forward(&self, hidden: Tensor<B, 2>, attended: &Attended<B>) -> Tensor<B, 2> {
        let is_before = self.shape.norms == NormPlace::Before;
        let wanted = first_tokens(hidden.clone(), attended);
        let all = if is_before { self.attention_norm.forward(hidden) } else { hidden };
        let [query, key, value] = match &self.attention {
            Attention::OfAll(projections) => projections.forward(all, attended.n_tokens),
            Attention::OfFirst(query, key_value) => {
                let [query] = query.forward(first_tokens(all.clone(), attended), attended.n_asking);
                let [key, value] = key_value.forward(all, attended.n_tokens);
                [query, key, value]
            }
        };
        let context = attend([query, key, value], attended, &self.shape, self.precision);
        let inner = |rows| self.intermediate.forward_then(rows, None, self.shape.activation.into());
        if is_before {
            let [summed, normed] = self.attention_output.forward_and_norm(context, wanted, &self.output_norm);
            return self.output.forward_then(inner(normed), Some(summed), Then::Nothing);
        }
        let attended = self.attention_output.forward_norm(context, wanted, &self.attention_norm);
        self.output.forward_norm(inner(attended.clone()), attended, &self.output_norm)
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
/// queries: `[n_rows, n_heads, n_asking, head]` · keys, values: `[n_rows, n_heads, n_tokens, head]` · returns
/// `[n_rows · n_asking, width]`
pub(super) fn attend<B: Arithmetic>(
    [query, key, value]: [Tensor<B, 4>; 3],
    attended: &Attended<B>,
    shape: &LayerShape,
    precision: Precision,
) -> Tensor<B, 2> {
    let [n_rows, n_heads, n_asking, head_width] = query.dims();
    let scale = 1.0 / (head_width as f64).sqrt();
    let scores = product(query, key.transpose(), precision);
    let lengths = attended.lengths.clone().map(Tensor::into_primitive);
    let shares = B::attention_shares(primitive(scores), scale, lengths, shape.is_causal);
    let context = product(of_primitive(shares), value, precision);
    context.swap_dims(1, 2).reshape([n_rows * n_asking, n_heads * head_width])
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
