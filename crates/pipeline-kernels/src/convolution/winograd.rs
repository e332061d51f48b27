//! 3×3 convolutions with stride 1 by Winograd's F(4×4, 3×3): a quarter of the products.
//!
//! Tiles of 6×6 inputs become 36 matrices, each matrix is multiplied by its own weights, and the products become tiles
//! of 4×4 outputs. Tiles are computed in runs that stay in the caches.

use super::transform::{Lanes, N_INPUTS, N_OUTPUTS, inputs, kernel_at, outputs};
use super::{ConvWeights, Size};
use crate::{Affine, Buffers, InstructionSet, PackedMatrix, Rows};

/// Products of a tile, each with its own weights.
const N_TAPS: usize = N_INPUTS * N_INPUTS;
/// Channels that are transformed together.
const LANES: usize = 8;
/// The extra stride between planes, so that the numbers of a tile do not share cache sets and evict each other.
const GAP: usize = 16;

/// The number of kernels of the largest layer that uses Winograd.
///
/// Transformed weights are four times as large. Larger layers have so few tiles that fetching the weights costs what is
/// saved. The last stage of a ResNet-50 would need 56 MB more.
const MAX_KERNELS: usize = 256 * 256;
/// The size of a run of tiles, inputs and products, in bytes: it fits into the caches beside the weights.
const RUN_BYTES: usize = 768 << 10;
/// The least number of tiles in a run, since each run fetches the weights.
const MIN_TILES: usize = 48;

/// A 3×3 convolution with transformed weights.
///
/// # Shapes
/// `weight`: `[n_in, 36, n_out]`, the outputs padded to whole panels
pub(super) struct Winograd {
    instructions: InstructionSet,
    n_in: usize,
    n_out: usize,
    width: usize,
    weight: PackedMatrix,
}

/// The position of a tile.
#[derive(Clone, Copy)]
struct Place {
    image_idx: usize,
    /// The row of its first output.
    y: usize,
    x: usize,
}

impl Winograd {
    /// Whether this method suits a convolution.
    pub(super) fn serves(weights: &ConvWeights) -> bool {
        weights.kernel == 3
            && weights.stride == 1
            && weights.n_in.is_multiple_of(LANES)
            && weights.n_out.is_multiple_of(LANES)
            && weights.n_in * weights.n_out <= MAX_KERNELS
    }

    /// Transforms and packs the weights.
    pub(super) fn new(weights: &ConvWeights, instructions: InstructionSet) -> Self {
        let ConvWeights { n_in, n_out, .. } = *weights;
        let width = n_out.next_multiple_of(instructions.tile_cols());
        let mut weight = PackedMatrix::new(instructions);
        weight.pack(n_in, N_TAPS * width, |k, col| {
            let (tap, out) = (col / width, col % width);
            if out < n_out { kernel_at(&weights.weight[(out * n_in + k) * 9..][..9], tap) } else { 0.0 }
        });
        Self { instructions, n_in, n_out, width, weight }
    }

    /// # Shapes
    /// `maps`: `[n_images, height, width, n_in]` · `out`: `[n_images, height, width, n_out]`
    pub(super) fn forward(
        &self,
        maps: &[f32],
        size: Size,
        out: &mut [f32],
        affine: Affine<'_>,
        adds: bool,
        buffers: &mut Buffers,
    ) {
        let n_images = maps.len() / (size.n_pixels() * self.n_in);
        let n_tiles = n_images * size.height.div_ceil(N_OUTPUTS) * size.width.div_ceil(N_OUTPUTS);
        let n_together = self.tiles_together(n_tiles);
        let (plane_in, plane_out) = (n_together * self.n_in + GAP, n_together * self.width + GAP);
        let (mut transformed, mut products) = (buffers.take(N_TAPS * plane_in), buffers.take(N_TAPS * plane_out));
        let zeros = vec![0.0; self.n_in];
        for first_tile in (0..n_tiles).step_by(n_together) {
            let places = (first_tile..n_tiles.min(first_tile + n_together)).map(|tile_idx| Place::new(tile_idx, size));
            let n_rows = places.len();
            self.instructions.run(
                #[inline(always)]
                || {
                    for (row_idx, place) in places.clone().enumerate() {
                        let image = &maps[place.image_idx * size.n_pixels() * self.n_in..];
                        let transformed = &mut transformed[row_idx * self.n_in..];
                        transform_inputs(image, size, place, &zeros, transformed, plane_in);
                    }
                },
            );
            for tap in 0..N_TAPS {
                let rows = Rows { values: &transformed[tap * plane_in..], stride: self.n_in, n_rows };
                self.weight.multiply_part(rows, tap, N_TAPS, &mut products[tap * plane_out..]);
            }
            self.instructions.run(
                #[inline(always)]
                || {
                    for (row_idx, place) in places.enumerate() {
                        let image = &mut out[place.image_idx * size.n_pixels() * self.n_out..];
                        let products = &products[row_idx * self.width..];
                        transform_outputs(products, plane_out, size, place, affine, adds, image);
                    }
                },
            );
        }
        buffers.give(transformed);
        buffers.give(products);
    }

    /// The number of tiles in a run.
    fn tiles_together(&self, n_tiles: usize) -> usize {
        let bytes = N_TAPS * (self.n_in + self.width) * size_of::<f32>();
        let wanted = (RUN_BYTES / bytes).max(MIN_TILES);
        let n_runs = n_tiles.div_ceil(wanted);
        n_tiles.div_ceil(n_runs).next_multiple_of(self.instructions.tile_rows())
    }
}

impl Place {
    fn new(tile_idx: usize, size: Size) -> Self {
        let (n_down, n_across) = (size.height.div_ceil(N_OUTPUTS), size.width.div_ceil(N_OUTPUTS));
        let (y, x) = (tile_idx / n_across % n_down * N_OUTPUTS, tile_idx % n_across * N_OUTPUTS);
        Self { image_idx: tile_idx / (n_across * n_down), y, x }
    }
}

/// `Bᵀ · d · B` of a tile, zero outside the image.
///
/// # Shapes
/// `image`: `[height, width, n_in]` · `transformed`: `[36, n_in]`, rows `plane` apart
#[inline(always)]
fn transform_inputs(image: &[f32], size: Size, place: Place, zeros: &[f32], transformed: &mut [f32], plane: usize) {
    let n_in = zeros.len();
    let mut pixels = [[zeros; N_INPUTS]; N_INPUTS];
    for (dy, line) in pixels.iter_mut().enumerate().filter(|(dy, _)| (1..=size.height).contains(&(place.y + dy))) {
        for (dx, pixel) in line.iter_mut().enumerate().filter(|(dx, _)| (1..=size.width).contains(&(place.x + dx))) {
            let pixel_idx = (place.y + dy - 1) * size.width + place.x + dx - 1;
            *pixel = &image[pixel_idx * n_in..][..n_in];
        }
    }
    for channel in (0..n_in).step_by(LANES) {
        let mut half = [[Lanes([0.0; LANES]); N_INPUTS]; N_INPUTS];
        for dx in 0..N_INPUTS {
            let column: [Lanes<LANES>; N_INPUTS] = [
                Lanes::read(pixels[0][dx], channel),
                Lanes::read(pixels[1][dx], channel),
                Lanes::read(pixels[2][dx], channel),
                Lanes::read(pixels[3][dx], channel),
                Lanes::read(pixels[4][dx], channel),
                Lanes::read(pixels[5][dx], channel),
            ];
            for (line, value) in half.iter_mut().zip(inputs(column)) {
                line[dx] = value;
            }
        }
        for (dy, line) in half.iter().enumerate() {
            for (dx, value) in inputs(*line).iter().enumerate() {
                value.write(transformed, (dy * N_INPUTS + dx) * plane + channel);
            }
        }
    }
}

/// `Aᵀ · m · A` of a tile, then batch norm and the operations after it; skips outputs outside the image.
///
/// # Shapes
/// `products`: `[36, n_out]`, rows `plane` apart · `image`: `[height, width, n_out]`
#[inline(always)]
fn transform_outputs(
    products: &[f32],
    plane: usize,
    size: Size,
    place: Place,
    affine: Affine<'_>,
    adds: bool,
    image: &mut [f32],
) {
    let n_out = affine.scale.len();
    let (n_down, n_across) = (N_OUTPUTS.min(size.height - place.y), N_OUTPUTS.min(size.width - place.x));
    for channel in (0..n_out).step_by(LANES) {
        let mut half = [[Lanes([0.0; LANES]); N_INPUTS]; N_OUTPUTS];
        for dx in 0..N_INPUTS {
            let mut column = [Lanes([0.0; LANES]); N_INPUTS];
            for (dy, value) in column.iter_mut().enumerate() {
                *value = Lanes::read(products, (dy * N_INPUTS + dx) * plane + channel);
            }
            for (line, value) in half.iter_mut().zip(outputs(column)) {
                line[dx] = value;
            }
        }
        let scale = Lanes::<LANES>::read(affine.scale, channel);
        let bias = affine.bias.map_or(Lanes([0.0; LANES]), |bias| Lanes::read(bias, channel));
        for (dy, line) in half.iter().enumerate().take(n_down) {
            for (dx, value) in outputs(*line).into_iter().enumerate().take(n_across) {
                let at = ((place.y + dy) * size.width + place.x + dx) * n_out + channel;
                let shortcut = if adds { Lanes::read(image, at) } else { Lanes([0.0; LANES]) };
                let sum = value * scale + bias + shortcut;
                (if affine.relu { sum.relu() } else { sum }).write(image, at);
            }
        }
    }
}
