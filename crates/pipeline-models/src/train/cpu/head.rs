//! A trainable head: a layer, or two with an activation between them; a batch's vectors are columns.

use rayon::prelude::*;

use super::activation::{activate, multiply_slopes};
use super::adam::AdamStep;
use super::layer::CpuLayer;
use crate::heads::Head;
use crate::tower::Activation;
use pipeline_kernels::{InstructionSet, PackedMatrix};

/// Rows of activations per unit of work of a thread.
const BLOCK_ROWS: usize = 96;

/// The layers of one side.
pub(super) struct CpuHead {
    hidden: Option<Hidden>,
    output: CpuLayer,
    /// The gradient of the outputs of the first layer, where that of its inputs is wanted: `[n_outputs, n_pairs]`.
    by_first: PackedMatrix,
}

/// The first of two layers; its values of a batch are kept until the next one.
struct Hidden {
    layer: CpuLayer,
    activation: Activation,
    instructions: InstructionSet,
    /// `[d_hidden, n_pairs]`, before the activation.
    sums: Vec<f32>,
    /// `[d_hidden, n_pairs]`, after the activation; once packed, the gradient of `sums`.
    values: Vec<f32>,
    /// The values for the product of the output layer: `[d_hidden, n_pairs]`.
    columns: PackedMatrix,
    /// The same values for the product of the output layer's gradient: `[n_pairs, d_hidden]`.
    inputs: PackedMatrix,
    /// The gradient of the outputs: `[dim, n_pairs]`.
    gradient: PackedMatrix,
}

impl CpuHead {
    /// The head of a side, whose activation is the exact GELU.
    pub(super) fn new(head: Head, instructions: InstructionSet) -> Self {
        Self::with_activation(head, Activation::Gelu, instructions)
    }

    /// Two layers with any activation between them.
    pub(super) fn with_activation(head: Head, activation: Activation, instructions: InstructionSet) -> Self {
        let layer = |linear| CpuLayer::new(linear, instructions);
        let hidden = head.hidden.map(|linear| Hidden::new(layer(linear), activation, instructions));
        Self { hidden, output: layer(head.output), by_first: PackedMatrix::new(instructions) }
    }

    /// Remembers the weights as the start to which the anchor pulls.
    pub(super) fn remember_start(&mut self) {
        self.hidden.iter_mut().for_each(|hidden| hidden.layer.remember_start());
        self.output.remember_start();
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.output.n_outputs()
    }

    /// Those of [`CpuLayer::first_gradients`], of the hidden layer first.
    #[cfg(test)]
    pub(super) fn first_gradients(&self) -> Vec<Vec<f32>> {
        let layers = self.hidden.iter().map(|hidden| &hidden.layer).chain([&self.output]);
        layers.flat_map(CpuLayer::first_gradients).collect()
    }

    pub(super) fn to_head(&self) -> Head {
        Head {
            top: None,
            attention: None,
            hidden: self.hidden.as_ref().map(|hidden| hidden.layer.to_linear()),
            output: self.output.to_linear(),
        }
    }

    /// # Shapes
    /// `inputs`: `[n_inputs, n_pairs]`, `outputs`: `[n_outputs, n_pairs]`
    pub(super) fn forward(&mut self, inputs: &PackedMatrix, outputs: &mut [f32], n_pairs: usize) {
        let Self { hidden, output, .. } = self;
        let Some(hidden) = hidden else { return output.forward(inputs, outputs, n_pairs) };
        hidden.forward(inputs, n_pairs);
        output.forward(&hidden.columns, outputs, n_pairs);
    }

    /// Updates weights and biases by the gradient of the outputs. Where `by_inputs` is given, it receives the gradient
    /// of the inputs.
    ///
    /// # Shapes
    /// `inputs`: `[n_pairs, n_inputs]`, `gradient`: `[n_outputs, n_pairs]`, `by_inputs`: `[n_inputs, n_pairs]`
    pub(super) fn learn(
        &mut self,
        inputs: &PackedMatrix,
        gradient: &[f32],
        n_pairs: usize,
        step: &AdamStep,
        by_inputs: Option<&mut Vec<f32>>,
    ) {
        // Gradients are computed from the weights with which the loss was computed, before their update.
        let Self { hidden, output, by_first } = self;
        let pass_on = |layer: &CpuLayer, by_outputs: &[f32]| {
            let Some(by_inputs) = by_inputs else { return };
            by_first.pack(layer.n_outputs(), n_pairs, |k, pair_idx| by_outputs[k * n_pairs + pair_idx]);
            by_inputs.clear();
            by_inputs.resize(layer.n_inputs() * n_pairs, 0.0);
            layer.differentiate(by_first, by_inputs, n_pairs, |_, _| ());
        };
        let Some(hidden) = hidden else {
            pass_on(output, gradient);
            return output.learn(inputs, gradient, n_pairs, step);
        };
        hidden.differentiate(output, gradient, n_pairs);
        pass_on(&hidden.layer, &hidden.values);
        output.learn(&hidden.inputs, gradient, n_pairs, step);
        hidden.layer.learn(inputs, &hidden.values, n_pairs, step);
    }
}

impl Hidden {
    fn new(layer: CpuLayer, activation: Activation, instructions: InstructionSet) -> Self {
        let [columns, inputs, gradient] = [(); 3].map(|()| PackedMatrix::new(instructions));
        let [sums, values] = Default::default();
        Self { layer, activation, instructions, sums, values, columns, inputs, gradient }
    }

    fn forward(&mut self, inputs: &PackedMatrix, n_pairs: usize) {
        let Self { layer, activation, instructions, sums, values, .. } = self;
        let d_hidden = layer.n_outputs();
        // Values of the last batch would remain where there are no inputs.
        sums.clear();
        sums.resize(d_hidden * n_pairs, 0.0);
        values.resize(d_hidden * n_pairs, 0.0);
        layer.forward(inputs, sums, n_pairs);
        let block = (BLOCK_ROWS * n_pairs).max(1);
        values.par_chunks_mut(block).zip(sums.par_chunks(block)).for_each(|(values, sums)| {
            activate(*activation, values, sums, *instructions);
        });
        let (columns, inputs) = (&mut self.columns, &mut self.inputs);
        rayon::join(
            || columns.pack(d_hidden, n_pairs, |k, pair_idx| values[k * n_pairs + pair_idx]),
            || inputs.pack(n_pairs, d_hidden, |pair_idx, col| values[col * n_pairs + pair_idx]),
        );
    }

    /// Turns `values` into the gradient of `sums`.
    fn differentiate(&mut self, output: &CpuLayer, by_outputs: &[f32], n_pairs: usize) {
        let Self { activation, instructions, sums, values, gradient, .. } = self;
        gradient.pack(output.n_outputs(), n_pairs, |k, pair_idx| by_outputs[k * n_pairs + pair_idx]);
        output.differentiate(gradient, values, n_pairs, |rows, first_row| {
            multiply_slopes(*activation, rows, &sums[first_row * n_pairs..], *instructions);
        });
    }
}
