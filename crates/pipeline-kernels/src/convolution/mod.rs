//! A convolution with its batch norm: one product of the maps themselves, a product of gathered rows, or Winograd.

mod stem;
mod transform;
mod winograd;

use crate::{Affine, After, Buffers, InstructionSet, PackedMatrix, Rows};
pub use stem::Stem;
use winograd::Winograd;

/// The bytes of gathered rows per product: they stay in the second-level cache.
const GATHERED_BYTES: usize = 256 << 10;
/// The least number of gathered rows per product, since each product fetches the weights.
const MIN_GATHERED_ROWS: usize = 96;

/// Height and width of maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
}

/// The operations after a convolution and its batch norm.
#[derive(Debug, Clone, Copy)]
pub struct Then {
    /// Adds the present output: the other branch of a block.
    pub adds: bool,
    /// Replaces negative values by zero.
    pub relu: bool,
}

/// A convolution with square kernel and `padding = kernel / 2`, and the batch norm after it: `scale · conv(x) + bias`.
///
/// # Shapes
/// `weight`: `[n_out, n_in, kernel, kernel]` · `scale`, `bias`: `[n_out]`
pub struct ConvWeights {
    /// Channels of the result.
    pub n_out: usize,
    /// Channels of the input.
    pub n_in: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// The step between neighbouring outputs, in input pixels.
    pub stride: usize,
    /// The kernels.
    pub weight: Vec<f32>,
    /// The factor of each output channel.
    pub scale: Vec<f64>,
    /// The bias of each output channel.
    pub bias: Vec<f32>,
}

/// `scale · conv(x) + bias` with square kernel and `padding = kernel / 2`
///
/// The scale is not folded into the weights: rounding each weight would cost accuracy, and one product per output costs
/// nothing.
pub struct Conv {
    n_in: usize,
    n_out: usize,
    kernel: usize,
    stride: usize,
    scale: Vec<f32>,
    bias: Vec<f32>,
    weight: Weight,
}

enum Weight {
    /// `[kernel · kernel · n_in, n_out]`
    Direct(PackedMatrix),
    Winograd(Winograd),
}

impl Size {
    /// The number of pixels of a map.
    #[inline]
    pub fn n_pixels(self) -> usize {
        self.height * self.width
    }
}

impl Conv {
    /// Packs the weights.
    pub fn new(weights: ConvWeights, instructions: InstructionSet) -> Self {
        let ConvWeights { n_out, n_in, kernel, stride, .. } = weights;
        let weight = if Winograd::serves(&weights) {
            Weight::Winograd(Winograd::new(&weights, instructions))
        } else {
            Weight::Direct(direct_weight(&weights, instructions))
        };
        let scale = weights.scale.iter().map(|scale| *scale as f32).collect();
        Self { n_in, n_out, kernel, stride, scale, bias: weights.bias, weight }
    }

    /// Channels of the input.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Channels of the result.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// The size of the output maps.
    pub fn size(&self, size: Size) -> Size {
        let side = |side: usize| (side + 2 * (self.kernel / 2) - self.kernel) / self.stride + 1;
        Size { height: side(size.height), width: side(size.width) }
    }

    /// Convolves maps of one size.
    ///
    /// # Shapes
    /// `maps`: `[n_images, height, width, n_in]` · `out`: `[n_images, height, width, n_out]` of [`Conv::size`]
    pub fn forward(&self, maps: &[f32], size: Size, out: &mut [f32], then: Then, buffers: &mut Buffers) {
        let affine = Affine { scale: &self.scale, bias: Some(&self.bias), relu: then.relu };
        match &self.weight {
            Weight::Winograd(winograd) => winograd.forward(maps, size, out, affine, then.adds, buffers),
            Weight::Direct(weight) => {
                let after = After { affine: Some(affine), adds: then.adds };
                if self.kernel == 1 && self.stride == 1 {
                    let rows = Rows { values: maps, stride: self.n_in, n_rows: maps.len() / self.n_in };
                    weight.multiply_and(rows, out, after);
                } else {
                    self.multiply_gathered(weight, maps, size, out, after, buffers);
                }
            }
        }
    }

    fn multiply_gathered(
        &self,
        weight: &PackedMatrix,
        maps: &[f32],
        size: Size,
        out: &mut [f32],
        after: After<'_>,
        buffers: &mut Buffers,
    ) {
        let depth = self.kernel * self.kernel * self.n_in;
        let n_rows = (GATHERED_BYTES / size_of::<f32>() / depth).max(MIN_GATHERED_ROWS);
        let mut gathered = buffers.take(n_rows * depth);
        for (run_idx, out) in out.chunks_mut(n_rows * self.n_out).enumerate() {
            let n_rows_here = out.len() / self.n_out;
            for (row_idx, row) in gathered.chunks_exact_mut(depth).take(n_rows_here).enumerate() {
                self.gather(maps, size, run_idx * n_rows + row_idx, row);
            }
            let rows = Rows { values: &gathered, stride: depth, n_rows: n_rows_here };
            weight.multiply_and(rows, out, after);
        }
        buffers.give(gathered);
    }

    /// Gathers the inputs of one output row: `[kernel, kernel, n_in]`, zero outside the image.
    fn gather(&self, maps: &[f32], size: Size, row_idx: usize, gathered: &mut [f32]) {
        let Size { height, width } = self.size(size);
        let (image, y, x) = (row_idx / (height * width), row_idx / width % height, row_idx % width);
        let padding = self.kernel / 2;
        // The part of the window inside the image, along one axis.
        let clip = |at: usize, side: usize| {
            let first = at * self.stride;
            (padding.saturating_sub(first), (side + padding - first).min(self.kernel))
        };
        let ((top, bottom), (left, right)) = (clip(y, size.height), clip(x, size.width));
        for (tap_y, line) in gathered.chunks_exact_mut(self.kernel * self.n_in).enumerate() {
            if !(top..bottom).contains(&tap_y) {
                line.fill(0.0);
                continue;
            }
            let (source_y, source_x) = (y * self.stride + tap_y - padding, x * self.stride + left - padding);
            let pixel = (image * size.height + source_y) * size.width + source_x;
            line[..left * self.n_in].fill(0.0);
            let inside = &mut line[left * self.n_in..right * self.n_in];
            inside.copy_from_slice(&maps[pixel * self.n_in..][..inside.len()]);
            line[right * self.n_in..].fill(0.0);
        }
    }
}

/// Weights for rows of `[kernel, kernel, n_in]`.
fn direct_weight(weights: &ConvWeights, instructions: InstructionSet) -> PackedMatrix {
    let ConvWeights { n_out, n_in, kernel, .. } = *weights;
    let n_taps = kernel * kernel;
    let mut packed = PackedMatrix::new(instructions);
    packed.pack(n_taps * n_in, n_out, |k, col| weights.weight[(col * n_in + k % n_in) * n_taps + k / n_in]);
    packed
}

#[cfg(test)]
mod tests;
