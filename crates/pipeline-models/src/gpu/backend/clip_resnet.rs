//! CLIP's ResNet: the maps of a ResNet with means before strides, and attention for a pool.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::layers::Dense;
use super::resnet::ResNet;
use super::tower::attend;
use super::{Place, rows};
use crate::families::clip::resnet::ClipResNetWeights;
use crate::forward::ImageForward;
use crate::tower::{Activation, AttentionPoolWeights, LayerShape, NormPlace};

impl Place<dyn ImageForward> for ClipResNetWeights {
    fn place<B: Backend>(self, device: B::Device) -> Box<dyn ImageForward> {
        let (trunk, pool) = (ResNet::<B>::new(self.trunk, &device), AttentionPool::new(self.pool, &device));
        rows::images(device, move |pixels| pool.forward(trunk.maps(pixels)))
    }
}

/// An attention pool on a device.
struct AttentionPool<B: Backend> {
    /// `[1, 1 + n_places, width]`
    positions: Tensor<B, 3>,
    query: Dense<B>,
    key: Dense<B>,
    value: Dense<B>,
    output: Dense<B>,
    shape: LayerShape,
}

impl<B: Backend> AttentionPool<B> {
    fn new(weights: AttentionPoolWeights, device: &B::Device) -> Self {
        let width = weights.query.n_in;
        let n_tokens = weights.positions.len() / width;
        // Of a layer's properties the pool has only width and heads.
        let shape = LayerShape {
            width,
            n_heads: weights.n_heads,
            activation: Activation::Relu,
            epsilon: 0.0,
            norms: NormPlace::Before,
            is_causal: false,
        };
        Self {
            positions: Tensor::from_data(TensorData::new(weights.positions, [1, n_tokens, width]), device),
            query: Dense::new(weights.query, device),
            key: Dense::new(weights.key, device),
            value: Dense::new(weights.value, device),
            output: Dense::new(weights.output, device),
            shape,
        }
    }

    /// One vector an image.
    ///
    /// # Shapes
    /// `maps`: `[n_images, width, rows, cols]` · returns `[n_images, dim]`
    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 2> {
        let [n_images, width, rows, cols] = maps.dims();
        let places = maps.reshape([n_images, width, rows * cols]).swap_dims(1, 2);
        let tokens = Tensor::cat(vec![places.clone().mean_dim(1), places], 1) + self.positions.clone();
        let n_tokens = rows * cols + 1;
        let asking = tokens.clone().slice([0..n_images, 0..1]).reshape([n_images, width]);
        let tokens = tokens.reshape([n_images * n_tokens, width]);
        let (key, value) = (self.key.forward(tokens.clone()), self.value.forward(tokens));
        self.output.forward(attend(self.query.forward(asking), key, value, (n_tokens, 1), &self.shape))
    }
}
