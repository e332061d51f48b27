//! A trainable linear map: `output = weight · input + bias`, where a batch's vectors are columns.

use rayon::prelude::*;

use super::adam::{AdamStep, Learnt};
use crate::heads::Linear;
use pipeline_kernels::Matrix;
use pipeline_kernels::{InstructionSet, PackedMatrix, Rows};

/// Rows of weights per unit of work of a thread: a whole number of tiles. Their gradients stay in the cache.
const BLOCK_ROWS: usize = 24;

/// A layer of a head, with the state of its optimiser.
pub(super) struct CpuLayer {
    instructions: InstructionSet,
    n_inputs: usize,
    /// `[n_outputs, n_inputs]`
    weight: Learnt,
    /// `[n_outputs]`
    bias: Learnt,
    /// `[n_outputs]`
    bias_gradient: Vec<f32>,
    /// Whether the bias stays as it is.
    is_bias_frozen: bool,
}

impl CpuLayer {
    pub(super) fn new(linear: Linear, instructions: InstructionSet) -> Self {
        let n_inputs = linear.weight.n_cols;
        let bias_gradient = vec![0.0; linear.bias.len()];
        let (weight, bias) = (Learnt::new(linear.weight.values), Learnt::new(linear.bias));
        Self { instructions, n_inputs, weight, bias, bias_gradient, is_bias_frozen: false }
    }

    /// The same layer with a bias that stays as it is.
    pub(super) fn with_frozen_bias(self) -> Self {
        Self { is_bias_frozen: true, ..self }
    }

    pub(super) fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.bias.values.len()
    }

    /// The gradients of weight and bias in the first step of all.
    #[cfg(test)]
    pub(super) fn first_gradients(&self) -> [Vec<f32>; 2] {
        [&self.weight, &self.bias].map(Learnt::first_gradients)
    }

    pub(super) fn to_linear(&self) -> Linear {
        let weight = Matrix::new(self.n_outputs(), self.n_inputs, self.weight.values.clone());
        Linear { weight, bias: self.bias.values.clone() }
    }

    /// Remembers the weights as the start to which the anchor pulls.
    pub(super) fn remember_start(&mut self) {
        self.weight.remember_start();
        self.bias.remember_start();
    }

    /// # Shapes
    /// `inputs`: `[n_inputs, n_pairs]`, `outputs`: `[n_outputs, n_pairs]`
    pub(super) fn forward(&self, inputs: &PackedMatrix, outputs: &mut [f32], n_pairs: usize) {
        outputs.par_chunks_mut(BLOCK_ROWS * n_pairs).enumerate().for_each(|(block_idx, outputs)| {
            let first_row = block_idx * BLOCK_ROWS;
            let values = &self.weight.values[first_row * self.n_inputs..];
            let rows = Rows { values, stride: self.n_inputs, n_rows: outputs.len() / n_pairs };
            inputs.multiply(rows, outputs, n_pairs, |_, _| ());
            for (row, bias) in outputs.chunks_exact_mut(n_pairs).zip(&self.bias.values[first_row..]) {
                row.iter_mut().for_each(|output| *output += bias);
            }
        });
    }

    /// Updates weights and biases by the gradient of the outputs.
    ///
    /// A block's gradients are used at once, so that they never go to memory.
    ///
    /// # Shapes
    /// `inputs`: `[n_pairs, n_inputs]`, `gradient`: `[n_outputs, n_pairs]`
    pub(super) fn learn(&mut self, inputs: &PackedMatrix, gradient: &[f32], n_pairs: usize, step: &AdamStep) {
        let Self { instructions, n_inputs, weight, bias, bias_gradient, is_bias_frozen } = self;
        let block = BLOCK_ROWS * *n_inputs;
        let parts = weight.parts(block);
        let gradients = gradient.par_chunks(BLOCK_ROWS * n_pairs);
        parts.zip(gradients).for_each_init(Vec::new, |products, (part, gradient)| {
            products.resize(block, 0.0);
            let rows = Rows { values: gradient, stride: n_pairs, n_rows: gradient.len() / n_pairs };
            inputs.multiply(rows, products, *n_inputs, |_, _| ());
            instructions.run(
                #[inline(always)]
                || step.apply(part, products),
            );
        });
        if *is_bias_frozen {
            return;
        }
        for (sum, row) in bias_gradient.iter_mut().zip(gradient.chunks_exact(n_pairs)) {
            *sum = row.iter().sum();
        }
        step.apply(bias.all(), bias_gradient);
    }

    /// Computes the gradient of the inputs from that of the outputs, block by block. `finish` receives the first row of
    /// each block.
    ///
    /// # Shapes
    /// `gradient`: `[n_outputs, n_pairs]`, packed; `inputs`: `[n_inputs, n_pairs]`
    pub(super) fn differentiate(
        &self,
        gradient: &PackedMatrix,
        inputs: &mut [f32],
        n_pairs: usize,
        finish: impl Fn(&mut [f32], usize) + Sync,
    ) {
        let (n_inputs, n_outputs) = (self.n_inputs, self.n_outputs());
        inputs.par_chunks_mut(BLOCK_ROWS * n_pairs).enumerate().for_each_init(
            Vec::new,
            |turned, (block_idx, inputs)| {
                let (first_row, n_rows) = (block_idx * BLOCK_ROWS, inputs.len() / n_pairs);
                turned.resize(n_rows * n_outputs, 0.0);
                for (output_idx, row) in self.weight.values.chunks_exact(n_inputs).enumerate() {
                    for (idx, weight) in row[first_row..first_row + n_rows].iter().enumerate() {
                        turned[idx * n_outputs + output_idx] = *weight;
                    }
                }
                gradient.multiply(Rows { values: turned, stride: n_outputs, n_rows }, inputs, n_pairs, |_, _| ());
                finish(inputs, first_row);
            },
        );
    }
}
