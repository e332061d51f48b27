//! The names of the heads' tensors in PyTorch's state dicts.

use crate::heads::{Head, Heads, Linear};

/// The name of the texts' state dict.
pub(super) const TEXT: &str = "text_projector";
/// The name of the images' state dict.
pub(super) const IMAGE: &str = "image_projector";
/// The position of a head's hidden layer in PyTorch's `Sequential`; the GELU is 1.
pub(super) const HIDDEN_LAYER: &str = "0.";
pub(super) const OUTPUT_LAYER: &str = "2.";
pub(super) const WEIGHT: &str = "weight";
pub(super) const BIAS: &str = "bias";

/// A tensor of a head.
pub(super) struct NamedTensor<'a> {
    /// The name within the state dict of its side.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// The numbers, row-major.
    pub(super) values: &'a [f32],
}

/// The names of both sides, with the tensors of their state dicts.
pub(super) fn state_dicts(heads: &Heads) -> [(&'static str, Vec<NamedTensor<'_>>); 2] {
    [(TEXT, state_dict(&heads.text)), (IMAGE, state_dict(&heads.image))]
}

fn state_dict(head: &Head) -> Vec<NamedTensor<'_>> {
    match &head.hidden {
        None => layer("", &head.output).into(),
        Some(hidden) => layer(HIDDEN_LAYER, hidden).into_iter().chain(layer(OUTPUT_LAYER, &head.output)).collect(),
    }
}

fn layer<'a>(place: &str, Linear { weight, bias }: &'a Linear) -> [NamedTensor<'a>; 2] {
    let shape = vec![weight.n_rows, weight.n_cols];
    [
        NamedTensor { name: format!("{place}{WEIGHT}"), shape, values: &weight.values },
        NamedTensor { name: format!("{place}{BIAS}"), shape: vec![bias.len()], values: bias },
    ]
}
