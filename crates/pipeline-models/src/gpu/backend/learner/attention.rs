//! The learnt vector by which tokens are weighed, as a module of its own.

use std::io;

use burn::module::{Module, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, GradientsParams, Optimizer};
use burn::tensor::activation::softmax;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use pipeline_kernels::TokenReader;

use super::adam;
use crate::gpu::backend::arithmetic::{Arithmetic, Site, product};

/// The vector.
#[derive(Module, Debug)]
struct Vector<B: Backend> {
    /// `[width, 1]`
    value: Param<Tensor<B, 2>>,
}

/// The vector and its optimiser, which has no weight decay.
pub(super) struct LearntAttention<B: AutodiffBackend> {
    vector: Vector<B>,
    adam: OptimizerAdaptor<Adam, Vector<B>, B>,
}

impl<B: AutodiffBackend + Arithmetic> LearntAttention<B> {
    pub(super) fn new(vector: &[f32], device: &B::Device) -> Self {
        let value = Param::from_data(TensorData::new(vector.to_vec(), [vector.len(), 1]), device);
        Self { vector: Vector { value }, adam: adam::config().init() }
    }

    /// Copies the vector back.
    pub(super) fn vector(&self) -> Vec<f32> {
        let data = self.vector.value.val().into_data().convert::<f32>();
        data.into_vec().expect("the data were just converted to f32")
    }

    /// Pools the tokens of some rows, padded to the longest of them.
    ///
    /// # Shapes
    /// returns `[n_rows, width]`
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn pool(&self, tokens: &dyn TokenReader, rows: &[usize], site: &Site<B>) -> io::Result<Tensor<B, 2>> {
        let (n_rows, width) = (rows.len(), tokens.width());
        let longest = rows.iter().map(|row_idx| tokens.n_tokens(*row_idx)).max().unwrap_or(0);
        let (mut values, mut is_padding) = (vec![0f32; n_rows * longest * width], vec![true; n_rows * longest]);
        let mut buffer = Vec::new();
        for (idx, &row_idx) in rows.iter().enumerate() {
            let own = tokens.read_row(row_idx, &mut buffer)?;
            values[idx * longest * width..][..own.len()].copy_from_slice(own);
            is_padding[idx * longest..][..own.len() / width].fill(false);
        }
        let tokens = Tensor::<B, 3>::from_data(TensorData::new(values, [n_rows, longest, width]), &site.device);
        let is_padding = Tensor::from_data(TensorData::new(is_padding, [n_rows, longest]), &site.device);
        let flat = tokens.clone().reshape([n_rows * longest, width]);
        let scores = product(flat, self.vector.value.val(), site.precision).reshape([n_rows, longest]);
        let weights = softmax(scores.mask_fill(is_padding, f32::NEG_INFINITY), 1);
        Ok((tokens * weights.unsqueeze_dim::<3>(2)).sum_dim(1).reshape([n_rows, width]))
    }

    /// Takes its gradient from those of the loss.
    pub(super) fn learn(mut self, gradients: &mut B::Gradients, lr: f64) -> Self {
        let gradients = GradientsParams::from_module(gradients, &self.vector);
        let vector = self.adam.step(lr, self.vector, gradients);
        Self { vector, adam: self.adam }
    }
}
