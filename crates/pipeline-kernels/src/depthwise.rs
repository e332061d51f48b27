//! Depthwise convolutions: every channel by a kernel of its own.

use crate::convolution::Size;
use crate::instructions::{LINE, RUN, Taps};
use crate::{Buffers, InstructionSet};

/// Channels that are computed together: a register of the widest instruction set.
const LANES: usize = LINE;

/// `depthwise conv(x) + bias` with an odd square kernel, stride 1 and `padding = kernel / 2`, channels last.
pub struct Depthwise {
    kernel: usize,
    n_channels: usize,
    instructions: InstructionSet,
    /// `[channels / LANES, kernel · kernel]`, channels filled up to whole lanes.
    weight: Vec<[f32; LANES]>,
    /// `[channels]`, filled up to whole lanes.
    bias: Vec<[f32; LANES]>,
}

impl Depthwise {
    /// Lays the weights out.
    ///
    /// # Shapes
    /// `weight`: `[n_channels, 1, kernel, kernel]` · `bias`: `[n_channels]`
    ///
    /// # Panics
    /// When the kernel is even or a slice is too short: a bug of the caller.
    pub fn new(weight: &[f32], bias: &[f32], kernel: usize, instructions: InstructionSet) -> Self {
        assert!(kernel % 2 == 1, "BUG: the kernel of a depthwise convolution is odd");
        let (n_channels, n_taps) = (bias.len(), kernel * kernel);
        let n_groups = n_channels.div_ceil(LANES);
        let lane = |group: usize, lane: usize| Some(group * LANES + lane).filter(|channel| *channel < n_channels);
        let lanes =
            |value: &dyn Fn(usize) -> f32, group: usize| std::array::from_fn(|idx| lane(group, idx).map_or(0.0, value));
        let of_group = |group: usize| (0..n_taps).map(move |tap| (group, tap));
        Self {
            kernel,
            n_channels,
            instructions,
            weight: (0..n_groups)
                .flat_map(of_group)
                .map(|(group, tap)| lanes(&|channel| weight[channel * n_taps + tap], group))
                .collect(),
            bias: (0..n_groups).map(|group| lanes(&|channel| bias[channel], group)).collect(),
        }
    }

    /// Convolves the map of one image.
    ///
    /// # Shapes
    /// `map`, `out`: `[height, width, n_channels]`
    pub fn forward(&self, map: &[f32], size: Size, out: &mut [f32], buffers: &mut Buffers) {
        let n_padded = self.padded_width(size.width) * LANES;
        let mut padded = buffers.take(size.height * n_padded);
        // The borders stay zero for all groups.
        padded.fill(0.0);
        for group in 0..self.bias.len() {
            self.pad(map, size, group, &mut padded);
            self.convolve(padded.as_chunks().0, size, group, out);
        }
        buffers.give(padded);
    }

    /// Pixels of a line between two borders of zeros, filled up to whole runs.
    fn padded_width(&self, width: usize) -> usize {
        width.next_multiple_of(RUN) + self.kernel - 1
    }

    /// The first channel of a group, and the number of its channels.
    fn channels(&self, group: usize) -> (usize, usize) {
        (group * LANES, LANES.min(self.n_channels - group * LANES))
    }

    /// Copies the channels of a group between zeros.
    fn pad(&self, map: &[f32], size: Size, group: usize, padded: &mut [f32]) {
        let (first, n_lanes) = self.channels(group);
        let line_len = self.padded_width(size.width) * LANES;
        let lines = map.chunks_exact(size.width * self.n_channels).zip(padded.chunks_exact_mut(line_len));
        for (line, padded) in lines {
            let inside = padded[self.kernel / 2 * LANES..].as_chunks_mut().0;
            for (pixel, lanes) in line.chunks_exact(self.n_channels).zip(inside) {
                copy_lanes(&pixel[first..first + n_lanes], lanes);
            }
        }
    }

    fn convolve(&self, padded: &[[f32; LANES]], size: Size, group: usize, out: &mut [f32]) {
        let (kernel, n_taps) = (self.kernel, self.kernel * self.kernel);
        let line_len = self.padded_width(size.width);
        let (first, n_lanes) = self.channels(group);
        let weight = &self.weight[group * n_taps..][..n_taps];
        for y in 0..size.height {
            // The lines of the kernel that lie on the map.
            let top = (kernel / 2).saturating_sub(y);
            let bottom = kernel.min(size.height + kernel / 2 - y);
            for first_x in (0..size.width).step_by(RUN) {
                let mut sums = [self.bias[group]; RUN];
                let taps = Taps {
                    pixels: &padded[(y + top - kernel / 2) * line_len + first_x..],
                    line_len,
                    weight: &weight[top * kernel..bottom * kernel],
                    kernel,
                };
                self.instructions.add_taps(&mut sums, &taps);
                for (x, sum) in (first_x..size.width).zip(&sums) {
                    let pixel = &mut out[(y * size.width + x) * self.n_channels + first..][..n_lanes];
                    match pixel.first_chunk_mut() {
                        Some(pixel) => *pixel = *sum,
                        None => pixel.copy_from_slice(&sum[..n_lanes]),
                    }
                }
            }
        }
    }
}

/// Copies channels; whole lanes in one move.
#[inline(always)]
fn copy_lanes(channels: &[f32], lanes: &mut [f32; LANES]) {
    match channels.first_chunk() {
        Some(whole) => *lanes = *whole,
        None => lanes[..channels.len()].copy_from_slice(channels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// The convolution by its definition.
    fn plainly(map: &[f32], size: Size, weight: &[f32], bias: &[f32], kernel: usize) -> Vec<f64> {
        let n_channels = bias.len();
        let mut out = Vec::new();
        let at = |y: usize, tap: usize, side: usize| (y + tap).checked_sub(kernel / 2).filter(|place| *place < side);
        for (y, x) in (0..size.height).flat_map(|y| (0..size.width).map(move |x| (y, x))) {
            for channel in 0..n_channels {
                let mut sum = f64::from(bias[channel]);
                for (tap_y, tap_x) in (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))) {
                    if let (Some(y), Some(x)) = (at(y, tap_y, size.height), at(x, tap_x, size.width)) {
                        let value = map[(y * size.width + x) * n_channels + channel];
                        let weight = weight[channel * kernel * kernel + tap_y * kernel + tap_x];
                        sum += f64::from(value) * f64::from(weight);
                    }
                }
                out.push(sum);
            }
        }
        out
    }

    fn noise(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|idx| ((idx * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn every_size_and_number_of_channels_is_convolved_alike_by_every_instruction_set() {
        for (height, width, n_channels, kernel) in [(1, 1, 1, 7), (7, 5, 12, 7), (9, 17, 40, 7), (4, 8, 16, 3)] {
            let size = Size { height, width };
            let map = noise(size.n_pixels() * n_channels, 1);
            let (weight, bias) = (noise(n_channels * kernel * kernel, 2), noise(n_channels, 3));
            let expected = plainly(&map, size, &weight, &bias, kernel);
            let compute = |instructions| {
                let mut out = vec![0.0; map.len()];
                let depthwise = Depthwise::new(&weight, &bias, kernel, instructions);
                depthwise.forward(&map, size, &mut out, &mut Buffers::default());
                for (found, expected) in out.iter().zip(&expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} instead of {expected}");
                }
                out
            };
            fixtures::assert_same_bits(&format!("{height}×{width}×{n_channels}"), compute);
        }
    }
}
