//! Kernels of our own: several of the framework's in one, over contiguous arrays, each number by the same steps in any
//! batch.
//!
//! Where numbers of a row are summed, the 32 threads of a plane share the row, and lane after lane takes every 32nd
//! number.

use burn::tensor::{DType, Shape};

use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::gpu::backend::arithmetic::Then;

/// Threads of a plane; all of NVIDIA's cards have as many.
pub(super) const LANES: u32 = 32;
/// Rows that a block of threads works on, a plane each.
pub(super) const ROWS_PER_CUBE: u32 = 8;
/// Threads of a block where each has a number of its own.
const UNITS_PER_CUBE: u32 = 256;

/// Whether the device of a tensor takes these kernels: its planes have 32 threads, and it knows bytes.
pub(super) fn are_known<R: CubeRuntime>(tensor: &CubeTensor<R>) -> bool {
    let properties = tensor.client.properties();
    let planes = [properties.hardware.plane_size_min, properties.hardware.plane_size_max];
    planes == [LANES; 2] && properties.supports_type(u8::as_type_native_unchecked().storage_type())
}

/// A tensor of the shape and the place of another, without numbers yet.
pub(super) fn empty_like<R: CubeRuntime>(tensor: &CubeTensor<R>, shape: Shape) -> CubeTensor<R> {
    empty_of(tensor, shape, DType::F32)
}

/// The same of another type.
pub(super) fn empty_of<R: CubeRuntime>(tensor: &CubeTensor<R>, shape: Shape, dtype: DType) -> CubeTensor<R> {
    empty_device_contiguous_dtype(tensor.client.clone(), tensor.device.clone(), shape, dtype)
}

/// A grid of at least so many blocks. In Vulkan it has up to 2¹⁶ - 1 of them in an axis.
pub(super) fn blocks(n: usize) -> CubeCount {
    const MOST: usize = (1 << 16) - 1;
    let across = n.min(MOST);
    CubeCount::Static(across as u32, n.div_ceil(across.max(1)) as u32, 1)
}

/// Blocks in which each of `n` numbers has a thread.
pub(super) fn of_numbers(n: usize) -> (CubeCount, CubeDim) {
    (blocks(n.div_ceil(UNITS_PER_CUBE as usize)), CubeDim { x: UNITS_PER_CUBE, y: 1, z: 1 })
}

/// Blocks in which each of `n_rows` rows has a plane.
pub(super) fn of_rows(n_rows: usize) -> (CubeCount, CubeDim) {
    (blocks(n_rows.div_ceil(ROWS_PER_CUBE as usize)), CubeDim { x: LANES, y: ROWS_PER_CUBE, z: 1 })
}

#[cube(launch)]
fn numbers_kernel(levels: &Array<u8>, numbers: &Array<f32>, output: &mut Array<f32>) {
    if ABSOLUTE_POS < output.len() {
        let level = usize::cast_from(levels[ABSOLUTE_POS]);
        output[ABSOLUTE_POS] = numbers[ABSOLUTE_POS % 3 * 256 + level];
    }
}

/// The numbers of levels, of three channels in turn, in a shape.
pub(super) fn numbers_of_levels<R: CubeRuntime>(
    levels: CubeTensor<R>,
    numbers: CubeTensor<R>,
    shape: Shape,
) -> CubeTensor<R> {
    let (levels, numbers) = (into_contiguous(levels), into_contiguous(numbers));
    let output = empty_like(&levels, shape);
    let (count, dim) = of_numbers(output.meta.num_elements());
    let (client, output_argument) = (output.client.clone(), output.clone().into_array_arg());
    numbers_kernel::launch::<R>(
        &client,
        count,
        dim,
        levels.into_array_arg(),
        numbers.into_array_arg(),
        output_argument,
    );
    output
}

#[cube(launch)]
fn biased_kernel(
    sums: &Array<f32>,
    bias: &Array<f32>,
    others: &Array<f32>,
    output: &mut Array<f32>,
    #[comptime] has_others: bool,
    #[comptime] then: Then,
) {
    if ABSOLUTE_POS < output.len() {
        let mut value = sums[ABSOLUTE_POS] + bias[ABSOLUTE_POS % bias.len()];
        if comptime!(has_others) {
            value += others[ABSOLUTE_POS];
        }
        output[ABSOLUTE_POS] = followed(value, then);
    }
}

/// A function of a number.
#[cube]
pub(super) fn followed(value: f32, #[comptime] then: Then) -> f32 {
    let mut value = value;
    if comptime!(then == Then::Relu) {
        // Not `max`, which would hide a number that is none.
        value = select(value < 0.0f32, 0.0f32, value);
    }
    if comptime!(then == Then::Gelu) {
        value = value * (Erf::erf(value * 0.707_106_77f32) + 1.0f32) * 0.5f32;
    }
    if comptime!(then == Then::GeluTanh) {
        let inner = (value + value * value * value * 0.044_715f32) * 0.797_884_6f32;
        value = value * (f32::tanh(inner) + 1.0f32) * 0.5f32;
    }
    if comptime!(then == Then::QuickGelu) {
        value = value / (1.0f32 + f32::exp(value * -1.702f32));
    }
    value
}

/// Sums with a bias over the last axis, and others if there are any, and a function of them.
pub(super) fn biased<R: CubeRuntime>(
    sums: CubeTensor<R>,
    bias: CubeTensor<R>,
    others: Option<CubeTensor<R>>,
    then: Then,
) -> CubeTensor<R> {
    let (sums, bias, has_others) = (into_contiguous(sums), into_contiguous(bias), others.is_some());
    let others = others.map_or_else(|| bias.clone(), into_contiguous);
    let output = empty_like(&sums, sums.meta.shape().clone());
    let (count, dim) = of_numbers(output.meta.num_elements());
    let (client, output_argument) = (output.client.clone(), output.clone().into_array_arg());
    biased_kernel::launch::<R>(
        &client,
        count,
        dim,
        sums.into_array_arg(),
        bias.into_array_arg(),
        others.into_array_arg(),
        output_argument,
        has_others,
        then,
    );
    output
}

#[cube(launch)]
fn norm_kernel(rows: &Array<f32>, scale: &Array<f32>, shift: &Array<f32>, output: &mut Array<f32>, epsilon: f32) {
    let width = scale.len();
    let row = CUBE_POS * ROWS_PER_CUBE as usize + UNIT_POS_Y as usize;
    if row * width < output.len() {
        let start = row * width;
        let mut sum = 0.0f32;
        let mut place = UNIT_POS_X as usize;
        while place < width {
            sum += rows[start + place];
            place += LANES as usize;
        }
        let mean = plane_sum(sum) / f32::cast_from(width);
        let deviation = deviation(rows, start, width, mean, epsilon);
        let mut place = UNIT_POS_X as usize;
        while place < width {
            output[start + place] = (rows[start + place] - mean) / deviation * scale[place] + shift[place];
            place += LANES as usize;
        }
    }
}

/// The standard deviation of a row, whose numbers the threads of a plane have read or written as here.
#[cube]
pub(super) fn deviation(rows: &Array<f32>, start: usize, width: usize, mean: f32, epsilon: f32) -> f32 {
    let mut squares = 0.0f32;
    let mut place = UNIT_POS_X as usize;
    while place < width {
        let centred = rows[start + place] - mean;
        squares += centred * centred;
        place += LANES as usize;
    }
    f32::sqrt(plane_sum(squares) / f32::cast_from(width) + epsilon)
}

/// The layer norm of each row.
pub(super) fn norm<R: CubeRuntime>(
    rows: CubeTensor<R>,
    scale: CubeTensor<R>,
    shift: CubeTensor<R>,
    epsilon: f64,
) -> CubeTensor<R> {
    let rows = into_contiguous(rows);
    let output = empty_like(&rows, rows.meta.shape().clone());
    let (count, dim) = of_rows(rows.meta.shape()[0]);
    let (client, output_argument) = (output.client.clone(), output.clone().into_array_arg());
    norm_kernel::launch::<R>(
        &client,
        count,
        dim,
        rows.into_array_arg(),
        into_contiguous(scale).into_array_arg(),
        into_contiguous(shift).into_array_arg(),
        output_argument,
        epsilon as f32,
    );
    output
}

#[cube(launch)]
fn shares_kernel(
    scores: &Array<f32>,
    lengths: &Array<i32>,
    output: &mut Array<f32>,
    n_tokens: u32,
    n_asking: u32,
    n_heads: u32,
    scale: f32,
    #[comptime] has_lengths: bool,
    #[comptime] is_causal: bool,
) {
    let row = CUBE_POS * ROWS_PER_CUBE as usize + UNIT_POS_Y as usize;
    let width = n_tokens as usize;
    if row * width < output.len() {
        let start = row * width;
        let mut n_seen = n_tokens;
        if comptime!(has_lengths) {
            n_seen = u32::cast_from(lengths[row / (n_heads as usize * n_asking as usize)]);
        }
        if comptime!(is_causal) {
            n_seen = u32::min(n_seen, (row % n_asking as usize) as u32 + 1);
        }
        let mut largest = f32::new(-3.0e38);
        let mut place = UNIT_POS_X;
        while place < n_seen {
            largest = f32::max(largest, scores[start + place as usize] * scale);
            place += LANES;
        }
        let largest = plane_max(largest);
        let mut sum = 0.0f32;
        let mut place = UNIT_POS_X;
        while place < n_seen {
            sum += f32::exp(scores[start + place as usize] * scale - largest);
            place += LANES;
        }
        let sum = plane_sum(sum);
        let mut place = UNIT_POS_X;
        while place < n_tokens {
            let mut share = 0.0f32;
            if place < n_seen {
                share = f32::exp(scores[start + place as usize] * scale - largest) / sum;
            }
            output[start + place as usize] = share;
            place += LANES;
        }
    }
}

/// The shares of attention: the softmax over the tokens that each asking token sees.
pub(super) fn attention_shares<R: CubeRuntime>(
    scores: CubeTensor<R>,
    scale: f64,
    lengths: Option<CubeTensor<R>>,
    is_causal: bool,
) -> CubeTensor<R> {
    let scores = into_contiguous(scores);
    let [n_rows, n_heads, n_asking, n_tokens] = super::shape(&scores);
    let output = empty_like(&scores, scores.meta.shape().clone());
    let (count, dim) = of_rows(n_rows * n_heads * n_asking);
    let has_lengths = lengths.is_some();
    let lengths = lengths.map_or_else(|| scores.clone(), into_contiguous);
    let (client, output_argument) = (output.client.clone(), output.clone().into_array_arg());
    shares_kernel::launch::<R>(
        &client,
        count,
        dim,
        scores.into_array_arg(),
        lengths.into_array_arg(),
        output_argument,
        n_tokens as u32,
        n_asking as u32,
        n_heads as u32,
        scale as f32,
        has_lengths,
        is_causal,
    );
    output
}
