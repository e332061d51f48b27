//! The forward pass of a ResNet on the processor: channels last, every convolution one matrix product.
//!
//! burn's convolutions lay weights and maps out anew at every call, which costs more than the arithmetic. Here weights are
//! laid out once, a 1×1 convolution is a product of the maps as they are, and any other of tiles that are gathered from
//! them; bias, shortcut and ReLU follow while a tile is still in the cache. An image's features depend on no other image.

use super::weights::{BlockWeights, ConvWeights, ResNetWeights};
use crate::device::{multiply, steady_rows};

/// Rows of a tile: with 3×3 kernels of 64 channels half a megabyte, so that a tile stays in the second-level cache.
const TILE_ROWS: usize = 256;

/// Images that pass a stage together, stage by stage: maps shrink, and products of few rows are slow.
const STAGE_IMAGES: [usize; 4] = [1, 2, 4, 8];

/// A ResNet with weights laid out for [`CpuResNet::forward`].
pub(super) struct CpuResNet {
    stem: Conv,
    stages: Vec<Vec<Block>>,
}

struct Block {
    convs: Vec<Conv>,
    shortcut: Option<Conv>,
}

/// # Shapes
/// `weight`: `[kernel · kernel · n_in, n_out]` · `scale`, `bias`: `[n_out]`
struct Conv {
    n_in: usize,
    n_out: usize,
    kernel: usize,
    stride: usize,
    /// Products have so many rows at least: with fewer, features would depend on how many images are computed together.
    min_rows: usize,
    weight: Vec<f32>,
    /// Not folded into the weights: rounding each of them costs accuracy, a product per output costs nothing.
    scale: Vec<f32>,
    bias: Vec<f32>,
}

/// The maps of some images.
///
/// # Shapes
/// `values`: `[n_images, height, width, n_channels]`
struct Maps {
    height: usize,
    width: usize,
    n_channels: usize,
    values: Vec<f32>,
}

/// What follows a product.
struct Epilogue<'a> {
    scale: &'a [f32],
    bias: &'a [f32],
    /// Added, if there is one.
    shortcut: Option<&'a [f32]>,
    relu: bool,
}

impl CpuResNet {
    /// Lays the weights out.
    pub(super) fn new(weights: ResNetWeights) -> Self {
        let mut stages: Vec<Vec<Block>> = Vec::new();
        for block in weights.blocks {
            let shrinks = block.convs.iter().any(|conv| conv.stride > 1);
            if shrinks || stages.is_empty() {
                stages.push(Vec::new());
            }
            let stage_idx = stages.len() - 1;
            stages[stage_idx].push(Block::new(block, stage_images(stage_idx)));
        }
        Self { stem: Conv::new(weights.stem, 1), stages }
    }

    /// The features of normalised images of one size.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, height, width, 3]` · returns `[n_images, n_features]`
    pub(super) fn forward(&self, pixels: Vec<f32>, height: usize, width: usize) -> Vec<f32> {
        let images = Maps { height, width, n_channels: 3, values: pixels };
        let mut maps = images.in_chunks(1, |image| self.stem.forward(&image, None, true).max_pool());
        for (stage_idx, stage) in self.stages.iter().enumerate() {
            maps = maps
                .in_chunks(stage_images(stage_idx), |maps| stage.iter().fold(maps, |maps, block| block.forward(maps)));
        }
        maps.mean()
    }
}

/// How many images pass a stage together.
fn stage_images(stage_idx: usize) -> usize {
    STAGE_IMAGES[stage_idx.min(STAGE_IMAGES.len() - 1)]
}

impl Block {
    fn new(weights: BlockWeights, n_images: usize) -> Self {
        let conv = |weights| Conv::new(weights, n_images);
        Self { convs: weights.convs.into_iter().map(conv).collect(), shortcut: weights.shortcut.map(conv) }
    }

    fn forward(&self, maps: Maps) -> Maps {
        let (last, others) = self.convs.split_last().expect("a block has two or three convolutions");
        let (first, middle) = others.split_first().expect("a block has two or three convolutions");
        let inner =
            middle.iter().fold(first.forward(&maps, None, true), |inner, conv| conv.forward(&inner, None, true));
        let shortcut = self.shortcut.as_ref().map(|conv| conv.forward(&maps, None, false));
        last.forward(&inner, Some(&shortcut.as_ref().unwrap_or(&maps).values), true)
    }
}

impl Conv {
    /// Lays the weights out for up to `n_images` images at a time.
    fn new(weights: ConvWeights, n_images: usize) -> Self {
        let ConvWeights { n_out, n_in, kernel, stride, weight, scale, bias } = weights;
        let n_taps = kernel * kernel;
        let mut laid_out = vec![0.0; weight.len()];
        for (out, kernels) in weight.chunks_exact(n_in * n_taps).enumerate() {
            for (idx, value) in kernels.iter().enumerate() {
                let (channel, tap) = (idx / n_taps, idx % n_taps);
                laid_out[(tap * n_in + channel) * n_out + out] = *value;
            }
        }
        let scale = scale.iter().map(|scale| *scale as f32).collect();
        let min_rows = if n_images == 1 { 1 } else { steady_rows(n_taps * n_in, n_out) };
        Self { n_in, n_out, kernel, stride, min_rows, weight: laid_out, scale, bias }
    }

    /// The convolution with `padding = kernel / 2`, then the shortcut and ReLU.
    fn forward(&self, maps: &Maps, shortcut: Option<&[f32]>, relu: bool) -> Maps {
        let side = |old: usize| (old + 2 * (self.kernel / 2) - self.kernel) / self.stride + 1;
        let (height, width) = (side(maps.height), side(maps.width));
        let n_rows = maps.n_images() * height * width;
        let depth = self.kernel * self.kernel * self.n_in;
        let mut values = vec![0.0; n_rows * self.n_out];
        let is_plain = self.kernel == 1 && self.stride == 1;
        let mut gathered = if is_plain { Vec::new() } else { Vec::with_capacity(TILE_ROWS * depth) };
        for first_row in (0..n_rows).step_by(TILE_ROWS) {
            let tile_rows = TILE_ROWS.min(n_rows - first_row);
            let tile: &[f32] = if is_plain {
                &maps.values[first_row * depth..][..tile_rows * depth]
            } else {
                gathered.clear();
                let rows = first_row..first_row + tile_rows;
                rows.for_each(|row| self.gather(maps, row, [height, width], &mut gathered));
                &gathered
            };
            let place = first_row * self.n_out..(first_row + tile_rows) * self.n_out;
            let out = &mut values[place.clone()];
            self.multiply(tile, out, tile_rows, depth);
            let shortcut = shortcut.map(|shortcut| &shortcut[place]);
            Epilogue { scale: &self.scale, bias: &self.bias, shortcut, relu }.apply(out);
        }
        Maps { height, width, n_channels: self.n_out, values }
    }

    /// One tile's product.
    fn multiply(&self, tile: &[f32], out: &mut [f32], n_rows: usize, depth: usize) {
        if n_rows >= self.min_rows {
            return multiply(tile, &self.weight, out, n_rows, depth, self.n_out);
        }
        let mut padded = vec![0.0; self.min_rows * depth];
        padded[..tile.len()].copy_from_slice(tile);
        let mut padded_out = vec![0.0; self.min_rows * self.n_out];
        multiply(&padded, &self.weight, &mut padded_out, self.min_rows, depth, self.n_out);
        out.copy_from_slice(&padded_out[..out.len()]);
    }

    /// Appends what one row of the output is made of: `[kernel, kernel, n_in]`, zero outside the image.
    fn gather(&self, maps: &Maps, row: usize, [height, width]: [usize; 2], gathered: &mut Vec<f32>) {
        let (image, y, x) = (row / (height * width), row / width % height, row % width);
        let start = image * maps.height * maps.width;
        let padding = self.kernel / 2;
        // Where the window begins and ends along an axis, inside the image.
        let clip = |at: usize, size: usize| {
            let first = at * self.stride;
            (padding.saturating_sub(first), (size + padding - first).min(self.kernel))
        };
        let ((top, bottom), (left, right)) = (clip(y, maps.height), clip(x, maps.width));
        let zeros = |gathered: &mut Vec<f32>, n_pixels: usize| {
            gathered.resize(gathered.len() + n_pixels * self.n_in, 0.0);
        };
        zeros(gathered, top * self.kernel);
        for tap_y in top..bottom {
            zeros(gathered, left);
            let (source_y, source_x) = (y * self.stride + tap_y - padding, x * self.stride + left - padding);
            let pixel = start + source_y * maps.width + source_x;
            gathered.extend_from_slice(&maps.values[pixel * self.n_in..][..(right - left) * self.n_in]);
            zeros(gathered, self.kernel - right);
        }
        zeros(gathered, (self.kernel - bottom) * self.kernel);
    }
}

impl Epilogue<'_> {
    fn apply(&self, out: &mut [f32]) {
        let n_out = self.bias.len();
        // Not `max`, which would turn a value that is not a number into 0 and so hide it.
        let rectify = |value: f32| if self.relu && value < 0.0 { 0.0 } else { value };
        let scale_and_bias = || self.scale.iter().zip(self.bias);
        for (row_idx, row) in out.chunks_exact_mut(n_out).enumerate() {
            match self.shortcut {
                Some(shortcut) => {
                    let shortcut = &shortcut[row_idx * n_out..][..n_out];
                    for ((value, (scale, bias)), shortcut) in row.iter_mut().zip(scale_and_bias()).zip(shortcut) {
                        *value = rectify(*value * scale + bias + shortcut);
                    }
                }
                None => {
                    for (value, (scale, bias)) in row.iter_mut().zip(scale_and_bias()) {
                        *value = rectify(*value * scale + bias);
                    }
                }
            }
        }
    }
}

impl Maps {
    fn n_images(&self) -> usize {
        self.values.len() / (self.height * self.width * self.n_channels)
    }

    /// Applies `work` to `n_images` images at a time.
    fn in_chunks(self, n_images: usize, work: impl Fn(Self) -> Self) -> Self {
        let chunk_len = n_images * self.height * self.width * self.n_channels;
        let mut results = self.values.chunks(chunk_len).map(|values| work(Self { values: values.to_vec(), ..self }));
        let mut all = results.next().expect("there is an image");
        results.for_each(|result| all.values.extend_from_slice(&result.values));
        all
    }

    /// The maximum over 3×3, stride 2, nothing beyond the edges.
    fn max_pool(self) -> Self {
        let (height, width) = (self.height.div_ceil(2), self.width.div_ceil(2));
        let mut values = Vec::with_capacity(self.n_images() * height * width * self.n_channels);
        let image_len = self.height * self.width * self.n_channels;
        for image in self.values.chunks_exact(image_len) {
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let start = values.len();
                values.resize(start + self.n_channels, f32::NEG_INFINITY);
                let largest = &mut values[start..];
                for source_y in (2 * y).saturating_sub(1)..(2 * y + 2).min(self.height) {
                    for source_x in (2 * x).saturating_sub(1)..(2 * x + 2).min(self.width) {
                        let pixel = (source_y * self.width + source_x) * self.n_channels;
                        for (largest, value) in largest.iter_mut().zip(&image[pixel..][..self.n_channels]) {
                            // So that a value that is not a number stays one.
                            *largest = if *value <= *largest { *largest } else { *value };
                        }
                    }
                }
            }
        }
        Self { height, width, n_channels: self.n_channels, values }
    }

    /// The mean over height and width: `[n_images, n_channels]`.
    fn mean(&self) -> Vec<f32> {
        let n_pixels = self.height * self.width;
        let mut means = Vec::with_capacity(self.n_images() * self.n_channels);
        for image in self.values.chunks_exact(n_pixels * self.n_channels) {
            let mut sums = vec![0.0; self.n_channels];
            for pixel in image.chunks_exact(self.n_channels) {
                sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += f64::from(*value));
            }
            means.extend(sums.iter().map(|sum| (sum / n_pixels as f64) as f32));
        }
        means
    }
}
