//! Sums over the pairs of a batch, and Adam over all that is learnt.

use burn_cubecl::CubeRuntime;
use cubecl::client::ComputeClient;
use cubecl::prelude::*;

use super::{COLUMNS, Numbers, UNITS, of_blocks, of_numbers, place, sum_of_block};
use crate::train::cpu::adam::{AdamStep, EPSILON, FIRST_DECAY, SECOND_DECAY};
use crate::train::options::LOGIT_SCALES;

/// The most matrices whose columns are summed in one launch.
const MATRICES: usize = 3;

/// A matrix of all pairs, and the place of the sums of its columns.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::gpu) struct Columns {
    /// The place of its first number.
    pub(in crate::gpu) first: usize,
    /// Its columns.
    pub(in crate::gpu) width: usize,
    /// The place of the first sum.
    pub(in crate::gpu) sums: usize,
}

/// The same as the kernel takes it.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Summed {
    first: u32,
    width: u32,
    sums: u32,
    n_blocks: u32,
}

#[cube(launch)]
fn columns_kernel(values: &Array<f32>, output: &mut Array<f32>, one: Summed, two: Summed, three: Summed, n_pairs: u32) {
    let mut shared = SharedMemory::<f32>::new(comptime!(UNITS as usize));
    let block = CUBE_POS as u32;
    let is_one = block < one.n_blocks;
    let is_two = block < one.n_blocks + two.n_blocks;
    let before = select(is_one, 0u32, select(is_two, one.n_blocks, one.n_blocks + two.n_blocks));
    let width = select(is_one, one.width, select(is_two, two.width, three.width));
    let first = select(is_one, one.first, select(is_two, two.first, three.first));
    let sums = select(is_one, one.sums, select(is_two, two.sums, three.sums));
    let col = (block - before) * COLUMNS + UNIT_POS_X;
    let n_rows = select(col < width, n_pairs, 0u32);
    let mut sum = 0.0f32;
    let mut row = UNIT_POS_Y;
    while row < n_rows {
        sum += values[(first + row * width + col) as usize];
        row += UNITS / COLUMNS;
    }
    let sum = sum_of_block(sum, &mut shared, COLUMNS);
    if UNIT_POS < COLUMNS && col < width {
        output[(sums + col) as usize] = sum;
    }
}

/// Sums the columns of matrices over all pairs.
///
/// # Panics
/// When there are more than three matrices: a bug of the caller.
pub(in crate::gpu) fn sum_columns<R: CubeRuntime>(
    client: &ComputeClient<R>,
    [values, output]: [&Numbers<R>; 2],
    matrices: &[Columns],
    n_pairs: usize,
) {
    assert!(matrices.len() <= MATRICES, "BUG: too many matrices");
    let n_blocks = |columns: &Columns| columns.width.div_ceil(COLUMNS as usize);
    let summed = |idx: usize| {
        let columns = matrices.get(idx).copied().unwrap_or_default();
        let Columns { first, width, sums } = columns;
        SummedLaunch::new(first as u32, width as u32, sums as u32, n_blocks(&columns) as u32)
    };
    let n_blocks: usize = matrices.iter().map(n_blocks).sum();
    if n_blocks > 0 {
        let (count, dim) = of_blocks(n_blocks);
        let (values, output) = (values.argument(), output.argument());
        columns_kernel::launch::<R>(
            client,
            count,
            dim,
            values,
            output,
            summed(0),
            summed(1),
            summed(2),
            n_pairs as u32,
        );
    }
}

#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Adam {
    size: f32,
    correction: f32,
    weight_decay: f32,
    anchor: f32,
    logit_scale: u32,
    to_mean: f32,
    keep_square: f32,
    to_square: f32,
    epsilon: f32,
    low: f32,
    high: f32,
}

#[cube(launch)]
fn update_kernel(
    values: &mut Array<f32>,
    means: &mut Array<f32>,
    squares: &mut Array<f32>,
    gradients: &Array<f32>,
    starts: &Array<f32>,
    adam: Adam,
    #[comptime] has_starts: bool,
) {
    let place = place();
    let at = place as usize;
    if at < values.len() {
        let value = values[at];
        let mut gradient = gradients[at];
        let is_weight = place != adam.logit_scale;
        if is_weight {
            if comptime!(has_starts) {
                gradient += adam.anchor * (value - starts[at]);
            }
            gradient += adam.weight_decay * value;
        }
        let old = means[at];
        let mean = old + adam.to_mean * (gradient - old);
        let square = adam.keep_square * squares[at] + adam.to_square * gradient * gradient;
        means[at] = mean;
        squares[at] = square;
        let mut updated = value - adam.size * mean / (f32::sqrt(square) * adam.correction + adam.epsilon);
        if !is_weight {
            // A number that is none stays so.
            updated = select(updated < adam.low, adam.low, select(updated > adam.high, adam.high, updated));
        }
        values[at] = updated;
    }
}

/// Updates all values by their gradients, as the processor's learner does. Where there are starts, the anchor pulls to
/// them. Neither it nor decay acts on the place of `ln(1 / temperature)`, which stays in its bounds.
///
/// # Shapes
/// all as long as `values`
pub(in crate::gpu) fn update<R: CubeRuntime>(
    client: &ComputeClient<R>,
    [values, means, squares, gradients]: [&Numbers<R>; 4],
    starts: Option<&Numbers<R>>,
    step: &AdamStep,
    logit_scale: Option<usize>,
) {
    let AdamStep { size, correction, weight_decay, anchor } = *step;
    let (low, high) = LOGIT_SCALES.into_inner();
    let adam = AdamLaunch::new(
        size,
        correction,
        weight_decay,
        anchor,
        logit_scale.map_or(u32::MAX, |place| place as u32),
        (1.0 - FIRST_DECAY) as f32,
        SECOND_DECAY as f32,
        (1.0 - SECOND_DECAY) as f32,
        EPSILON,
        low,
        high,
    );
    let (count, dim) = of_numbers(values.length);
    update_kernel::launch::<R>(
        client,
        count,
        dim,
        values.argument(),
        means.argument(),
        squares.argument(),
        gradients.argument(),
        starts.unwrap_or(gradients).argument(),
        adam,
        starts.is_some(),
    );
}
