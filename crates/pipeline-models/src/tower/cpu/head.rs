//! The steps from pooled vectors to features.

use pipeline_kernels::{InstructionSet, Norm};

use super::dense::Dense;
use super::norm;
use crate::tower::HeadStep;

/// Steps with their weights laid out.
pub(super) struct Head(Vec<Step>);

enum Step {
    Dense(Dense),
    Norm(Norm),
    Tanh,
}

impl Head {
    pub(super) fn new(steps: Vec<HeadStep>, epsilon: f64, instructions: InstructionSet) -> Self {
        let step = |step| match step {
            HeadStep::Dense(weights) => Step::Dense(Dense::new(weights, instructions)),
            HeadStep::Norm(weights) => Step::Norm(norm(weights, epsilon, instructions)),
            HeadStep::Tanh => Step::Tanh,
        };
        Self(steps.into_iter().map(step).collect())
    }

    /// Maps rows step by step.
    ///
    /// # Shapes
    /// `rows`: `[n, width]` · returns `[n, dim]`
    pub(super) fn forward(&self, mut rows: Vec<f32>) -> Vec<f32> {
        for step in &self.0 {
            match step {
                Step::Dense(dense) => {
                    let mut out = vec![0.0; rows.len() / dense.n_in() * dense.n_out()];
                    dense.forward(&rows, &mut out);
                    rows = out;
                }
                Step::Norm(norm) => norm.apply(&mut rows),
                Step::Tanh => rows.iter_mut().for_each(|value| *value = f64::from(*value).tanh() as f32),
            }
        }
        rows
    }
}
