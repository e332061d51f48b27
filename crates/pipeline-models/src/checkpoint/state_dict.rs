//! The names of the heads' tensors in PyTorch's state dicts.

use crate::heads::{Head, Heads, Linear};

/// The name of the texts' state dict.
pub(super) const TEXT: &str = "text_projector";
/// The name of the images' state dict.
pub(super) const IMAGE: &str = "image_projector";
/// The name of the state dict of the vector that weighs the tokens of texts.
pub(super) const TEXT_ATTENTION: &str = "text_attention";
/// The name of the state dict of the vector that weighs the tokens of images.
pub(super) const IMAGE_ATTENTION: &str = "image_attention";
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

/// The names of state dicts, with their tensors: those of both heads, then those of the vectors by which tokens are
/// weighed, as far as there are any.
pub(super) fn state_dicts(heads: &Heads) -> Vec<(&'static str, Vec<NamedTensor<'_>>)> {
    let mut dicts = vec![(TEXT, state_dict(&heads.text)), (IMAGE, state_dict(&heads.image))];
    for (name, head) in [(TEXT_ATTENTION, &heads.text), (IMAGE_ATTENTION, &heads.image)] {
        dicts.extend(head.attention.as_deref().map(|vector| (name, vec![attention(vector)])));
    }
    dicts
}

/// As `nn.Linear(width, 1, bias=False)` has it.
fn attention(vector: &[f32]) -> NamedTensor<'_> {
    NamedTensor { name: WEIGHT.to_owned(), shape: vec![1, vector.len()], values: vector }
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
