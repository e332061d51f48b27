//! The forward pass of a ConvNeXt, channels last.

use burn::tensor::{Tensor, TensorData};

use super::arithmetic::{Arithmetic, Site, Then, of_primitive, primitive};
use super::layers::{Dense, LayerNorm};
use super::{Place, rows};
use crate::families::convnext::weights::{BlockWeights, ConvNeXtWeights, KERNEL, StageWeights};
use crate::families::pooling::MapPooling;
use crate::forward::ImageForward;

impl Place<dyn ImageForward> for ConvNeXtWeights {
    fn place<B: Arithmetic>(self, site: Site<B>) -> Box<dyn ImageForward> {
        let model = ConvNeXt::<B>::new(self, &site);
        rows::images(site, move |pixels| model.forward(pixels))
    }
}

/// A ConvNeXt on a device.
struct ConvNeXt<B: Arithmetic> {
    stem: Dense<B>,
    stem_norm: LayerNorm<B>,
    stages: Vec<Stage<B>>,
    pooling: MapPooling,
    norm: LayerNorm<B>,
}

struct Stage<B: Arithmetic> {
    shrink: Option<(LayerNorm<B>, Dense<B>)>,
    blocks: Vec<Block<B>>,
}

struct Block<B: Arithmetic> {
    /// `[7, 7, width]`
    depthwise: Tensor<B, 3>,
    depthwise_bias: Tensor<B, 1>,
    norm: LayerNorm<B>,
    intermediate: Dense<B>,
    output: Dense<B>,
}

impl<B: Arithmetic> ConvNeXt<B> {
    /// Moves the weights to the device.
    fn new(weights: ConvNeXtWeights, site: &Site<B>) -> Self {
        let epsilon = weights.epsilon;
        let stages = weights.stages.into_iter().map(|stage| Stage::new(stage, epsilon, site));
        Self {
            stem: Dense::new(weights.stem, site),
            stem_norm: LayerNorm::new(weights.stem_norm, epsilon, site),
            stages: stages.collect(),
            pooling: weights.pooling,
            norm: LayerNorm::new(weights.norm, weights.last_epsilon, site),
        }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, dim]`, or `[n_images · n_cells, dim]` of
    /// [`MapPooling::Cells`]
    fn forward(&self, pixels: Tensor<B, 4>) -> Tensor<B, 2> {
        let mut maps = of_rows(patches(pixels, 4, &self.stem), |rows| self.stem_norm.forward(rows));
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

impl<B: Arithmetic> Stage<B> {
    fn new(weights: StageWeights, epsilon: f64, site: &Site<B>) -> Self {
        let shrink = weights.shrink.map(|(norm, dense)| (LayerNorm::new(norm, epsilon, site), Dense::new(dense, site)));
        Self { shrink, blocks: weights.blocks.into_iter().map(|block| Block::new(block, epsilon, site)).collect() }
    }
}

impl<B: Arithmetic> Block<B> {
    fn new(weights: BlockWeights, epsilon: f64, site: &Site<B>) -> Self {
        let n_channels = weights.depthwise_bias.len();
        let shape = [KERNEL, KERNEL, n_channels];
        let taps = (0..KERNEL * KERNEL).flat_map(|tap| weights.depthwise[tap..].iter().step_by(KERNEL * KERNEL));
        let depthwise = TensorData::new(taps.copied().collect::<Vec<f32>>(), shape);
        Self {
            depthwise: Tensor::from_data(depthwise, &site.device),
            depthwise_bias: Tensor::from_data(TensorData::new(weights.depthwise_bias, [n_channels]), &site.device),
            norm: LayerNorm::new(weights.norm, epsilon, site),
            intermediate: Dense::new(weights.intermediate, site),
            output: Dense::new(weights.output, site),
        }
    }

    /// `[n_images, height, width, n_channels]`
    fn forward(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        let n_channels = maps.dims()[3];
        let (depthwise, bias) = (primitive(self.depthwise.clone()), primitive(self.depthwise_bias.clone()));
        let branch = of_primitive::<B, 4>(B::depthwise(primitive(maps.clone()), depthwise, bias));
        let [n_images, height, width, _] = maps.dims();
        let residual = maps.reshape([n_images * height * width, n_channels]);
        of_rows(branch, |rows| {
            let inner = self.intermediate.forward_then(self.norm.forward(rows), None, Then::Gelu);
            self.output.forward_then(inner, Some(residual), Then::Nothing)
        })
    }
}

/// Maps the channels of every place.
fn of_rows<B: Arithmetic>(maps: Tensor<B, 4>, map: impl FnOnce(Tensor<B, 2>) -> Tensor<B, 2>) -> Tensor<B, 4> {
    let [n_images, height, width, n_channels] = maps.dims();
    let rows = map(maps.reshape([n_images * height * width, n_channels]));
    let n_out = rows.dims()[1];
    rows.reshape([n_images, height, width, n_out])
}

/// Maps the patches of maps; lines and places that do not fill a patch are dropped.
///
/// # Shapes
/// `maps`: `[n_images, height, width, n_in]` · returns `[n_images, height / side, width / side, n_out]`
fn patches<B: Arithmetic>(maps: Tensor<B, 4>, side: usize, dense: &Dense<B>) -> Tensor<B, 4> {
    let [n_images, height, width, n_in] = maps.dims();
    let (rows, cols) = (height / side, width / side);
    let whole = maps.slice([0..n_images, 0..rows * side, 0..cols * side, 0..n_in]);
    let patches = whole.reshape([n_images, rows, side, cols, side, n_in]).permute([0, 1, 3, 2, 4, 5]);
    let mapped = dense.forward(patches.reshape([n_images * rows * cols, side * side * n_in]));
    mapped.reshape([n_images, rows, cols, dense.n_out()])
}
