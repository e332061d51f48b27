//! Last layers of an encoder in a safetensors file: a description as metadata, and tensors under names of our own.

use serde::{Deserialize, Serialize};

use super::state_dict::NamedTensor;
use crate::tower::read::{LayerNames, LayerSizes, Projections, dense, layers, norm};
use crate::tower::{DenseWeights, HeadStep, LayerShape, NormWeights, Top, TopPool};
use crate::weights::Checklist;

/// The name of the texts' layers, of their tensors and of their description.
pub(super) const TEXT: &str = "text_top";
/// The name of the images' layers.
pub(super) const IMAGE: &str = "image_top";

const FINAL_NORM: &str = "final_norm";
const LAYERS: LayerNames = LayerNames {
    start: "layers.",
    attention_norm: "attention_norm",
    projections: Projections::Apart(["query", "key", "value"]),
    attention_output: "attention_output",
    output_norm: "output_norm",
    intermediate: "intermediate",
    output: "output",
    scales: None,
};

/// Everything about layers but their numbers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    shape: LayerShape,
    n_layers: usize,
    /// Width inside the feed-forward part.
    inner: usize,
    has_final_norm: bool,
    pool: TopPool,
    head: Vec<Step>,
}

/// A step after the pooling.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    Dense { n_out: usize },
    Norm,
    Tanh,
}

impl Description {
    pub(super) fn of(top: &Top) -> Self {
        let step = |step: &HeadStep| match step {
            HeadStep::Dense(dense) => Step::Dense { n_out: dense.n_out },
            HeadStep::Norm(_) => Step::Norm,
            HeadStep::Tanh => Step::Tanh,
        };
        Self {
            shape: top.shape,
            n_layers: top.layers.len(),
            inner: top.layers.first().map_or(0, |layer| layer.intermediate.n_out),
            has_final_norm: top.final_norm.is_some(),
            pool: top.pool,
            head: top.head.iter().map(step).collect(),
        }
    }

    /// Reads a description; the error is what it should be.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        /// More than any encoder has.
        const MAX_LAYERS: usize = 1000;
        let description: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Self { shape: LayerShape { width, n_heads, .. }, n_layers, .. } = description;
        let is_whole = n_heads > 0 && width > 0 && width.is_multiple_of(n_heads) && n_layers <= MAX_LAYERS;
        let problem = || format!("{n_layers} layers of {width} numbers and {n_heads} heads cannot be");
        if is_whole { Ok(description) } else { Err(problem()) }
    }

    /// Takes the tensors of one side; those that are missing or of another shape are reported by the list.
    pub(super) fn take(self, list: &mut Checklist, side: &str) -> Top {
        let Self { shape, n_layers, inner, has_final_norm, pool, head } = self;
        let prefix = format!("{side}.");
        let sizes = LayerSizes { n_layers, inner, has_projection_bias: true };
        let mut width = shape.width;
        let mut step = |(step_idx, step)| {
            let name = format!("{prefix}head.{step_idx}");
            match step {
                Step::Dense { n_out } => {
                    let weights = dense(list, &name, width, n_out);
                    width = n_out;
                    HeadStep::Dense(weights)
                }
                Step::Norm => HeadStep::Norm(norm(list, &name, width)),
                Step::Tanh => HeadStep::Tanh,
            }
        };
        let head = head.into_iter().enumerate().map(&mut step).collect();
        Top {
            shape,
            layers: layers(list, &prefix, &LAYERS, &shape, &sizes),
            final_norm: has_final_norm.then(|| norm(list, &format!("{prefix}{FINAL_NORM}"), shape.width)),
            pool,
            head,
        }
    }
}

/// The tensors of one side, each under its whole name.
pub(super) fn tensors<'a>(side: &str, top: &'a Top) -> Vec<(String, NamedTensor<'a>)> {
    let mut named = Vec::new();
    for (layer_idx, layer) in top.layers.iter().enumerate() {
        let start = format!("{side}.{}{layer_idx}.", LAYERS.start);
        let maps =
            [&layer.query, &layer.key, &layer.value, &layer.attention_output, &layer.intermediate, &layer.output];
        let names = ["query", "key", "value", LAYERS.attention_output, LAYERS.intermediate, LAYERS.output];
        named.extend(names.iter().zip(maps).flat_map(|(name, map)| of_dense(&format!("{start}{name}"), map)));
        let norms = [(LAYERS.attention_norm, &layer.attention_norm), (LAYERS.output_norm, &layer.output_norm)];
        named.extend(norms.into_iter().flat_map(|(name, norm)| of_norm(&format!("{start}{name}"), norm)));
    }
    named.extend(top.final_norm.iter().flat_map(|norm| of_norm(&format!("{side}.{FINAL_NORM}"), norm)));
    for (step_idx, step) in top.head.iter().enumerate() {
        let name = format!("{side}.head.{step_idx}");
        match step {
            HeadStep::Dense(dense) => named.extend(of_dense(&name, dense)),
            HeadStep::Norm(norm) => named.extend(of_norm(&name, norm)),
            HeadStep::Tanh => {}
        }
    }
    named
}

fn of_dense<'a>(
    name: &str,
    DenseWeights { n_in, n_out, weight, bias }: &'a DenseWeights,
) -> [(String, NamedTensor<'a>); 2] {
    [tensor(format!("{name}.weight"), vec![*n_out, *n_in], weight), tensor(format!("{name}.bias"), vec![*n_out], bias)]
}

fn of_norm<'a>(name: &str, NormWeights { scale, shift }: &'a NormWeights) -> [(String, NamedTensor<'a>); 2] {
    let shape = || vec![scale.len()];
    [tensor(format!("{name}.weight"), shape(), scale), tensor(format!("{name}.bias"), shape(), shift)]
}

fn tensor(name: String, shape: Vec<usize>, values: &[f32]) -> (String, NamedTensor<'_>) {
    (name.clone(), NamedTensor { name, shape, values })
}
