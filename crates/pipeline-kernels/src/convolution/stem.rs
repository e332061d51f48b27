//! The first layers of a ResNet: 7×7 with stride 2, ReLU, and the maximum over 3×3 with stride 2, line by line.

use super::{ConvWeights, Size, direct_weight};
use crate::{Affine, After, Buffers, InstructionSet, PackedMatrix, Rows};

const KERNEL: usize = 7;
const PADDING: usize = KERNEL / 2;
const N_IN: usize = 3;
/// The numbers in one row of a kernel, and in each copy of it. Copies are whole vectors; the next row overwrites the
/// rest.
const LINE_LEN: usize = KERNEL * N_IN;
const COPIED: usize = 24;
const DEPTH: usize = KERNEL * LINE_LEN;

/// `max_pool(relu(scale · conv(x) + bias))`
pub struct Stem {
    instructions: InstructionSet,
    n_out: usize,
    weight: PackedMatrix,
    scale: Vec<f32>,
    bias: Vec<f32>,
}

/// An image with a border of zeros.
///
/// # Shapes
/// `values`: `[height + 6, width + 6, 3]`, and room for reading beyond the last number
struct Padded<'a> {
    values: &'a mut [f32],
    stride: usize,
}

impl Stem {
    /// Packs the weights.
    pub fn new(weights: ConvWeights, instructions: InstructionSet) -> Self {
        let weight = direct_weight(&weights, instructions);
        let scale = weights.scale.iter().map(|scale| *scale as f32).collect();
        Self { instructions, n_out: weights.n_out, weight, scale, bias: weights.bias }
    }

    /// Channels of the result.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// The size of the output maps.
    pub fn size(&self, size: Size) -> Size {
        halved(halved(size))
    }

    /// The maps of one image.
    ///
    /// # Shapes
    /// `image`: `[height, width, 3]` · `out`: `[height, width, n_out]` of [`Stem::size`]
    pub fn forward(&self, image: &[f32], size: Size, out: &mut [f32], buffers: &mut Buffers) {
        let inner = halved(size);
        let line_len = inner.width * self.n_out;
        let mut padded_values = buffers.take(Padded::len(size));
        let padded = Padded::new(image, size, &mut padded_values);
        let mut gathered = buffers.take(2 * inner.width * DEPTH + COPIED);
        // The last line of the previous step, and the two lines of this one.
        let mut lines = buffers.take(3 * line_len);
        let affine = Affine { scale: &self.scale, bias: Some(&self.bias), relu: true };
        for (y, out) in out.chunks_exact_mut(inner.width.div_ceil(2) * self.n_out).enumerate() {
            let n_lines = (inner.height - 2 * y).min(2);
            for line_idx in 0..n_lines {
                let gathered = &mut gathered[line_idx * inner.width * DEPTH..][..inner.width * DEPTH + COPIED];
                padded.gather(2 * y + line_idx, inner.width, gathered);
            }
            let rows = Rows { values: &gathered, stride: DEPTH, n_rows: n_lines * inner.width };
            self.weight.multiply_and(rows, &mut lines[line_len..], After { affine: Some(affine), adds: false });
            let first = if y == 0 { line_len } else { 0 };
            let lines_here = &lines[first..(1 + n_lines) * line_len];
            self.instructions.run(
                #[inline(always)]
                || max_pool_line(lines_here, inner.width, self.n_out, out),
            );
            lines.copy_within(2 * line_len.., 0);
        }
        [padded_values, gathered, lines].into_iter().for_each(|buffer| buffers.give(buffer));
    }
}

fn halved(size: Size) -> Size {
    Size { height: size.height.div_ceil(2), width: size.width.div_ceil(2) }
}

impl<'a> Padded<'a> {
    fn len(size: Size) -> usize {
        (size.height + 2 * PADDING) * (size.width + 2 * PADDING) * N_IN + COPIED
    }

    fn new(image: &[f32], size: Size, values: &'a mut [f32]) -> Self {
        let stride = (size.width + 2 * PADDING) * N_IN;
        values.fill(0.0);
        let lines = values[PADDING * stride..].chunks_exact_mut(stride);
        for (line, image_line) in lines.zip(image.chunks_exact(size.width * N_IN)) {
            line[PADDING * N_IN..][..image_line.len()].copy_from_slice(image_line);
        }
        Self { values, stride }
    }

    /// Gathers the inputs of one output line.
    ///
    /// # Shapes
    /// `gathered`: `[width, 7, 7, 3]`, and [`COPIED`] more
    fn gather(&self, y: usize, width: usize, gathered: &mut [f32]) {
        for x in 0..width {
            for tap_y in 0..KERNEL {
                let source = &self.values[(2 * y + tap_y) * self.stride + 2 * x * N_IN..];
                let place = &mut gathered[x * DEPTH + tap_y * LINE_LEN..];
                if let (Some(source), Some(place)) = (source.first_chunk::<COPIED>(), place.first_chunk_mut()) {
                    *place = *source;
                }
            }
        }
    }
}

/// The maximum over two or three lines and over three pixels each, at every other pixel; edges have no padding.
///
/// # Shapes
/// `lines`: `[n_lines, width, n_channels]` · `out`: `[width / 2, rounded up, n_channels]`
#[inline(always)]
fn max_pool_line(lines: &[f32], width: usize, n_channels: usize, out: &mut [f32]) {
    for (x, largest) in out.chunks_exact_mut(n_channels).enumerate() {
        largest.fill(f32::NEG_INFINITY);
        let pixels = (2 * x).saturating_sub(1)..(2 * x + 2).min(width);
        for line in lines.chunks_exact(width * n_channels) {
            let line = &line[pixels.start * n_channels..pixels.end * n_channels];
            for pixel in line.chunks_exact(n_channels) {
                for (largest, value) in largest.iter_mut().zip(pixel) {
                    // Keeps NaN.
                    *largest = if *value <= *largest { *largest } else { *value };
                }
            }
        }
    }
}
