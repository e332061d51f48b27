//! The forward pass of a ConvNeXt on the processor, channels last. One thread computes a batch, and an image's features
//! depend on no other image.

use std::sync::Mutex;

use pipeline_kernels::convolution::Size;
use pipeline_kernels::{Buffers, Depthwise, InstructionSet, Norm};

use super::weights::{BlockWeights, ConvNeXtWeights, KERNEL, StageWeights};
use crate::families::pooling::MapPooling;
use crate::tower::Activation;
use crate::tower::cpu::{Dense, means, norm};

/// Images that pass a stage together, stage by stage: maps shrink, and weights that are fetched from far away grow.
const STAGE_IMAGES: [usize; 4] = [1, 2, 4, 8];
/// Places whose feed-forward parts are computed together, so that what is inside stays in the second-level cache.
const RUN: usize = 264;

/// A ConvNeXt with weights laid out.
pub(in crate::families) struct CpuConvNeXt {
    stem: Dense,
    stem_norm: Norm,
    stages: Vec<Stage>,
    pooling: MapPooling,
    norm: Norm,
    /// Of batches that are done, for those to come: one for each thread.
    buffers: Mutex<Vec<Buffers>>,
}

struct Stage {
    shrink: Option<(Norm, Dense)>,
    blocks: Vec<Block>,
}

struct Block {
    depthwise: Depthwise,
    norm: Norm,
    intermediate: Dense,
    output: Dense,
}

impl CpuConvNeXt {
    /// Lays the weights out for the instructions of `instructions`.
    pub(in crate::families) fn new(weights: ConvNeXtWeights, instructions: InstructionSet) -> Self {
        let ConvNeXtWeights { stem, stem_norm, stages, pooling, norm: last_norm, last_epsilon, epsilon } = weights;
        Self {
            stem: Dense::new(stem, instructions),
            stem_norm: norm(stem_norm, epsilon, instructions),
            stages: stages.into_iter().map(|stage| Stage::new(stage, epsilon, instructions)).collect(),
            pooling,
            norm: norm(last_norm, last_epsilon, instructions),
            buffers: Mutex::default(),
        }
    }

    /// The features of normalised images of one size, which has room for a place of the last map.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, dim]`, or `[n_images · n_cells, dim]` of
    /// [`MapPooling::Cells`]
    pub(in crate::families) fn forward(&self, pixels: &[f32], height: usize, width: usize) -> Vec<f32> {
        let mut buffers = self.buffers.lock().expect("no thread panics while it holds this").pop().unwrap_or_default();
        let size = Size { height, width };
        let maps = self.after(self.stages.len(), pixels, size, &mut buffers);
        self.buffers.lock().expect("no thread panics while it holds this").push(buffers);
        let n_images = pixels.len() / (3 * size.n_pixels());
        let n_places = self.size_after(self.stages.len(), size).n_pixels();
        if self.pooling == MapPooling::Cells {
            return maps;
        }
        let mut features = means(&maps, maps.len() / (n_images * n_places), &vec![n_places; n_images], 0);
        self.norm.apply(&mut features);
        features
    }

    /// The maps after the stem and `n_stages` stages.
    ///
    /// # Shapes
    /// returns `[n_images, height, width, n_channels]` after these stages
    fn after(&self, n_stages: usize, pixels: &[f32], size: Size, buffers: &mut Buffers) -> Vec<f32> {
        let Some(stage_idx) = n_stages.checked_sub(1) else {
            let mut maps = patches(pixels, 3, size, 4, &self.stem);
            self.stem_norm.apply(&mut maps);
            return maps;
        };
        let stage = &self.stages[stage_idx];
        let n_together = STAGE_IMAGES[stage_idx.min(STAGE_IMAGES.len() - 1)];
        let mut all = Vec::new();
        for images in pixels.chunks(n_together * 3 * size.n_pixels()) {
            let mut maps = self.after(stage_idx, images, size, buffers);
            let mut size = self.size_after(stage_idx, size);
            if let Some((norm, shrink)) = &stage.shrink {
                norm.apply(&mut maps);
                maps = patches(&maps, shrink.n_in() / 4, size, 2, shrink);
                size = Size { height: size.height / 2, width: size.width / 2 };
            }
            stage.blocks.iter().for_each(|block| block.add_to(&mut maps, size, buffers));
            if images.len() == pixels.len() {
                return maps;
            }
            all.extend(maps);
        }
        all
    }

    fn size_after(&self, n_stages: usize, size: Size) -> Size {
        let shrinks = self.stages[..n_stages].iter().filter(|stage| stage.shrink.is_some());
        let divisor = 4 << shrinks.count();
        Size { height: size.height / divisor, width: size.width / divisor }
    }
}

impl Stage {
    fn new(weights: StageWeights, epsilon: f64, instructions: InstructionSet) -> Self {
        let shrink = weights
            .shrink
            .map(|(weights, dense)| (norm(weights, epsilon, instructions), Dense::new(dense, instructions)));
        Self {
            shrink,
            blocks: weights.blocks.into_iter().map(|block| Block::new(block, epsilon, instructions)).collect(),
        }
    }
}

impl Block {
    fn new(weights: BlockWeights, epsilon: f64, instructions: InstructionSet) -> Self {
        Self {
            depthwise: Depthwise::new(&weights.depthwise, &weights.depthwise_bias, KERNEL, instructions),
            norm: norm(weights.norm, epsilon, instructions),
            intermediate: Dense::new(weights.intermediate, instructions),
            output: Dense::new(weights.output, instructions),
        }
    }

    /// Adds the block's branch to maps.
    ///
    /// # Shapes
    /// `maps`: `[n_images, height, width, n_channels]`
    fn add_to(&self, maps: &mut [f32], size: Size, buffers: &mut Buffers) {
        let n_channels = self.intermediate.n_in();
        let mut branch = buffers.take(maps.len());
        let map_len = size.n_pixels() * n_channels;
        for (map, branch) in maps.chunks_exact(map_len).zip(branch.chunks_exact_mut(map_len)) {
            self.depthwise.forward(map, size, branch, buffers);
        }
        let mut inner = buffers.take(RUN * self.intermediate.n_out());
        for (branch, maps) in branch.chunks_mut(RUN * n_channels).zip(maps.chunks_mut(RUN * n_channels)) {
            self.norm.apply(branch);
            let inner = &mut inner[..branch.len() / n_channels * self.intermediate.n_out()];
            self.intermediate.forward_and(branch, inner, Activation::Gelu);
            self.output.add_to(inner, maps);
        }
        buffers.give(inner);
        buffers.give(branch);
    }
}

/// Maps the patches of maps; lines and places that do not fill a patch are dropped.
///
/// # Shapes
/// `maps`: `[n_images, height, width, n_in]` · returns `[n_images, height / side, width / side, n_out]`
fn patches(maps: &[f32], n_in: usize, size: Size, side: usize, dense: &Dense) -> Vec<f32> {
    let (rows, cols) = (size.height / side, size.width / side);
    let (line, run) = (size.width * n_in, side * n_in);
    let mut gathered = vec![0.0; cols * side * run];
    let mut out = Vec::with_capacity(maps.len() / (size.height * line) * rows * cols * dense.n_out());
    for map in maps.chunks_exact(size.height * line) {
        for row in 0..rows {
            for (col, patch) in gathered.chunks_exact_mut(side * run).enumerate() {
                for (line_idx, places) in patch.chunks_exact_mut(run).enumerate() {
                    places.copy_from_slice(&map[(row * side + line_idx) * line + col * run..][..run]);
                }
            }
            let start = out.len();
            out.resize(start + cols * dense.n_out(), 0.0);
            dense.forward(&gathered, &mut out[start..]);
        }
    }
    out
}
