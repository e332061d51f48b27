//! The trained projection heads and their files.

mod error;
mod feature_space;
mod pickle;
mod pth;
mod read;
mod safetensors;
mod state_dict;
mod top;

pub use self::safetensors::write_vectors;
pub use error::CheckpointError;
pub use feature_space::{FeatureSpace, TrainedOn};

use crate::heads::{Head, Heads};
pub use crate::weights::{ModelError, PlainTensor, WeightsNote, read_tensors};

/// The map from features to embeddings: the content of `projection.safetensors` and `projection.pth`.
///
/// The safetensors file has the tensors `text_projector.weight`, `text_projector.bias`, `image_projector.weight` and
/// `image_projector.bias`, all `f32`. Its metadata are `normalize` (`true` or `false`) and, as JSON, the
/// [`FeatureSpace`]s of the training, `text_features` and `image_features`. Without heads it has no tensor.
///
/// Where the last layers of an encoder were trained, they are tensors under `text_top.` or `image_top.`, and the
/// metadata of this name have their description as JSON. The `.pth` file has no place for them.
///
/// The `.pth` file is the baseline notebook's: `{"text_projector": {weight, bias}, "image_projector": {weight, bias},
/// "projection_dim"}`, which `torch.load(weights_only=True)` reads. Without heads the two dicts are empty and
/// `projection_dim` is 0. It has neither `normalize` nor the spaces of the training.
///
/// A head with a hidden layer has `0.weight`, `0.bias`, `2.weight` and `2.bias` instead, like the state dict of
/// `nn.Sequential(nn.Linear, nn.GELU, nn.Linear)`. These names decide the kind of a head.
///
/// A head that pools tokens has the vector that weighs them beside it, as `text_attention.weight` or
/// `image_attention.weight` of the shape `[1, d_features]`; in the `.pth` file these are dicts of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The maps into the shared space; `None` if features are compared directly.
    pub heads: Option<Heads>,
    /// Whether embeddings are scaled to length one.
    pub normalize: bool,
    /// The feature spaces of the training; `None` if the file has none.
    pub trained_on: Option<TrainedOn>,
}

impl Checkpoint {
    /// The map for text features, if there is one.
    pub fn text(&self) -> Option<&Head> {
        self.heads.as_ref().map(|heads| &heads.text)
    }

    /// The map for image features, if there is one.
    pub fn image(&self) -> Option<&Head> {
        self.heads.as_ref().map(|heads| &heads.image)
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests;
