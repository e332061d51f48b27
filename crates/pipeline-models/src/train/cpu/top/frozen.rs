//! The steps from pooled vectors to features, which pass gradients and learn nothing; vectors are columns.

use pipeline_kernels::{InstructionSet, PackedMatrix};

use super::layer::linear;
use super::norm::CpuNorm;
use crate::tower::HeadStep;
use crate::train::cpu::layer::CpuLayer;

/// A step with its values of the last batch.
pub(super) enum FrozenStep {
    Dense { layer: CpuLayer, packed: PackedMatrix },
    Norm(CpuNorm),
    Tanh { values: Vec<f32> },
}

impl FrozenStep {
    pub(super) fn new(step: HeadStep, epsilon: f64, instructions: InstructionSet) -> Self {
        match step {
            HeadStep::Dense(weights) => {
                let layer = CpuLayer::new(linear(weights), instructions);
                Self::Dense { layer, packed: PackedMatrix::new(instructions) }
            }
            HeadStep::Norm(weights) => Self::Norm(CpuNorm::new(weights, epsilon, instructions)),
            HeadStep::Tanh => Self::Tanh { values: Vec::new() },
        }
    }

    /// # Shapes
    /// `columns`: `[n_inputs, n_columns]` · returns `[n_outputs, n_columns]`
    pub(super) fn forward(&mut self, columns: Vec<f32>, n_columns: usize) -> Vec<f32> {
        match self {
            Self::Dense { layer, packed } => {
                packed.pack(layer.n_inputs(), n_columns, |k, column| columns[k * n_columns + column]);
                let mut out = vec![0.0; layer.n_outputs() * n_columns];
                layer.forward(packed, &mut out, n_columns);
                out
            }
            Self::Norm(norm) => norm.forward(&columns, n_columns),
            Self::Tanh { values } => {
                *values = columns.iter().map(|value| f64::from(*value).tanh() as f32).collect();
                values.clone()
            }
        }
    }

    /// The gradient of the last inputs.
    ///
    /// # Shapes
    /// `gradient`: `[n_outputs, n_columns]` · returns `[n_inputs, n_columns]`
    pub(super) fn differentiate(&mut self, gradient: Vec<f32>, n_columns: usize) -> Vec<f32> {
        match self {
            Self::Dense { layer, packed } => {
                packed.pack(layer.n_outputs(), n_columns, |k, column| gradient[k * n_columns + column]);
                let mut out = vec![0.0; layer.n_inputs() * n_columns];
                layer.differentiate(packed, &mut out, n_columns, |_, _| ());
                out
            }
            Self::Norm(norm) => norm.differentiate(&gradient),
            Self::Tanh { values } => {
                gradient.iter().zip(values).map(|(slope, value)| slope * (1.0 - *value * *value)).collect()
            }
        }
    }
}
