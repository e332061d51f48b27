//! Towers of transformer layers: how most families encode texts and images, written once.
//!
//! A family reads its own files under its own names into the plain weights of a [`TextTower`] or an [`ImageTower`];
//! [`cpu`] computes them on the processor.

pub(crate) mod cpu;
#[cfg(test)]
pub(crate) mod fixtures;
mod image;
pub(crate) mod read;
mod text;
mod top;

use serde::{Deserialize, Serialize};

pub(crate) use image::{ImagePool, ImageTower, PatchPositions, ProbeWeights};
pub(crate) use text::{TextPool, TextTower, TokenPositions};
pub(crate) use top::TopPool;
pub use top::{Top, TopError};

/// The non-linearity between the two maps of a layer's feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Activation {
    /// `x · Φ(x)`, exact.
    Gelu,
    /// The approximation of `gelu` by a hyperbolic tangent.
    GeluTanh,
    /// The approximation of `gelu` by the logistic function, CLIP's.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
}

/// The names of transformers' `ACT2FN`, as far as they are one of ours to the last few bits.
const ACTIVATIONS: &[(&str, Activation)] = &[
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
];

impl Activation {
    /// The activation of a name in a `config.json`.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        ACTIVATIONS.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation)
    }

    /// The names that are known.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ACTIVATIONS.iter().map(|(name, _)| *name)
    }
}

/// Where the norms of a layer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NormPlace {
    /// `x = norm(x + branch(x))`: BERT's.
    After,
    /// `x = x + branch(norm(x))`: CLIP's and ViT's.
    Before,
}

/// The properties that all layers of a tower share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct LayerShape {
    /// Numbers of a token's vector.
    pub(crate) width: usize,
    /// Attention heads; a divisor of the width.
    pub(crate) n_heads: usize,
    /// The non-linearity of the feed-forward part.
    pub(crate) activation: Activation,
    /// Added to the variance in layer norms.
    pub(crate) epsilon: f64,
    /// Where the norms are.
    pub(crate) norms: NormPlace,
    /// Whether a token attends to itself and those before it alone.
    pub(crate) is_causal: bool,
}

/// An affine map.
///
/// # Shapes
/// `weight`: `[n_out, n_in]` · `bias`: `[n_out]`, zeros where the model has no bias
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DenseWeights {
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// Scale and shift of a layer norm.
///
/// # Shapes
/// `scale`, `shift`: `[width]`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NormWeights {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

/// One layer: attention, then feed-forward, each with its norm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerWeights {
    pub(crate) query: DenseWeights,
    pub(crate) key: DenseWeights,
    pub(crate) value: DenseWeights,
    pub(crate) attention_output: DenseWeights,
    pub(crate) attention_norm: NormWeights,
    pub(crate) intermediate: DenseWeights,
    pub(crate) output: DenseWeights,
    pub(crate) output_norm: NormWeights,
}

/// A step from the vector that a pooling gives to the feature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HeadStep {
    /// An affine map: a pooler, a projection.
    Dense(DenseWeights),
    /// A layer norm.
    Norm(NormWeights),
    /// The hyperbolic tangent of each number.
    Tanh,
}

/// CLIP's attention pool: the mean over the places of a map asks, and all places and the mean answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttentionPoolWeights {
    /// `[1 + n_places, width]`
    pub(crate) positions: Vec<f32>,
    pub(crate) query: DenseWeights,
    pub(crate) key: DenseWeights,
    pub(crate) value: DenseWeights,
    pub(crate) output: DenseWeights,
    /// Attention heads; a divisor of the width.
    pub(crate) n_heads: usize,
}
