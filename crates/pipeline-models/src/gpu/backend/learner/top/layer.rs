//! A layer of a tower whose gradients are wanted.
//!
//! Every function is written out: the framework's own norm, attention and GELU have no gradient, or another one, on
//! some of its backends.

use burn::module::{Module, Param};
use burn::nn;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData, activation};
use pipeline_kernels::Matrix;

use crate::device::Precision;
use crate::gpu::backend::arithmetic::{Arithmetic, product};
use crate::gpu::backend::learner::projector::{affine, from_module, gelu, to_module, to_values};
use crate::heads::Linear;
use crate::tower::{Activation, DenseWeights, LayerShape, LayerWeights, NormPlace, NormWeights};

/// The trainable weights of a layer. A key's bias moves no share, so that it is left out.
#[derive(Module, Debug)]
pub(super) struct TopLayer<B: Backend> {
    query: nn::Linear<B>,
    key: nn::Linear<B>,
    value: nn::Linear<B>,
    attention_output: nn::Linear<B>,
    attention_norm: TopNorm<B>,
    intermediate: nn::Linear<B>,
    output: nn::Linear<B>,
    output_norm: TopNorm<B>,
}

/// A layer norm.
#[derive(Module, Debug)]
pub(super) struct TopNorm<B: Backend> {
    scale: Param<Tensor<B, 1>>,
    shift: Param<Tensor<B, 1>>,
}

impl<B: Backend> TopLayer<B> {
    pub(super) fn new(weights: &LayerWeights, device: &B::Device) -> Self {
        let dense = |weights: &DenseWeights| to_module(&linear(weights), device);
        Self {
            query: dense(&weights.query),
            key: nn::Linear { bias: None, ..dense(&weights.key) },
            value: dense(&weights.value),
            attention_output: dense(&weights.attention_output),
            attention_norm: TopNorm::new(&weights.attention_norm, device),
            intermediate: dense(&weights.intermediate),
            output: dense(&weights.output),
            output_norm: TopNorm::new(&weights.output_norm, device),
        }
    }

    pub(super) fn into_weights(self, key_bias: Vec<f32>) -> LayerWeights {
        let dense = |module| {
            let Linear { weight: Matrix { n_rows, n_cols, values }, bias } = from_module(module);
            DenseWeights { n_in: n_cols, n_out: n_rows, weight: values, bias }
        };
        LayerWeights {
            query: dense(self.query),
            key: DenseWeights { bias: key_bias, ..dense(self.key) },
            value: dense(self.value),
            attention_output: dense(self.attention_output),
            attention_norm: self.attention_norm.into_weights(),
            intermediate: dense(self.intermediate),
            output: dense(self.output),
            output_norm: self.output_norm.into_weights(),
        }
    }

    /// The vectors of the tokens that ask; `hidden` says which tokens those must not see.
    ///
    /// # Shapes
    /// `rows`: `[n_rows · n_tokens, width]` · `hidden`: `[n_rows, 1, n_asking, n_tokens]` · returns
    /// `[n_rows · n_asking, width]`
    pub(super) fn forward(
        &self,
        rows: Tensor<B, 2>,
        hidden: &Tensor<B, 4, Bool>,
        asking: Option<&Tensor<B, 1, Int>>,
        (shape, precision): (&LayerShape, Precision),
    ) -> Tensor<B, 2>
    where
        B: Arithmetic,
    {
        let affine = |layer: &nn::Linear<B>, rows| affine(layer, rows, precision);
        let asked = |rows: &Tensor<B, 2>| match asking {
            Some(asking) => rows.clone().select(0, asking.clone()),
            None => rows.clone(),
        };
        let is_before = shape.norms == NormPlace::Before;
        let residual = asked(&rows);
        let all = if is_before { self.attention_norm.forward(rows, shape.epsilon) } else { rows };
        let projected = [affine(&self.query, asked(&all)), affine(&self.key, all.clone()), affine(&self.value, all)];
        let attended = residual + affine(&self.attention_output, attend(projected, hidden, shape.n_heads, precision));
        let feed_forward = |rows| affine(&self.output, activate(affine(&self.intermediate, rows), shape.activation));
        if is_before {
            let normed = self.output_norm.forward(attended.clone(), shape.epsilon);
            return attended + feed_forward(normed);
        }
        let attended = self.attention_norm.forward(attended, shape.epsilon);
        self.output_norm.forward(attended.clone() + feed_forward(attended), shape.epsilon)
    }
}

/// # Shapes
/// `query`, returned: `[n_rows · n_asking, width]` · `key`, `value`: `[n_rows · n_tokens, width]` · `hidden`: `[n_rows,
/// 1, n_asking, n_tokens]`
fn attend<B: Arithmetic>(
    [query, key, value]: [Tensor<B, 2>; 3],
    hidden: &Tensor<B, 4, Bool>,
    n_heads: usize,
    precision: Precision,
) -> Tensor<B, 2> {
    let [n_rows, _, n_asking, n_tokens] = hidden.dims();
    let width = key.dims()[1];
    let head_width = width / n_heads;
    let heads = |rows: Tensor<B, 2>, n: usize| rows.reshape([n_rows, n, n_heads, head_width]).swap_dims(1, 2);
    let scores =
        product(heads(query, n_asking), heads(key, n_tokens).transpose(), precision) / (head_width as f64).sqrt();
    let hidden = hidden.clone().repeat_dim(1, n_heads);
    let shares = activation::softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 3);
    product(shares, heads(value, n_tokens), precision).swap_dims(1, 2).reshape([n_rows * n_asking, width])
}

fn activate<B: Backend>(inner: Tensor<B, 2>, activation: Activation) -> Tensor<B, 2> {
    match activation {
        Activation::Gelu => gelu(inner),
        Activation::GeluTanh => {
            let cube = inner.clone() * inner.clone() * inner.clone();
            let tanh = ((inner.clone() + cube * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt()).tanh();
            inner * (tanh + 1.0) / 2.0
        }
        Activation::QuickGelu => inner.clone() * activation::sigmoid(inner * 1.702),
        Activation::Relu => activation::relu(inner),
    }
}

impl<B: Backend> TopNorm<B> {
    pub(super) fn new(weights: &NormWeights, device: &B::Device) -> Self {
        let vector = |values: &Vec<f32>| Param::from_data(TensorData::new(values.clone(), [values.len()]), device);
        Self { scale: vector(&weights.scale), shift: vector(&weights.shift) }
    }

    fn into_weights(self) -> NormWeights {
        NormWeights { scale: to_values(self.scale.into_value()), shift: to_values(self.shift.into_value()) }
    }

    pub(super) fn forward(&self, rows: Tensor<B, 2>, epsilon: f64) -> Tensor<B, 2> {
        let centred = rows.clone() - rows.mean_dim(1);
        let deviation = (centred.clone().square().mean_dim(1) + epsilon).sqrt();
        centred / deviation * self.scale.val().unsqueeze() + self.shift.val().unsqueeze()
    }
}

pub(super) fn linear(weights: &DenseWeights) -> Linear {
    let DenseWeights { n_in, n_out, weight, bias } = weights;
    Linear { weight: Matrix::new(*n_out, *n_in, weight.clone()), bias: bias.clone() }
}
