//! CLIP's ResNet: the maps of a ResNet with means before strides, and attention for a pool.

use burn::tensor::{Tensor, TensorData};

use super::arithmetic::{Arithmetic, Site};
use super::layers::{Dense, Projections};
use super::resnet::ResNet;
use super::tower::{Attended, attend};
use super::{Place, rows};
use crate::device::Precision;
use crate::families::clip::resnet::ClipResNetWeights;
use crate::forward::ImageForward;
use crate::tower::{Activation, AttentionPoolWeights, LayerShape, NormPlace};

impl Place<dyn ImageForward> for ClipResNetWeights {
    fn place<B: Arithmetic>(self, site: Site<B>) -> Box<dyn ImageForward> {
        let (trunk, pool) = (ResNet::<B>::new(self.trunk, &site), AttentionPool::new(self.pool, &site));
        rows::images(site, move |pixels| pool.forward(trunk.maps(pixels)))
    }
}

/// An attention pool on a device.
struct AttentionPool<B: Arithmetic> {
    /// `[1, 1 + n_places, width]`
    positions: Tensor<B, 3>,
    query: Projections<B, 1>,
    key_value: Projections<B, 2>,
    output: Dense<B>,
    shape: LayerShape,
    precision: Precision,
}

impl<B: Arithmetic> AttentionPool<B> {
    fn new(weights: AttentionPoolWeights, site: &Site<B>) -> Self {
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
            positions: Tensor::from_data(TensorData::new(weights.positions, [1, n_tokens, width]), &site.device),
            query: Projections::new([weights.query], weights.n_heads, site),
            key_value: Projections::new([weights.key, weights.value], weights.n_heads, site),
            output: Dense::new(weights.output, site),
            shape,
            precision: site.precision,
        }
    }

    /// One vector an image.
    ///
    /// # Shapes
    /// `maps`: `[n_images, rows, cols, width]` · returns `[n_images, dim]`
    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 2> {
        let [n_images, rows, cols, width] = maps.dims();
        let places = maps.reshape([n_images, rows * cols, width]);
        let tokens = Tensor::cat(vec![places.clone().mean_dim(1), places], 1) + self.positions.clone();
        let n_tokens = rows * cols + 1;
        let asking = tokens.clone().slice([0..n_images, 0..1]).reshape([n_images, width]);
        let tokens = tokens.reshape([n_images * n_tokens, width]);
        let [query] = self.query.forward(asking, 1);
        let [key, value] = self.key_value.forward(tokens, n_tokens);
        let attended = Attended::whole(n_tokens, 1);
        self.output.forward(attend([query, key, value], &attended, &self.shape, self.precision))
    }
}
