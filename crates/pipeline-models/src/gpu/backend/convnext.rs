//! The forward pass of a ConvNeXt, channels last but in its depthwise convolutions.

use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, activation};

use super::layers::{Dense, LayerNorm};
use super::{Place, rows};
use crate::families::convnext::weights::{BlockWeights, ConvNeXtWeights, KERNEL, StageWeights};
use crate::families::pooling::MapPooling;
use crate::forward::ImageForward;

impl Place<dyn ImageForward> for ConvNeXtWeights {
    fn place<B: Backend>(self, device: B::Device) -> Box<dyn ImageForward> {
        let model = ConvNeXt::<B>::new(self, &device);
        rows::images(device, move |pixels| model.forward(pixels))
    }
}

/// A ConvNeXt on a device.
struct ConvNeXt<B: Backend> {
    stem: Dense<B>,
    stem_norm: LayerNorm<B>,
    stages: Vec<Stage<B>>,
    pooling: MapPooling,
    norm: LayerNorm<B>,
}

struct Stage<B: Backend> {
    shrink: Option<(LayerNorm<B>, Dense<B>)>,
    blocks: Vec<Block<B>>,
}

struct Block<B: Backend> {
    /// `[width, 1, 7, 7]`
    depthwise: Tensor<B, 4>,
    depthwise_bias: Tensor<B, 1>,
    norm: LayerNorm<B>,
    intermediate: Dense<B>,
    output: Dense<B>,
}

impl<B: Backend> ConvNeXt<B> {
    /// Moves the weights to `device`.
    fn new(weights: ConvNeXtWeights, device: &B::Device) -> Self {
        let epsilon = weights.epsilon;
        let stages = weights.stages.into_iter().map(|stage| Stage::new(stage, epsilon, device));
        Self {
            stem: Dense::new(weights.stem, device),
            stem_norm: LayerNorm::new(weights.stem_norm, epsilon, device),
            stages: stages.collect(),
            pooling: weights.pooling,
            norm: LayerNorm::new(weights.norm, weights.last_epsilon, device),
        }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]` · returns `[n_images, dim]`, or `[n_images · n_cells, dim]` of
    /// [`MapPooling::Cells`]
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        let mut maps =
            of_rows(patches(pixels.permute([0, 2, 3, 1]), 4, &self.stem), |rows| self.stem_norm.forward(rows));
        for stage in &self.stages {
            if let Some((norm, shrink)) = &stage.shrink {
                maps = patches(of_rows(maps, |rows| norm.forward(rows)), 2, shrink);
            }
            maps = stage.blocks.iter().fold(maps, |maps, block| block.forward(maps));
        }
        let [n_images, height, width, n_channels] = maps.dims();
        if self.pooling == MapPooling::Cells {
            return maps.reshape([n_images * height * width, n_channels]);
        }
        let means = maps.reshape([n_images, height * width, n_channels]).mean_dim(1).reshape([n_images, n_channels]);
        self.norm.forward(means)
    }
}

impl<B: Backend> Stage<B> {
    fn new(weights: StageWeights, epsilon: f64, device: &B::Device) -> Self {
        let shrink =
            weights.shrink.map(|(norm, dense)| (LayerNorm::new(norm, epsilon, device), Dense::new(dense, device)));
        Self { shrink, blocks: weights.blocks.into_iter().map(|block| Block::new(block, epsilon, device)).collect() }
    }
}

impl<B: Backend> Block<B> {
    fn new(weights: BlockWeights, epsilon: f64, device: &B::Device) -> Self {
        let n_channels = weights.depthwise_bias.len();
        let shape = [n_channels, 1, KERNEL, KERNEL];
        Self {
            depthwise: Tensor::from_data(TensorData::new(weights.depthwise, shape), device),
            depthwise_bias: Tensor::from_data(TensorData::new(weights.depthwise_bias, [n_channels]), device),
            norm: LayerNorm::new(weights.norm, epsilon, device),
            intermediate: Dense::new(weights.intermediate, device),
            output: Dense::new(weights.output, device),
        }
    }

    /// `[n_images, height, width, n_channels]`
    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let n_channels = maps.dims()[3];
        let options = ConvOptions::new([1, 1], [KERNEL / 2; 2], [1, 1], n_channels);
        let (weight, bias) = (self.depthwise.clone(), Some(self.depthwise_bias.clone()));
        let branch = conv2d(maps.clone().permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1]);
        let feed_forward =
            |rows| self.output.forward(activation::gelu(self.intermediate.forward(self.norm.forward(rows))));
        maps + of_rows(branch, feed_forward)
    }
}

/// Maps the channels of every place.
fn of_rows<B: Backend>(maps: Tensor<B, 4>, map: impl Fn(Tensor<B, 2>) -> Tensor<B, 2>) -> Tensor<B, 4> {
    let [n_images, height, width, n_channels] = maps.dims();
    let rows = map(maps.reshape([n_images * height * width, n_channels]));
    let n_out = rows.dims()[1];
    rows.reshape([n_images, height, width, n_out])
}

/// Maps the patches of maps; lines and places that do not fill a patch are dropped.
///
/// # Shapes
/// `maps`: `[n_images, height, width, n_in]` · returns `[n_images, height / side, width / side, n_out]`
fn patches<B: Backend>(maps: Tensor<B, 4>, side: usize, dense: &Dense<B>) -> Tensor<B, 4> {
    let [n_images, height, width, n_in] = maps.dims();
    let (rows, cols) = (height / side, width / side);
    let whole = maps.slice([0..n_images, 0..rows * side, 0..cols * side, 0..n_in]);
    let patches = whole.reshape([n_images, rows, side, cols, side, n_in]).permute([0, 1, 3, 2, 4, 5]);
    let mapped = dense.forward(patches.reshape([n_images * rows * cols, side * side * n_in]));
    mapped.reshape([n_images, rows, cols, dense.n_out()])
}
