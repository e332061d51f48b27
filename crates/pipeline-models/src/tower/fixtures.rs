//! Small towers of reproducible numbers, for tests.

use super::{DenseWeights, HeadStep, LayerShape, LayerWeights, NormWeights, Top, TopPool};
use crate::weights::fixtures;

/// As many numbers in `-size..size`, seeded by `name`.
pub(crate) fn noise(name: &str, n: usize, size: f32) -> Vec<f32> {
    fixtures::noise(name, vec![n], size).values
}

/// A map.
pub(crate) fn dense(name: &str, n_in: usize, n_out: usize) -> DenseWeights {
    let weight = noise(&format!("{name}.weight"), n_in * n_out, 1.5 / (n_in as f32).sqrt());
    DenseWeights { n_in, n_out, weight, bias: noise(&format!("{name}.bias"), n_out, 0.3) }
}

/// A norm.
pub(crate) fn norm(name: &str, width: usize) -> NormWeights {
    let scale = noise(&format!("{name}.scale"), width, 0.5).iter().map(|value| 1.0 + value).collect();
    NormWeights { scale, shift: noise(&format!("{name}.shift"), width, 0.3) }
}

/// Last layers with a final norm, and all steps of a head, which gives five numbers.
pub(crate) fn top(shape: LayerShape, n_layers: usize, inner: usize, pool: TopPool) -> Top {
    let width = shape.width;
    let layer = |layer_idx| {
        let name = |part| format!("{layer_idx}.{part}");
        LayerWeights {
            query: dense(&name("query"), width, width),
            key: dense(&name("key"), width, width),
            value: dense(&name("value"), width, width),
            attention_output: dense(&name("attention"), width, width),
            attention_norm: norm(&name("attention"), width),
            intermediate: dense(&name("intermediate"), width, inner),
            output: dense(&name("output"), inner, width),
            output_norm: norm(&name("output"), width),
        }
    };
    let head = vec![HeadStep::Dense(dense("head", width, 5)), HeadStep::Tanh, HeadStep::Norm(norm("head", 5))];
    Top { shape, layers: (0..n_layers).map(layer).collect(), final_norm: Some(norm("final", width)), pool, head }
}
