//! A trainable layer norm over columns.

use pipeline_kernels::InstructionSet;

use crate::tower::NormWeights;
use crate::train::cpu::adam::{AdamStep, Learnt};

/// `y = x̂ · scale + shift`, where `x̂ = (x - mean) / sqrt(variance + epsilon)` over each column.
pub(super) struct CpuNorm {
    /// `[width]`
    scale: Learnt,
    /// `[width]`
    shift: Learnt,
    epsilon: f64,
    instructions: InstructionSet,
    /// `x̂` of the last batch: `[width, n_columns]`
    normalized: Vec<f32>,
    /// `1 / sqrt(variance + epsilon)`: `[n_columns]`
    inverses: Vec<f32>,
}

impl CpuNorm {
    pub(super) fn new(weights: NormWeights, epsilon: f64, instructions: InstructionSet) -> Self {
        let (scale, shift) = (Learnt::new(weights.scale), Learnt::new(weights.shift));
        Self { scale, shift, epsilon, instructions, normalized: Vec::new(), inverses: Vec::new() }
    }

    pub(super) fn to_weights(&self) -> NormWeights {
        NormWeights { scale: self.scale.values.clone(), shift: self.shift.values.clone() }
    }

    /// The gradients of scale and shift in the first step of all.
    #[cfg(test)]
    pub(super) fn first_gradients(&self) -> [Vec<f32>; 2] {
        [&self.scale, &self.shift].map(Learnt::first_gradients)
    }

    /// Normalises columns.
    ///
    /// # Shapes
    /// `values`, returned: `[width, n_columns]`
    pub(super) fn forward(&mut self, values: &[f32], n_columns: usize) -> Vec<f32> {
        let Self { scale, shift, epsilon, instructions, normalized, inverses } = self;
        let share = 1.0 / scale.values.len() as f64;
        let mut out = vec![0.0; values.len()];
        normalized.resize(values.len(), 0.0);
        inverses.resize(n_columns, 0.0);
        instructions.run(
            #[inline(always)]
            || {
                let mut means = vec![0.0; n_columns];
                for row in values.chunks_exact(n_columns) {
                    for (sum, value) in means.iter_mut().zip(row) {
                        *sum += f64::from(*value);
                    }
                }
                for mean in &mut means {
                    *mean *= share;
                }
                let mut variances = vec![0.0; n_columns];
                for row in values.chunks_exact(n_columns) {
                    for ((sum, value), mean) in variances.iter_mut().zip(row).zip(&means) {
                        let distance = f64::from(*value) - mean;
                        *sum += distance * distance;
                    }
                }
                for (inverse, variance) in inverses.iter_mut().zip(&variances) {
                    *inverse = (1.0 / (variance * share + *epsilon).sqrt()) as f32;
                }
                let rows = values.chunks_exact(n_columns).zip(normalized.chunks_exact_mut(n_columns));
                let rows = rows.zip(out.chunks_exact_mut(n_columns));
                for (((row, normalized), out), (scale, shift)) in rows.zip(scale.values.iter().zip(&shift.values)) {
                    let columns = row.iter().zip(means.iter().zip(&*inverses));
                    for (((value, (mean, inverse)), normalized), out) in columns.zip(normalized).zip(out) {
                        *normalized = (f64::from(*value) - mean) as f32 * inverse;
                        *out = *normalized * scale + shift;
                    }
                }
            },
        );
        out
    }

    /// The gradient of the columns of the last batch: `(g - mean(g) - x̂ · mean(g · x̂)) / sqrt(variance + epsilon)`
    /// with `g = scale · gradient`.
    ///
    /// # Shapes
    /// `gradient`, returned: `[width, n_columns]`
    pub(super) fn differentiate(&self, gradient: &[f32]) -> Vec<f32> {
        let Self { scale, instructions, normalized, inverses, .. } = self;
        let (n_columns, share) = (inverses.len(), 1.0 / scale.values.len() as f64);
        let mut out = vec![0.0; gradient.len()];
        instructions.run(
            #[inline(always)]
            || {
                let (mut means, mut alignments) = (vec![0.0; n_columns], vec![0.0; n_columns]);
                let rows = gradient.chunks_exact(n_columns).zip(normalized.chunks_exact(n_columns));
                for ((row, normalized), scale) in rows.clone().zip(&scale.values) {
                    let sums = means.iter_mut().zip(&mut alignments);
                    for (((mean, alignment), gradient), normalized) in sums.zip(row).zip(normalized) {
                        let scaled = f64::from(gradient * scale);
                        *mean += scaled;
                        *alignment += scaled * f64::from(*normalized);
                    }
                }
                let means: Vec<f32> = means.iter().map(|sum| (sum * share) as f32).collect();
                let alignments: Vec<f32> = alignments.iter().map(|sum| (sum * share) as f32).collect();
                let rows = rows.zip(out.chunks_exact_mut(n_columns)).zip(&scale.values);
                for (((row, normalized), out), scale) in rows {
                    for ((out, gradient), mean) in out.iter_mut().zip(row).zip(&means) {
                        *out = gradient * scale - mean;
                    }
                    for (((out, value), alignment), inverse) in
                        out.iter_mut().zip(normalized).zip(&alignments).zip(inverses)
                    {
                        *out = (*out - value * alignment) * inverse;
                    }
                }
            },
        );
        out
    }

    /// Updates scale and shift by the gradient of the last batch's output.
    pub(super) fn learn(&mut self, gradient: &[f32], step: &AdamStep) {
        let Self { scale, shift, normalized, inverses, .. } = self;
        let n_columns = inverses.len();
        let rows = gradient.chunks_exact(n_columns).zip(normalized.chunks_exact(n_columns));
        let slopes = rows.map(|(gradient, normalized)| {
            let terms = gradient.iter().zip(normalized).map(|(gradient, value)| f64::from(gradient * value));
            (terms.sum::<f64>() as f32, gradient.iter().map(|value| f64::from(*value)).sum::<f64>() as f32)
        });
        let (of_scale, of_shift): (Vec<f32>, Vec<f32>) = slopes.unzip();
        step.apply(scale.all(), &of_scale);
        step.apply(shift.all(), &of_shift);
    }
}
