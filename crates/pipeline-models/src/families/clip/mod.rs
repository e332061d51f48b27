//! CLIP and Chinese-CLIP: two towers whose projections share a space.
//!
//! Three libraries save them under three sets of names: transformers ([`hub`]), OpenAI's code and open_clip, and cn_clip
//! ([`openai`]).

pub(super) mod chinese;
pub(super) mod hub;
pub(super) mod openai;
pub(crate) mod resnet;

use crate::tower::{Activation, LayerShape, NormPlace};

/// The properties of the layers of a vision tower.
fn image_shape(width: usize, n_heads: usize, activation: Activation, epsilon: f64) -> LayerShape {
    LayerShape { width, n_heads, activation, epsilon, norms: NormPlace::Before, is_causal: false }
}
