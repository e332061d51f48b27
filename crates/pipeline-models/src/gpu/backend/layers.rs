//! The layers that families share.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorData};

use super::arithmetic::{Arithmetic, Site, Then, biased, of_primitive, primitive, product};
use crate::device::Precision;
use crate::tower::{DenseWeights, NormWeights};

/// `y = x·W + b`, `weight`: `[n_in, n_out]`
pub(super) struct Dense<B: Arithmetic> {
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
    precision: Precision,
}

/// Maps of the same tokens into the heads of attention, computed by one product.
pub(super) struct Projections<B: Arithmetic, const N: usize> {
    dense: Dense<B>,
    n_heads: usize,
}

/// `y = (x - mean) / sqrt(variance + epsilon) · scale + shift`, over the last axis
pub(super) struct LayerNorm<B: Arithmetic> {
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    epsilon: f64,
}

impl<B: Arithmetic> Dense<B> {
    pub(super) fn new(weights: DenseWeights, site: &Site<B>) -> Self {
        let (n_in, n_out) = (weights.n_in, weights.n_out);
        let mut transposed = Vec::<f32>::with_capacity(n_in * n_out);
        for in_idx in 0..n_in {
            transposed.extend(weights.weight[in_idx..].iter().step_by(n_in));
        }
        let weight = Tensor::<B, 2>::from_data(TensorData::new(transposed, [n_in, n_out]), &site.device);
        let weight = of_primitive(B::factor(primitive(weight), site.precision));
        Self { weight, bias: vector(weights.bias, site), precision: site.precision }
    }

    /// Numbers that it gives.
    pub(super) fn n_out(&self) -> usize {
        self.weight.dims()[1]
    }

    pub(super) fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        self.forward_then(rows, None, Then::Nothing)
    }

    /// A function of `y`, to which `others` are added if there are any.
    pub(super) fn forward_then(&self, rows: Tensor<B, 2>, others: Option<Tensor<B, 2>>, then: Then) -> Tensor<B, 2> {
        let products = product(rows, self.weight.clone(), self.precision);
        biased(products, self.bias.clone(), others, then)
    }

    /// The norm of `y` with `others` added.
    pub(super) fn forward_norm(&self, rows: Tensor<B, 2>, others: Tensor<B, 2>, norm: &LayerNorm<B>) -> Tensor<B, 2> {
        of_primitive(self.totals_and_norm(rows, others, norm, false).1)
    }

    /// `y` with `others` added, and the norm of that.
    pub(super) fn forward_and_norm(
        &self,
        rows: Tensor<B, 2>,
        others: Tensor<B, 2>,
        norm: &LayerNorm<B>,
    ) -> [Tensor<B, 2>; 2] {
        let (totals, normed) = self.totals_and_norm(rows, others, norm, true);
        [totals.expect("they are kept"), normed].map(of_primitive)
    }

    fn totals_and_norm(
        &self,
        rows: Tensor<B, 2>,
        others: Tensor<B, 2>,
        norm: &LayerNorm<B>,
        keeps_totals: bool,
    ) -> (Option<FloatTensor<B>>, FloatTensor<B>) {
        let products = product(rows, self.weight.clone(), self.precision);
        let sums = [primitive(products), primitive(self.bias.clone()), primitive(others)];
        B::biased_norm(sums, [&norm.scale, &norm.shift].map(|of| primitive(of.clone())), norm.epsilon, keeps_totals)
    }
}

impl<B: Arithmetic, const N: usize> Projections<B, N> {
    pub(super) fn new(maps: [DenseWeights; N], n_heads: usize, site: &Site<B>) -> Self {
        let (n_in, n_out) = (maps[0].n_in, maps.iter().map(|map| map.n_out).sum());
        let mut all = DenseWeights { n_in, n_out, weight: Vec::new(), bias: Vec::new() };
        for map in maps {
            all.weight.extend(map.weight);
            all.bias.extend(map.bias);
        }
        Self { dense: Dense::new(all, site), n_heads }
    }

    /// # Shapes
    /// `rows`: `[n_rows · n_tokens, n_in]` · returns `[n_rows, n_heads, n_tokens, width / n_heads]` each
    pub(super) fn forward(&self, rows: Tensor<B, 2>, n_tokens: usize) -> [Tensor<B, 4>; N] {
        let Dense { weight, bias, precision } = &self.dense;
        let products = primitive(product(rows, weight.clone(), *precision));
        B::heads(products, primitive(bias.clone()), [n_tokens, self.n_heads], *precision).map(of_primitive)
    }
}

impl<B: Arithmetic> LayerNorm<B> {
    pub(super) fn new(weights: NormWeights, epsilon: f64, site: &Site<B>) -> Self {
        Self { scale: vector(weights.scale, site), shift: vector(weights.shift, site), epsilon }
    }

    pub(super) fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let (scale, shift) = (primitive(self.scale.clone()), primitive(self.shift.clone()));
        of_primitive(B::norm(primitive(rows), scale, shift, self.epsilon))
    }
}

fn vector<B: Arithmetic>(values: Vec<f32>, site: &Site<B>) -> Tensor<B, 1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), &site.device)
}
