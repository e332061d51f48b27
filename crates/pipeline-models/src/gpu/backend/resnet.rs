//! The forward pass of a ResNet up to the pooled features.

use burn::tensor::backend::Backend;
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, activation::relu};

use pipeline_kernels::convolution::ConvWeights;

use super::{Place, rows};
use crate::families::pooling::MapPooling;
use crate::families::resnet::{BlockWeights, ResNetWeights, StemWeights};
use crate::forward::ImageForward;

impl Place<dyn ImageForward> for ResNetWeights {
    fn place<B: Backend>(self, device: B::Device) -> Box<dyn ImageForward> {
        let resnet = ResNet::<B>::new(self, &device);
        rows::images(device, move |pixels| resnet.forward(pixels))
    }
}

/// A ResNet on a device.
pub(super) struct ResNet<B: Backend> {
    stem: Stem<B>,
    blocks: Vec<ResidualBlock<B>>,
    pooling: MapPooling,
}

enum Stem<B: Backend> {
    Single(Convolution<B>),
    Deep(Box<[Convolution<B>; 3]>),
}

struct ResidualBlock<B: Backend> {
    halves: bool,
    convs: Vec<Convolution<B>>,
    shortcut: Option<Convolution<B>>,
}

struct Convolution<B: Backend> {
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    stride: usize,
    padding: usize,
}

impl<B: Backend> ResNet<B> {
    /// Moves the weights to `device`.
    pub(super) fn new(weights: ResNetWeights, device: &B::Device) -> Self {
        Self {
            stem: match weights.stem {
                StemWeights::Single(conv) => Stem::Single(Convolution::new(conv, device)),
                StemWeights::Deep(convs) => Stem::Deep(Box::new(convs.map(|conv| Convolution::new(conv, device)))),
            },
            blocks: weights.blocks.into_iter().map(|block| ResidualBlock::new(block, device)).collect(),
            pooling: weights.pooling,
        }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]` · returns `[n_images, n_features]`, or `[n_images · n_cells, n_features]`
    /// of [`MapPooling::Cells`]
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        match self.pooling {
            MapPooling::Mean => pool(self.maps(pixels)),
            MapPooling::Cells => cells(self.maps(pixels)),
        }
    }

    /// The maps of the last stage.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]` · returns `[n_images, n_features, rows, cols]`
    pub(super) fn maps(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        self.blocks.iter().fold(self.stem_maps(pixels), |maps, block| block.forward(maps))
    }

    /// The stem, a quarter of the height and width: one convolution, ReLU and the maximum over 3×3, or three
    /// convolutions with ReLU and the mean of 2×2.
    fn stem_maps(&self, pixels: Tensor<B, 4>) -> Tensor<B, 4> {
        match &self.stem {
            Stem::Single(conv) => max_pool2d(relu(conv.forward(pixels)), [3, 3], [2, 2], [1, 1], [1, 1], false),
            Stem::Deep(convs) => halved(convs.iter().fold(pixels, |maps, conv| relu(conv.forward(maps)))),
        }
    }
}

/// The means of 2×2 places.
fn halved<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 4> {
    avg_pool2d(maps, [2, 2], [2, 2], [0, 0], false, false)
}

/// The mean over height and width: `[n, c, h, w]` → `[n, c]`.
fn pool<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n_images, n_channels, height, width] = maps.dims();
    maps.reshape([n_images, n_channels, height * width]).mean_dim(2).reshape([n_images, n_channels])
}

/// The places of maps, channels last: `[n, c, h, w]` → `[n · h · w, c]`.
fn cells<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n_images, n_channels, height, width] = maps.dims();
    maps.permute([0, 2, 3, 1]).reshape([n_images * height * width, n_channels])
}

impl<B: Backend> ResidualBlock<B> {
    fn new(weights: BlockWeights, device: &B::Device) -> Self {
        Self {
            halves: weights.halves,
            convs: weights.convs.into_iter().map(|conv| Convolution::new(conv, device)).collect(),
            shortcut: weights.shortcut.map(|conv| Convolution::new(conv, device)),
        }
    }

    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let (last, others) = self.convs.split_last().expect("a block has two or three convolutions");
        let residual = others.iter().fold(maps.clone(), |maps, conv| relu(conv.forward(maps)));
        let halved = |maps| if self.halves { halved(maps) } else { maps };
        let residual = last.forward(halved(residual));
        let shortcut = match &self.shortcut {
            Some(conv) => conv.forward(halved(maps)),
            None => maps,
        };
        relu(residual + shortcut)
    }
}

impl<B: Backend> Convolution<B> {
    fn new(weights: ConvWeights, device: &B::Device) -> Self {
        let (kernel, n_out) = (weights.kernel, weights.n_out);
        let weight = TensorData::new(folded(&weights), [n_out, weights.n_in, kernel, kernel]);
        Self {
            weight: Tensor::from_data(weight, device),
            bias: Tensor::from_data(TensorData::new(weights.bias, [n_out]), device),
            stride: weights.stride,
            padding: kernel / 2,
        }
    }

    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(maps, self.weight.clone(), Some(self.bias.clone()), options)
    }
}

/// The weights with the scale of the batch norm folded in.
fn folded(weights: &ConvWeights) -> Vec<f32> {
    let n_taps = weights.n_in * weights.kernel * weights.kernel;
    let scaled = weights.weight.chunks_exact(n_taps).zip(&weights.scale);
    scaled.flat_map(|(kernels, scale)| kernels.iter().map(move |value| (f64::from(*value) * scale) as f32)).collect()
}

#[cfg(test)]
mod tests;
