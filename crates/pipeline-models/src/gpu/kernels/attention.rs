//! Kernels around the products of transformer layers: sums as attention heads, and sums with their norm.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::fused::{LANES, ROWS_PER_CUBE, deviation, empty_like, empty_of, of_numbers, of_rows};

/// The parts of a layer's sums at most: queries, keys and values.
const MAX_PARTS: usize = 3;

#[cube(launch)]
fn heads_kernel<F: Float>(
    sums: &Array<f32>,
    bias: &Array<f32>,
    first: &mut Array<F>,
    second: &mut Array<F>,
    third: &mut Array<F>,
    n_tokens: u32,
    n_heads: u32,
    head_width: u32,
    #[comptime] n_parts: usize,
    #[define(F)] _dtype: StorageType,
) {
    if ABSOLUTE_POS < sums.len() {
        let (n_tokens, n_heads, head_width) = (n_tokens as usize, n_heads as usize, head_width as usize);
        let row = ABSOLUTE_POS / bias.len();
        let column = ABSOLUTE_POS % bias.len();
        let value = F::cast_from(sums[ABSOLUTE_POS] + bias[column]);
        let part = column / (n_heads * head_width);
        let head = column / head_width % n_heads;
        let line = (row / n_tokens * n_heads + head) * n_tokens + row % n_tokens;
        let place = line * head_width + column % head_width;
        if part == 0 {
            first[place] = value;
        }
        if comptime!(n_parts > 1) && part == 1 {
            second[place] = value;
        }
        if comptime!(n_parts > 2) && part == 2 {
            third[place] = value;
        }
    }
}

/// `N` equal parts of the columns of sums, with their bias, as heads in a type.
///
/// # Shapes
/// `sums`: `[n_rows · n_tokens, N · width]` · returns `[n_rows, n_heads, n_tokens, width / n_heads]` each
pub(super) fn heads<R: CubeRuntime, const N: usize>(
    sums: CubeTensor<R>,
    bias: CubeTensor<R>,
    [n_tokens, n_heads]: [usize; 2],
    dtype: DType,
) -> [CubeTensor<R>; N] {
    let (sums, bias) = (into_contiguous(sums), into_contiguous(bias));
    let [n_lines, n_columns] = [sums.meta.shape()[0], sums.meta.shape()[1]];
    let head_width = n_columns / N / n_heads;
    let shape = [n_lines / n_tokens, n_heads, n_tokens, head_width];
    let parts: [CubeTensor<R>; N] = std::array::from_fn(|_| empty_of(&sums, shape.into(), dtype));
    let (count, dim) = of_numbers(sums.meta.num_elements());
    let client = sums.client.clone();
    // A part that there is not is never written.
    let argument = |part_idx: usize| parts[part_idx.min(N - 1)].clone().into_array_arg();
    const { assert!(N >= 1 && N <= MAX_PARTS) };
    heads_kernel::launch::<R>(
        &client,
        count,
        dim,
        sums.into_array_arg(),
        bias.into_array_arg(),
        argument(0),
        argument(1),
        argument(2),
        n_tokens as u32,
        n_heads as u32,
        head_width as u32,
        N,
        dtype.into(),
    );
    parts
}

#[cube(launch)]
fn biased_norm_kernel(
    sums: &Array<f32>,
    bias: &Array<f32>,
    others: &Array<f32>,
    scale: &Array<f32>,
    shift: &Array<f32>,
    totals: &mut Array<f32>,
    output: &mut Array<f32>,
    epsilon: f32,
    #[comptime] keeps_totals: bool,
) {
    let width = scale.len();
    let row = CUBE_POS * ROWS_PER_CUBE as usize + UNIT_POS_Y as usize;
    if row * width < output.len() {
        let start = row * width;
        let mut sum = 0.0f32;
        let mut place = UNIT_POS_X as usize;
        while place < width {
            let total = sums[start + place] + bias[place] + others[start + place];
            output[start + place] = total;
            if comptime!(keeps_totals) {
                totals[start + place] = total;
            }
            sum += total;
            place += LANES as usize;
        }
        let mean = plane_sum(sum) / f32::cast_from(width);
        let deviation = deviation(output, start, width, mean, epsilon);
        let mut place = UNIT_POS_X as usize;
        while place < width {
            output[start + place] = (output[start + place] - mean) / deviation * scale[place] + shift[place];
            place += LANES as usize;
        }
    }
}

/// Sums with a bias and others, if they are kept, and their layer norm.
pub(super) fn biased_norm<R: CubeRuntime>(
    [sums, bias, others]: [CubeTensor<R>; 3],
    [scale, shift]: [CubeTensor<R>; 2],
    epsilon: f64,
    keeps_totals: bool,
) -> (Option<CubeTensor<R>>, CubeTensor<R>) {
    let [sums, bias, others, scale, shift] = [sums, bias, others, scale, shift].map(into_contiguous);
    let output = empty_like(&sums, sums.meta.shape().clone());
    let totals = keeps_totals.then(|| empty_like(&sums, sums.meta.shape().clone()));
    let (count, dim) = of_rows(sums.meta.shape()[0]);
    let client = sums.client.clone();
    biased_norm_kernel::launch::<R>(
        &client,
        count,
        dim,
        sums.into_array_arg(),
        bias.into_array_arg(),
        others.into_array_arg(),
        scale.into_array_arg(),
        shift.into_array_arg(),
        totals.clone().unwrap_or_else(|| output.clone()).into_array_arg(),
        output.clone().into_array_arg(),
        epsilon as f32,
        keeps_totals,
    );
    (totals, output)
}
