//! The layers that families share.

use burn::tensor::backend::Backend;
use burn::tensor::module::linear;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};

use crate::tower::{DenseWeights, NormWeights};

/// `y = x·W + b`, `weight`: `[n_in, n_out]`
pub(super) struct Dense<B: Backend> {
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
}

/// `y = (x - mean) / sqrt(variance + epsilon) · scale + shift`, over the last axis
pub(super) struct LayerNorm<B: Backend> {
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    epsilon: f64,
}

impl<B: Backend> Dense<B> {
    pub(super) fn new(weights: DenseWeights, device: &B::Device) -> Self {
        let (n_in, n_out) = (weights.n_in, weights.n_out);
        let mut transposed = Vec::<f32>::with_capacity(n_in * n_out);
        for in_idx in 0..n_in {
            transposed.extend(weights.weight[in_idx..].iter().step_by(n_in));
        }
        let weight = Tensor::from_data(TensorData::new(transposed, [n_in, n_out]), device);
        Self { weight, bias: vector(weights.bias, device) }
    }

    /// Numbers that it gives.
    pub(super) fn n_out(&self) -> usize {
        self.weight.dims()[1]
    }

    pub(super) fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(rows, self.weight.clone(), Some(self.bias.clone()))
    }
}

impl<B: Backend> LayerNorm<B> {
    pub(super) fn new(weights: NormWeights, epsilon: f64, device: &B::Device) -> Self {
        Self { scale: vector(weights.scale, device), shift: vector(weights.shift, device), epsilon }
    }

    pub(super) fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let primitive = |tensor: &Tensor<B, 1>| tensor.clone().into_primitive().tensor();
        Tensor::from_primitive(TensorPrimitive::Float(B::layer_norm(
            rows.into_primitive().tensor(),
            primitive(&self.scale),
            Some(primitive(&self.shift)),
            self.epsilon,
        )))
    }
}

fn vector<B: Backend>(values: Vec<f32>, device: &B::Device) -> Tensor<B, 1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
