//! The trained projection heads and the files that hold them.

mod error;
mod pickle;
mod pth;
mod read;
mod safetensors;

pub use self::safetensors::write_vectors;
pub use error::CheckpointError;

use crate::Matrix;

/// A linear map with a bias: `output = input · weightᵀ + bias`.
///
/// # Shapes
/// - weight: `[n_outputs, n_inputs]`, as in PyTorch
/// - bias: `[n_outputs]`
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[n_outputs, n_inputs]`.
    pub weight: Matrix,
    /// `[n_outputs]`.
    pub bias: Vec<f32>,
}

/// The two maps into the shared space.
#[derive(Debug, Clone, PartialEq)]
pub struct Heads {
    /// Maps text features.
    pub text: Linear,
    /// Maps image features.
    pub image: Linear,
}

impl Heads {
    /// True when every weight and bias is a finite number.
    pub fn is_finite(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        [&self.text, &self.image].iter().all(|linear| finite(&linear.weight.values) && finite(&linear.bias))
    }

    /// The width of the shared space.
    pub fn dim(&self) -> usize {
        self.text.weight.n_rows
    }
}

/// How features become embeddings: what `projection.safetensors` and `projection.pth` hold.
///
/// The safetensors file has the tensors `text_projector.weight`, `text_projector.bias`, `image_projector.weight` and
/// `image_projector.bias`, all `f32`, and `normalize` (`true` or `false`) among its metadata; without heads it has no
/// tensor. The `.pth` file is the baseline notebook's: `{"text_projector": {weight, bias}, "image_projector": {weight,
/// bias}, "projection_dim"}`, which `torch.load(weights_only=True)` reads; without heads the two are empty and
/// `projection_dim` is 0. It does not tell `normalize`.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The maps into the shared space; `None` if the features are compared as they are.
    pub heads: Option<Heads>,
    /// Embeddings are scaled to length one.
    pub normalize: bool,
}

impl Checkpoint {
    /// The map for text features, if there is one.
    pub fn text(&self) -> Option<&Linear> {
        self.heads.as_ref().map(|heads| &heads.text)
    }

    /// The map for image features, if there is one.
    pub fn image(&self) -> Option<&Linear> {
        self.heads.as_ref().map(|heads| &heads.image)
    }
}

/// The names of the tensors with the values they have in `heads`.
fn named_tensors(heads: &Heads) -> [(&'static str, Vec<usize>, &[f32]); 4] {
    let weight = |linear: &Linear| vec![linear.weight.n_rows, linear.weight.n_cols];
    let bias = |linear: &Linear| vec![linear.bias.len()];
    let Heads { text, image } = heads;
    [
        ("text_projector.weight", weight(text), &text.weight.values),
        ("text_projector.bias", bias(text), &text.bias),
        ("image_projector.weight", weight(image), &image.weight.values),
        ("image_projector.bias", bias(image), &image.bias),
    ]
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests;
