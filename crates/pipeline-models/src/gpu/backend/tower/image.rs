//! Image towers on a device.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::{Head, Layer, activate, attend};
use crate::forward::ImageForward;
use crate::gpu::backend::layers::{Dense, LayerNorm};
use crate::gpu::backend::{Place, rows};
use crate::tower::{ImagePool, ImageTower, LayerShape, PatchPositions, ProbeWeights};

impl Place<dyn ImageForward> for ImageTower {
    fn place<B: Backend>(self, device: B::Device) -> Box<dyn ImageForward> {
        let tower = DeviceImageTower::<B>::new(self, &device);
        rows::images(device, move |pixels| tower.forward(pixels))
    }
}

/// An image tower on a device.
struct DeviceImageTower<B: Backend> {
    patch: usize,
    patches: Dense<B>,
    /// `[n_prefix, width]`
    prefix: Option<Tensor<B, 2>>,
    positions: PatchPositions,
    first_norm: Option<LayerNorm<B>>,
    layers: Vec<Layer<B>>,
    final_norm: Option<LayerNorm<B>>,
    pool: Pool<B>,
    head: Head<B>,
    width: usize,
}

enum Pool<B: Backend> {
    Class,
    Mean,
    Tokens,
    Probe(Box<Probe<B>>),
}

impl<B: Backend> DeviceImageTower<B> {
    /// Moves the weights to `device`.
    fn new(tower: ImageTower, device: &B::Device) -> Self {
        let ImageTower { shape, patch, patches, prefix, positions, first_norm, layers, final_norm, pool, head } = tower;
        let norm = |weights| LayerNorm::new(weights, shape.epsilon, device);
        let n_prefix = prefix.len() / shape.width;
        let prefix_of = |values| Tensor::from_data(TensorData::new(values, [n_prefix, shape.width]), device);
        Self {
            patch,
            patches: Dense::new(patches, device),
            prefix: (n_prefix > 0).then(|| prefix_of(prefix)),
            positions,
            first_norm: first_norm.map(norm),
            layers: layers.into_iter().map(|layer| Layer::new(layer, &shape, device)).collect(),
            final_norm: final_norm.map(norm),
            pool: match pool {
                ImagePool::Class => Pool::Class,
                ImagePool::Mean => Pool::Mean,
                ImagePool::Tokens => Pool::Tokens,
                ImagePool::Probe(weights) => Pool::Probe(Box::new(Probe::new(*weights, &shape, device))),
            },
            head: Head::new(head, shape.epsilon, device),
            width: shape.width,
        }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]` · returns `[n_images, dim]`
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        let n_images = pixels.dims()[0];
        let (mut hidden, n_tokens) = self.embed(pixels);
        let is_class = matches!(self.pool, Pool::Class);
        if let Some((last, others)) = self.layers.split_last() {
            hidden = others.iter().fold(hidden, |hidden, layer| layer.forward(hidden, n_tokens, n_tokens));
            hidden = last.forward(hidden, n_tokens, if is_class { 1 } else { n_tokens });
        }
        if let Some(norm) = &self.final_norm {
            hidden = norm.forward(hidden);
        }
        let pooled = match &self.pool {
            Pool::Class | Pool::Tokens => hidden,
            Pool::Mean => {
                let n_prefix = self.positions.n_prefix;
                let tokens = hidden.reshape([n_images, n_tokens, self.width]);
                let patches = tokens.slice([0..n_images, n_prefix..n_tokens]);
                patches.mean_dim(1).reshape([n_images, self.width])
            }
            Pool::Probe(probe) => probe.forward(hidden, n_tokens),
        };
        self.head.forward(pooled)
    }

    /// The vectors before the first layer, `[n_images · n_tokens, width]`, and their number for an image.
    fn embed(&self, pixels: Tensor<B, 4>) -> (Tensor<B, 2>, usize) {
        let [n_images, _, height, width] = pixels.dims();
        let (side, rows, cols) = (self.patch, height / self.patch, width / self.patch);
        let device = pixels.device();
        let whole = pixels.slice([0..n_images, 0..3, 0..rows * side, 0..cols * side]);
        let patches = whole.reshape([n_images, 3, rows, side, cols, side]).permute([0, 2, 4, 3, 5, 1]);
        let patches = self.patches.forward(patches.reshape([n_images * rows * cols, 3 * side * side]));
        let mut tokens = patches.reshape([n_images, rows * cols, self.width]);
        if let Some(prefix) = &self.prefix {
            let prefix = prefix.clone().unsqueeze::<3>().repeat_dim(0, n_images);
            tokens = Tensor::cat(vec![prefix, tokens], 1);
        }
        let n_tokens = tokens.dims()[1];
        let positions = TensorData::new(self.positions.for_grid(rows, cols), [1, n_tokens, self.width]);
        tokens = tokens + Tensor::from_data(positions, &device);
        let hidden = tokens.reshape([n_images * n_tokens, self.width]);
        let hidden = match &self.first_norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        };
        (hidden, n_tokens)
    }
}

/// SigLIP's head on a device.
struct Probe<B: Backend> {
    /// The query of the probe: `[1, width]`
    query: Tensor<B, 2>,
    key: Dense<B>,
    value: Dense<B>,
    output: Dense<B>,
    norm: LayerNorm<B>,
    intermediate: Dense<B>,
    last: Dense<B>,
    shape: LayerShape,
}

impl<B: Backend> Probe<B> {
    fn new(weights: ProbeWeights, shape: &LayerShape, device: &B::Device) -> Self {
        let probe = Tensor::from_data(TensorData::new(weights.probe, [1, shape.width]), device);
        Self {
            query: Dense::new(weights.query, device).forward(probe),
            key: Dense::new(weights.key, device),
            value: Dense::new(weights.value, device),
            output: Dense::new(weights.output, device),
            norm: LayerNorm::new(weights.norm, shape.epsilon, device),
            intermediate: Dense::new(weights.intermediate, device),
            last: Dense::new(weights.last, device),
            shape: *shape,
        }
    }

    /// One vector an image, from those of its patches.
    ///
    /// # Shapes
    /// `hidden`: `[n_images · n_tokens, width]` · returns `[n_images, width]`
    fn forward(&self, hidden: Tensor<B, 2>, n_tokens: usize) -> Tensor<B, 2> {
        let n_images = hidden.dims()[0] / n_tokens;
        let query = self.query.clone().repeat_dim(0, n_images);
        let (key, value) = (self.key.forward(hidden.clone()), self.value.forward(hidden));
        let pooled = self.output.forward(attend(query, key, value, (n_tokens, 1), &self.shape));
        let inner = self.intermediate.forward(self.norm.forward(pooled.clone()));
        pooled + self.last.forward(activate(inner, self.shape.activation))
    }
}
