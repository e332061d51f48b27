//! Image towers on a device.

use burn::tensor::{Tensor, TensorData};

use super::{Attended, Head, Layer, attend};
use crate::device::Precision;
use crate::forward::ImageForward;
use crate::gpu::backend::arithmetic::{Arithmetic, Site, Then};
use crate::gpu::backend::layers::{Dense, LayerNorm, Projections};
use crate::gpu::backend::{Place, rows};
use crate::tower::{ImagePool, ImageTower, LayerShape, PatchPositions, ProbeWeights};

impl Place<dyn ImageForward> for ImageTower {
    fn place<B: Arithmetic>(self, site: Site<B>) -> Box<dyn ImageForward> {
        let tower = DeviceImageTower::<B>::new(self, &site);
        rows::images(site, move |pixels| tower.forward(pixels))
    }
}

/// An image tower on a device.
struct DeviceImageTower<B: Arithmetic> {
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

enum Pool<B: Arithmetic> {
    Class,
    Mean,
    Tokens,
    Probe(Box<Probe<B>>),
}

impl<B: Arithmetic> DeviceImageTower<B> {
    /// Moves the weights to the device.
    fn new(tower: ImageTower, site: &Site<B>) -> Self {
        let ImageTower { shape, patch, patches, prefix, positions, first_norm, layers, final_norm, pool, head } = tower;
        let norm = |weights| LayerNorm::new(weights, shape.epsilon, site);
        let n_prefix = prefix.len() / shape.width;
        let prefix_of = |values| Tensor::from_data(TensorData::new(values, [n_prefix, shape.width]), &site.device);
        Self {
            patch,
            patches: Dense::new(patches, site),
            prefix: (n_prefix > 0).then(|| prefix_of(prefix)),
            positions,
            first_norm: first_norm.map(norm),
            layers: Layer::all(layers, !matches!(pool, ImagePool::Class), &shape, site),
            final_norm: final_norm.map(norm),
            pool: match pool {
                ImagePool::Class => Pool::Class,
                ImagePool::Mean => Pool::Mean,
                ImagePool::Tokens => Pool::Tokens,
                ImagePool::Probe(weights) => Pool::Probe(Box::new(Probe::new(*weights, &shape, site))),
            },
            head: Head::new(head, shape.epsilon, site),
            width: shape.width,
        }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, dim]`
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        let n_images = pixels.dims()[0];
        let (mut hidden, n_tokens) = self.embed(pixels);
        let is_class = matches!(self.pool, Pool::Class);
        if let Some((last, others)) = self.layers.split_last() {
            hidden =
                others.iter().fold(hidden, |hidden, layer| layer.forward(hidden, &Attended::whole(n_tokens, n_tokens)));
            hidden = last.forward(hidden, &Attended::whole(n_tokens, if is_class { 1 } else { n_tokens }));
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
        let [n_images, height, width, _] = pixels.dims();
        let (side, rows, cols) = (self.patch, height / self.patch, width / self.patch);
        let device = pixels.device();
        let whole = pixels.slice([0..n_images, 0..rows * side, 0..cols * side, 0..3]);
        let patches = whole.reshape([n_images, rows, side, cols, side, 3]).permute([0, 1, 3, 2, 4, 5]);
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
struct Probe<B: Arithmetic> {
    /// The query of the probe: `[1, n_heads, 1, head]`
    query: Tensor<B, 4>,
    key_value: Projections<B, 2>,
    output: Dense<B>,
    norm: LayerNorm<B>,
    intermediate: Dense<B>,
    last: Dense<B>,
    shape: LayerShape,
    precision: Precision,
}

impl<B: Arithmetic> Probe<B> {
    fn new(weights: ProbeWeights, shape: &LayerShape, site: &Site<B>) -> Self {
        let probe = Tensor::from_data(TensorData::new(weights.probe, [1, shape.width]), &site.device);
        let [query] = Projections::new([weights.query], shape.n_heads, site).forward(probe, 1);
        Self {
            query,
            key_value: Projections::new([weights.key, weights.value], shape.n_heads, site),
            output: Dense::new(weights.output, site),
            norm: LayerNorm::new(weights.norm, shape.epsilon, site),
            intermediate: Dense::new(weights.intermediate, site),
            last: Dense::new(weights.last, site),
            shape: *shape,
            precision: site.precision,
        }
    }

    /// One vector an image, from those of its patches.
    ///
    /// # Shapes
    /// `hidden`: `[n_images · n_tokens, width]` · returns `[n_images, width]`
    fn forward(&self, hidden: Tensor<B, 2>, n_tokens: usize) -> Tensor<B, 2> {
        let n_images = hidden.dims()[0] / n_tokens;
        let query = self.query.clone().repeat_dim(0, n_images);
        let [key, value] = self.key_value.forward(hidden, n_tokens);
        let attended = Attended::whole(n_tokens, 1);
        let pooled = self.output.forward(attend([query, key, value], &attended, &self.shape, self.precision));
        let normed = self.norm.forward(pooled.clone());
        let inner = self.intermediate.forward_then(normed, None, self.shape.activation.into());
        self.last.forward_then(inner, Some(pooled), Then::Nothing)
    }
}
