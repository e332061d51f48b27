//! Convolutions in single precision over maps with their channels last, each number with its bias and function.
//!
//! They are products of patches that are never written. The terms of a number are summed by slabs, and then the slabs:
//! one long sum of thousands of terms would be rounded more.

use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::fused::{blocks, empty_like, followed};
use super::heads::{of_numbers, place};
use super::{shape, side_out};
use crate::gpu::backend::arithmetic::{After, Then, Window};

/// Threads along each side of a block.
const SIDE: u32 = 16;
/// Places of maps that a thread computes, and their channels.
const PLACES: u32 = 8;
const CHANNELS: u32 = 4;
/// Terms of a slab; both slabs of a block are less than the 16 KiB that every device has.
const DEPTH: u32 = 16;
/// A line of maps above all of them, whatever is added to it.
const NOWHERE: i32 = -(1 << 30);

/// The sizes of maps before and after.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    height: u32,
    width: u32,
    n_in: u32,
    height_out: u32,
    width_out: u32,
    n_out: u32,
    n_places: u32,
    stride: u32,
    padding: u32,
}

/// A tile of places and channels for each block, which holds slabs of their patches and weights.
///
/// `N` channels are read at once. A row of a slab is followed by a gap, so that rows lie in different banks.
#[cube(launch)]
fn convolution_kernel<N: Size>(
    maps: &Array<Vector<f32, N>>,
    weight: &Array<Vector<f32, N>>,
    bias: &Array<f32>,
    others: &Array<f32>,
    output: &mut Array<f32>,
    sizes: Sizes,
    n_tiles: u32,
    #[comptime] kernel: u32,
    #[comptime] has_others: bool,
    #[comptime] then: Then,
) {
    let n_at_once = N::value().comptime();
    let n_parts = comptime!(DEPTH / n_at_once as u32);
    let place_turns = comptime!(PLACES * n_parts / SIDE);
    let channel_turns = comptime!(CHANNELS * n_parts / SIDE);
    let row_length = comptime!(n_parts + 1);
    let mut patches = SharedMemory::<Vector<f32, N>>::new(comptime!((SIDE * PLACES * row_length) as usize));
    let mut kernels = SharedMemory::<Vector<f32, N>>::new(comptime!((SIDE * CHANNELS * row_length) as usize));
    let mut totals = Array::<f32>::new(comptime!((PLACES * CHANNELS) as usize));
    let mut sums = Array::<f32>::new(comptime!((PLACES * CHANNELS) as usize));
    let mut rights = Array::<Vector<f32, N>>::new(comptime!(CHANNELS as usize));
    let mut next_patches = Array::<Vector<f32, N>>::new(comptime!(place_turns as usize));
    let mut next_kernels = Array::<Vector<f32, N>>::new(comptime!(channel_turns as usize));
    #[unroll]
    for idx in 0..comptime!(PLACES * CHANNELS) {
        totals[idx as usize] = 0.0f32;
    }
    let n_terms = comptime!(kernel * kernel) * sizes.n_in;
    let tile = CUBE_POS as u32;
    // No number of a block that has no tile is within the maps.
    let n_places = select(tile < n_tiles, sizes.n_places, 0u32);
    let tiles_across = sizes.n_out.div_ceil(comptime!(SIDE * CHANNELS));
    let first_place = tile / tiles_across * comptime!(SIDE * PLACES);
    let first_channel = tile % tiles_across * comptime!(SIDE * CHANNELS);

    // The image of each place that this thread fetches, and the first line and column of its patch.
    let mut images = Array::<u32>::new(comptime!(place_turns as usize));
    let mut tops = Array::<i32>::new(comptime!(place_turns as usize));
    let mut lefts = Array::<i32>::new(comptime!(place_turns as usize));
    #[unroll]
    for turn in 0..place_turns {
        let place = first_place + (UNIT_POS + comptime!(turn * SIDE * SIDE)) / n_parts;
        let line = place / sizes.width_out;
        let top = (line % sizes.height_out * sizes.stride) as i32 - sizes.padding as i32;
        images[turn as usize] = line / sizes.height_out;
        tops[turn as usize] = select(place < n_places, top, NOWHERE);
        lefts[turn as usize] = (place % sizes.width_out * sizes.stride) as i32 - sizes.padding as i32;
    }

    let mut first_term = 0u32;
    fetch_slabs::<N>(
        maps,
        weight,
        &mut next_patches,
        &mut next_kernels,
        &images,
        &tops,
        &lefts,
        sizes,
        first_term,
        first_channel,
        kernel,
    );
    while first_term < n_terms {
        #[unroll]
        for turn in 0..place_turns {
            let slot = UNIT_POS + comptime!(turn * SIDE * SIDE);
            patches[(slot / n_parts * row_length + slot % n_parts) as usize] = next_patches[turn as usize];
        }
        #[unroll]
        for turn in 0..channel_turns {
            let slot = UNIT_POS + comptime!(turn * SIDE * SIDE);
            kernels[(slot / n_parts * row_length + slot % n_parts) as usize] = next_kernels[turn as usize];
        }
        sync_cube();
        first_term += DEPTH;
        // The next slabs come while these are multiplied.
        if first_term < n_terms {
            fetch_slabs::<N>(
                maps,
                weight,
                &mut next_patches,
                &mut next_kernels,
                &images,
                &tops,
                &lefts,
                sizes,
                first_term,
                first_channel,
                kernel,
            );
        }
        #[unroll]
        for idx in 0..comptime!(PLACES * CHANNELS) {
            sums[idx as usize] = 0.0f32;
        }
        for part in 0..n_parts {
            #[unroll]
            for channel in 0..CHANNELS {
                let at = (UNIT_POS_X + comptime!(channel * SIDE)) * row_length + part;
                rights[channel as usize] = kernels[at as usize];
            }
            #[unroll]
            for place in 0..PLACES {
                let left = patches[((UNIT_POS_Y + comptime!(place * SIDE)) * row_length + part) as usize];
                #[unroll]
                for channel in 0..CHANNELS {
                    let right = rights[channel as usize];
                    let idx = comptime!((place * CHANNELS + channel) as usize);
                    #[unroll]
                    for term in 0..n_at_once {
                        sums[idx] += left[term] * right[term];
                    }
                }
            }
        }
        #[unroll]
        for idx in 0..comptime!(PLACES * CHANNELS) {
            totals[idx as usize] += sums[idx as usize];
        }
        sync_cube();
    }

    #[unroll]
    for place_idx in 0..PLACES {
        let place = first_place + UNIT_POS_Y + comptime!(place_idx * SIDE);
        #[unroll]
        for channel_idx in 0..CHANNELS {
            let channel = first_channel + UNIT_POS_X + comptime!(channel_idx * SIDE);
            if place < n_places && channel < sizes.n_out {
                let at = (place * sizes.n_out + channel) as usize;
                let mut value =
                    totals[comptime!((place_idx * CHANNELS + channel_idx) as usize)] + bias[channel as usize];
                if comptime!(has_others) {
                    value += others[at];
                }
                output[at] = followed(value, then);
            }
        }
    }
}

/// Fetches the numbers of the next slabs; those beyond the maps and after the last term are 0.
#[cube]
fn fetch_slabs<N: Size>(
    maps: &Array<Vector<f32, N>>,
    weight: &Array<Vector<f32, N>>,
    next_patches: &mut Array<Vector<f32, N>>,
    next_kernels: &mut Array<Vector<f32, N>>,
    images: &Array<u32>,
    tops: &Array<i32>,
    lefts: &Array<i32>,
    sizes: Sizes,
    first_term: u32,
    first_channel: u32,
    #[comptime] kernel: u32,
) {
    let n_at_once = N::value().comptime() as u32;
    let n_parts = comptime!(DEPTH / n_at_once);
    let n_terms = comptime!(kernel * kernel) * sizes.n_in;
    // The same for every turn.
    let term = first_term + UNIT_POS % n_parts * n_at_once;
    let tap = term / sizes.n_in;
    let channel_in = term % sizes.n_in;
    let down = (tap / kernel) as i32;
    let right = (tap % kernel) as i32;
    #[unroll]
    for turn in 0..comptime!(PLACES * n_parts / SIDE) {
        let line = tops[turn as usize] + down;
        let column = lefts[turn as usize] + right;
        let mut values = Vector::<f32, N>::new(0.0f32);
        let is_within = line >= 0 && line < sizes.height as i32 && column >= 0 && column < sizes.width as i32;
        if is_within && term < n_terms {
            let place = (images[turn as usize] * sizes.height + line as u32) * sizes.width + column as u32;
            values = maps[((place * sizes.n_in + channel_in) / n_at_once) as usize];
        }
        next_patches[turn as usize] = values;
    }
    #[unroll]
    for turn in 0..comptime!(CHANNELS * n_parts / SIDE) {
        let channel = first_channel + (UNIT_POS + comptime!(turn * SIDE * SIDE)) / n_parts;
        let mut values = Vector::<f32, N>::new(0.0f32);
        if channel < sizes.n_out && term < n_terms {
            values = weight[((channel * n_terms + term) / n_at_once) as usize];
        }
        next_kernels[turn as usize] = values;
    }
}

/// A function of convolutions.
///
/// # Shapes
/// `maps`: `[n, height, width, n_in]` · `weight`: `[n_out, kernel, kernel, n_in]` · of `after`: `[n_out]` and the shape
/// that is returned, `[n, height, width, n_out]`
pub(super) fn convolution<R: CubeRuntime>(
    maps: CubeTensor<R>,
    weight: CubeTensor<R>,
    window: Window,
    after: After<CubeTensor<R>>,
) -> CubeTensor<R> {
    let (maps, weight, bias) = (into_contiguous(maps), into_contiguous(weight), into_contiguous(after.bias));
    let ([n_images, height, width, n_in], [n_out, kernel, _, _]) = (shape(&maps), shape(&weight));
    let [height_out, width_out] = [height, width].map(|side| side_out(side, kernel, window));
    let output = empty_like(&maps, [n_images, height_out, width_out, n_out].into());
    let n_places = n_images * height_out * width_out;
    let n_tiles = n_places.div_ceil((SIDE * PLACES) as usize) * n_out.div_ceil((SIDE * CHANNELS) as usize);
    let at_once = [4, 2, 1].into_iter().find(|at_once| n_in % at_once == 0).unwrap_or(1);
    let has_others = after.others.is_some();
    let others = after.others.map_or_else(|| bias.clone(), into_contiguous);
    let [height, width, n_in, height_out, width_out, n_out, n_places, stride, padding] =
        [height, width, n_in, height_out, width_out, n_out, n_places, window.stride, window.padding]
            .map(|size| size as u32);
    convolution_kernel::launch::<R>(
        &output.client.clone(),
        blocks(n_tiles),
        CubeDim { x: SIDE, y: SIDE, z: 1 },
        at_once,
        maps.into_array_arg(),
        weight.into_array_arg(),
        bias.into_array_arg(),
        others.into_array_arg(),
        output.clone().into_array_arg(),
        SizesLaunch::new(height, width, n_in, height_out, width_out, n_out, n_places, stride, padding),
        n_tiles as u32,
        kernel as u32,
        has_others,
        after.then,
    );
    output
}

/// A number of a channel for each thread.
#[cube(launch)]
fn depthwise_kernel(
    maps: &Array<f32>,
    weight: &Array<f32>,
    bias: &Array<f32>,
    output: &mut Array<f32>,
    height: u32,
    width: u32,
    #[comptime] kernel: u32,
) {
    let number = place();
    if (number as usize) < output.len() {
        let n_channels = bias.len() as u32;
        let channel = number % n_channels;
        let place = number / n_channels;
        let padding = comptime!((kernel / 2) as i32);
        let top = (place / width % height) as i32 - padding;
        let left = (place % width) as i32 - padding;
        let first_line = place / (width * height) * height;
        let mut total = bias[channel as usize];
        for down in 0..kernel {
            let line = top + down as i32;
            if line >= 0 && line < height as i32 {
                // A line of the kernel is summed by itself.
                let mut sum = 0.0f32;
                #[unroll]
                for right in 0..kernel {
                    let column = left + right as i32;
                    if column >= 0 && column < width as i32 {
                        let at = ((first_line + line as u32) * width + column as u32) * n_channels + channel;
                        sum += maps[at as usize] * weight[((down * kernel + right) * n_channels + channel) as usize];
                    }
                }
                total += sum;
            }
        }
        output[number as usize] = total;
    }
}

/// Convolutions of every channel by itself, with a bias; the maps keep their size.
///
/// # Shapes
/// `maps`, returned: `[n, height, width, n_channels]` · `weight`: `[kernel, kernel, n_channels]` · `bias`:
/// `[n_channels]`
pub(super) fn depthwise<R: CubeRuntime>(
    maps: CubeTensor<R>,
    weight: CubeTensor<R>,
    bias: CubeTensor<R>,
) -> CubeTensor<R> {
    let (maps, weight, bias) = (into_contiguous(maps), into_contiguous(weight), into_contiguous(bias));
    let ([_, height, width, _], kernel) = (shape(&maps), weight.meta.shape()[0]);
    let output = empty_like(&maps, maps.meta.shape().clone());
    let (count, dim) = of_numbers(output.meta.num_elements());
    depthwise_kernel::launch::<R>(
        &output.client.clone(),
        count,
        dim,
        maps.into_array_arg(),
        weight.into_array_arg(),
        bias.into_array_arg(),
        output.clone().into_array_arg(),
        height as u32,
        width as u32,
        kernel as u32,
    );
    output
}
