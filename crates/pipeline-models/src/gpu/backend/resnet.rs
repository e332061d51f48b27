//! The forward pass of a ResNet up to the pooled features, channels last.

use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::{Tensor, TensorData};

use pipeline_kernels::convolution::ConvWeights;

use super::arithmetic::{After, Arithmetic, Site, Then, Window, of_primitive, primitive};
use super::{Place, rows};
use crate::device::Precision;
use crate::families::pooling::MapPooling;
use crate::families::resnet::{BlockWeights, ResNetWeights, StemWeights};
use crate::forward::ImageForward;

impl Place<dyn ImageForward> for ResNetWeights {
    fn place<B: Arithmetic>(self, site: Site<B>) -> Box<dyn ImageForward> {
        let resnet = ResNet::<B>::new(self, &site);
        rows::images(site, move |pixels| resnet.forward(pixels))
    }
}

/// A ResNet on a device.
pub(super) struct ResNet<B: Arithmetic> {
    stem: Stem<B>,
    blocks: Vec<ResidualBlock<B>>,
    pooling: MapPooling,
}

enum Stem<B: Arithmetic> {
    Single(Convolution<B>),
    Deep(Box<[Convolution<B>; 3]>),
}

struct ResidualBlock<B: Arithmetic> {
    halves: bool,
    convs: Vec<Convolution<B>>,
    shortcut: Option<Convolution<B>>,
}

struct Convolution<B: Arithmetic> {
    /// `[n_out, kernel, kernel, n_in]`
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    window: Window,
    precision: Precision,
}

/// Convolutions of fewer channels stay in single precision: the few of pixels are a small part of the work, and all
/// features follow from them.
const MIN_ROUNDED_CHANNELS: usize = 16;

impl<B: Arithmetic> ResNet<B> {
    /// Moves the weights to the device.
    pub(super) fn new(weights: ResNetWeights, site: &Site<B>) -> Self {
        Self {
            stem: match weights.stem {
                StemWeights::Single(conv) => Stem::Single(Convolution::new(conv, site)),
                StemWeights::Deep(convs) => Stem::Deep(Box::new(convs.map(|conv| Convolution::new(conv, site)))),
            },
            blocks: weights.blocks.into_iter().map(|block| ResidualBlock::new(block, site)).collect(),
            pooling: weights.pooling,
        }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, n_features]`, or
    /// `[n_images · n_cells, n_features]` of [`MapPooling::Cells`]
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        match self.pooling {
            MapPooling::Mean => pool(self.maps(pixels)),
            MapPooling::Cells => cells(self.maps(pixels)),
        }
    }

    /// The maps of the last stage.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, rows, cols, n_features]`
    pub(super) fn maps(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        self.blocks.iter().fold(self.stem_maps(pixels), |maps, block| block.forward(maps))
    }

    /// The stem, a quarter of the height and width: one convolution, ReLU and the maximum over 3×3, or three
    /// convolutions with ReLU and the mean of 2×2.
    fn stem_maps(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        match &self.stem {
            Stem::Single(conv) => {
                let maps = channels_first(conv.forward(pixels, None, Then::Relu));
                channels_last(max_pool2d(maps, [3, 3], [2, 2], [1, 1], [1, 1], false))
            }
            Stem::Deep(convs) => halved(convs.iter().fold(pixels, |maps, conv| conv.forward(maps, None, Then::Relu))),
        }
    }
}

/// The means of 2×2 places.
fn halved<B: Arithmetic>(maps: Tensor<B, 4>) -> Tensor<B, 4> {
    channels_last(avg_pool2d(channels_first(maps), [2, 2], [2, 2], [0, 0], false, false))
}

/// The view that the framework's pools take; on CUDA they work in the other order, so that nothing is copied.
fn channels_first<B: Arithmetic>(maps: Tensor<B, 4>) -> Tensor<B, 4> {
    maps.permute([0, 3, 1, 2])
}

fn channels_last<B: Arithmetic>(maps: Tensor<B, 4>) -> Tensor<B, 4> {
    maps.permute([0, 2, 3, 1])
}

/// The mean over height and width: `[n, h, w, c]` → `[n, c]`.
fn pool<B: Arithmetic>(maps: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n_images, height, width, n_channels] = maps.dims();
    maps.reshape([n_images, height * width, n_channels]).mean_dim(1).reshape([n_images, n_channels])
}

/// The places of maps: `[n, h, w, c]` → `[n · h · w, c]`.
fn cells<B: Arithmetic>(maps: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n_images, height, width, n_channels] = maps.dims();
    maps.reshape([n_images * height * width, n_channels])
}

impl<B: Arithmetic> ResidualBlock<B> {
    fn new(weights: BlockWeights, site: &Site<B>) -> Self {
        Self {
            halves: weights.halves,
            convs: weights.convs.into_iter().map(|conv| Convolution::new(conv, site)).collect(),
            shortcut: weights.shortcut.map(|conv| Convolution::new(conv, site)),
        }
    }

    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let (last, others) = self.convs.split_last().expect("a block has two or three convolutions");
        let residual = others.iter().fold(maps.clone(), |maps, conv| conv.forward(maps, None, Then::Relu));
        let halved = |maps| if self.halves { halved(maps) } else { maps };
        let residual = halved(residual);
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(halved(maps), None, Then::Nothing),
            None => maps,
        };
        last.forward(residual, Some(shortcut), Then::Relu)
    }
}

impl<B: Arithmetic> Convolution<B> {
    fn new(weights: ConvWeights, site: &Site<B>) -> Self {
        let (kernel, n_out) = (weights.kernel, weights.n_out);
        let precision = if weights.n_in < MIN_ROUNDED_CHANNELS { Precision::F32 } else { site.precision };
        let weight = TensorData::new(folded(&weights), [n_out, kernel, kernel, weights.n_in]);
        Self {
            weight: of_primitive(B::factor(primitive(Tensor::<B, 4>::from_data(weight, &site.device)), precision)),
            bias: Tensor::from_data(TensorData::new(weights.bias, [n_out]), &site.device),
            window: Window { stride: weights.stride, padding: kernel / 2 },
            precision,
        }
    }

    /// A function of the convolutions, to which `others` are added if there are any.
    fn forward(&self, maps: Tensor<B, 4>, others: Option<Tensor<B, 4>>, then: Then) -> Tensor<B, 4> {
        let after = After { bias: primitive(self.bias.clone()), others: others.map(primitive), then };
        of_primitive(B::convolution(
            primitive(maps),
            primitive(self.weight.clone()),
            self.window,
            after,
            self.precision,
        ))
    }
}

/// The weights with the scale of the batch norm folded in, channels last: `[n_out, kernel, kernel, n_in]`.
fn folded(weights: &ConvWeights) -> Vec<f32> {
    let n_places = weights.kernel * weights.kernel;
    let mut values = Vec::with_capacity(weights.weight.len());
    for (kernels, scale) in weights.weight.chunks_exact(weights.n_in * n_places).zip(&weights.scale) {
        for place in 0..n_places {
            let of_place = kernels[place..].iter().step_by(n_places);
            values.extend(of_place.map(|value| (f64::from(*value) * scale) as f32));
        }
    }
    values
}

#[cfg(test)]
mod tests;
