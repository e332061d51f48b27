//! Products of matrices of few rows, columns or terms, two of them in one launch; others go to the framework's kernels.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::ComputeClient;
use cubecl::prelude::*;

use super::super::fused::blocks;
use super::super::multiply;
use super::{Numbers, View};
use crate::device::Precision;

/// The pairs of a batch up to which its products are computed here: more give the framework's kernels enough to do, and
/// tensor cores.
const MOST_PAIRS: usize = 128;
/// Threads along each side of a tile.
const SIDE: u32 = 16;
/// Numbers of each factor that a block holds at once, four for each of its threads.
const HELD: u32 = 1024;
/// Blocks that keep most cards busy.
const ENOUGH_BLOCKS: usize = 128;

/// The factors of a product, and its place.
///
/// # Shapes
/// `lhs`: `[n_rows, n_terms]` · `rhs`: `[n_terms, n_cols]` · `output`: `[n_rows, n_cols]`, its rows one after the other
#[derive(Debug, Clone, Copy)]
pub(in crate::gpu) struct Factors {
    /// The left factor.
    pub(in crate::gpu) lhs: View,
    /// The right factor.
    pub(in crate::gpu) rhs: View,
    /// The product.
    pub(in crate::gpu) output: View,
}

/// The same as the kernel takes it.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Job {
    n_rows: u32,
    n_cols: u32,
    n_terms: u32,
    lhs: u32,
    lhs_of_rows: u32,
    lhs_of_terms: u32,
    rhs: u32,
    rhs_of_terms: u32,
    rhs_of_cols: u32,
    output: u32,
}

/// A tile of one of two products for each block. The block holds slabs of both factors, and a thread sums `per_unit²`
/// numbers, term after term.
#[cube(launch)]
fn product_kernel(
    lhs: &Array<f32>,
    rhs: &Array<f32>,
    output: &mut Array<f32>,
    first: Job,
    second: Job,
    n_tiles_of_first: u32,
    n_tiles: u32,
    #[comptime] per_unit: u32,
) {
    let side = comptime!(SIDE * per_unit);
    let depth = comptime!(HELD / (SIDE * per_unit));
    // One more, so that numbers which are neighbours in memory are written to different banks.
    let stride = comptime!(SIDE * per_unit + 1);
    let mut lhs_slab = SharedMemory::<f32>::new(comptime!((depth * stride) as usize));
    let mut rhs_slab = SharedMemory::<f32>::new(comptime!((depth * stride) as usize));
    let mut sums = Array::<f32>::new(comptime!((per_unit * per_unit) as usize));
    #[unroll]
    for place in 0..comptime!(per_unit * per_unit) {
        sums[place as usize] = 0.0f32;
    }
    let tile = CUBE_POS as u32;
    let is_first = tile < n_tiles_of_first;
    let tile_of_job = select(is_first, tile, tile - n_tiles_of_first);
    // No number of a block that has no tile is within the product.
    let n_rows = select(tile < n_tiles, select(is_first, first.n_rows, second.n_rows), 0u32);
    let n_cols = select(is_first, first.n_cols, second.n_cols);
    let n_terms = select(is_first, first.n_terms, second.n_terms);
    let lhs_first = select(is_first, first.lhs, second.lhs);
    let lhs_of_rows = select(is_first, first.lhs_of_rows, second.lhs_of_rows);
    let lhs_of_terms = select(is_first, first.lhs_of_terms, second.lhs_of_terms);
    let rhs_first = select(is_first, first.rhs, second.rhs);
    let rhs_of_terms = select(is_first, first.rhs_of_terms, second.rhs_of_terms);
    let rhs_of_cols = select(is_first, first.rhs_of_cols, second.rhs_of_cols);
    let tiles_across = n_cols.div_ceil(side);
    let first_row = tile_of_job / tiles_across * side;
    let first_col = tile_of_job % tiles_across * side;
    // Threads that are neighbours read what lies side by side.
    let are_terms_near = lhs_of_terms == 1u32;
    let are_rhs_terms_near = rhs_of_terms == 1u32;
    let mut first_term = 0u32;
    while first_term < n_terms {
        #[unroll]
        for turn in 0..comptime!(HELD / (SIDE * SIDE)) {
            let element = UNIT_POS + comptime!(turn * SIDE * SIDE);
            let row = select(are_terms_near, element / depth, element % side);
            let term = select(are_terms_near, element % depth, element / side);
            let mut value = 0.0f32;
            if first_row + row < n_rows && first_term + term < n_terms {
                let place = lhs_first + (first_row + row) * lhs_of_rows + (first_term + term) * lhs_of_terms;
                value = lhs[place as usize];
            }
            lhs_slab[(term * stride + row) as usize] = value;
            let col = select(are_rhs_terms_near, element / depth, element % side);
            let term = select(are_rhs_terms_near, element % depth, element / side);
            let mut value = 0.0f32;
            if first_col + col < n_cols && first_term + term < n_terms {
                let place = rhs_first + (first_term + term) * rhs_of_terms + (first_col + col) * rhs_of_cols;
                value = rhs[place as usize];
            }
            rhs_slab[(term * stride + col) as usize] = value;
        }
        sync_cube();
        for term in 0..depth {
            let from = term * stride;
            #[unroll]
            for idx in 0..per_unit {
                let left = lhs_slab[(from + UNIT_POS_Y + idx * SIDE) as usize];
                #[unroll]
                for other in 0..per_unit {
                    let right = rhs_slab[(from + UNIT_POS_X + other * SIDE) as usize];
                    sums[(idx * per_unit + other) as usize] += left * right;
                }
            }
        }
        sync_cube();
        first_term += depth;
    }
    let output_first = select(is_first, first.output, second.output);
    #[unroll]
    for idx in 0..per_unit {
        let row = first_row + UNIT_POS_Y + idx * SIDE;
        #[unroll]
        for other in 0..per_unit {
            let col = first_col + UNIT_POS_X + other * SIDE;
            if row < n_rows && col < n_cols {
                output[(output_first + row * n_cols + col) as usize] = sums[(idx * per_unit + other) as usize];
            }
        }
    }
}

/// One product, or two with factors and places in the same arrays, of a batch of so many pairs.
///
/// Small batches are multiplied in single precision, whatever may be rounded.
pub(in crate::gpu) fn product<R: CubeRuntime>(
    (client, device): (&ComputeClient<R>, &R::Device),
    [lhs, rhs, output]: [&Numbers<R>; 3],
    factors: &[Factors],
    n_pairs: usize,
    precision: Precision,
) {
    // A sum of nothing is 0, which is written here.
    let has_terms = factors.iter().all(|factors| factors.lhs.shape[1] > 0);
    if n_pairs > MOST_PAIRS && has_terms {
        let view = |numbers: &Numbers<R>, view: View| numbers.tensor(client, device, view);
        for factors in factors.iter().filter(|factors| factors.n_numbers() > 0) {
            multiply(&view(lhs, factors.lhs), &view(rhs, factors.rhs), &view(output, factors.output), precision);
        }
        return;
    }
    let per_unit = [4, 2].into_iter().find(|per_unit| n_tiles(factors, *per_unit) >= ENOUGH_BLOCKS).unwrap_or(1);
    let n_tiles_of_first = factors.first().map_or(0, |factors| factors.n_tiles(per_unit));
    let n_tiles = n_tiles(factors, per_unit);
    if let (Some(first), Some(second)) = (factors.first(), factors.last())
        && n_tiles > 0
    {
        product_kernel::launch::<R>(
            client,
            blocks(n_tiles),
            CubeDim { x: SIDE, y: SIDE, z: 1 },
            lhs.argument(),
            rhs.argument(),
            output.argument(),
            first.job(),
            second.job(),
            n_tiles_of_first as u32,
            n_tiles as u32,
            per_unit as u32,
        );
    }
}

fn n_tiles(factors: &[Factors], per_unit: usize) -> usize {
    factors.iter().map(|factors| factors.n_tiles(per_unit)).sum()
}

impl Factors {
    fn n_numbers(&self) -> usize {
        self.output.shape.iter().product()
    }

    fn n_tiles(&self, per_unit: usize) -> usize {
        self.output.shape.iter().map(|side| side.div_ceil(SIDE as usize * per_unit)).product()
    }

    fn job<R: CubeRuntime>(&self) -> JobLaunch<R> {
        let Self { lhs, rhs, output } = self;
        JobLaunch::new(
            output.shape[0] as u32,
            output.shape[1] as u32,
            lhs.shape[1] as u32,
            lhs.first as u32,
            lhs.strides[0] as u32,
            lhs.strides[1] as u32,
            rhs.first as u32,
            rhs.strides[0] as u32,
            rhs.strides[1] as u32,
            output.first as u32,
        )
    }
}

impl<R: CubeRuntime> Numbers<R> {
    /// A matrix of them, as the framework has it.
    fn tensor(&self, client: &ComputeClient<R>, device: &R::Device, view: View) -> CubeTensor<R> {
        let handle = self.handle.clone().offset_start((view.first * size_of::<f32>()) as u64);
        let mut tensor =
            CubeTensor::new_contiguous(client.clone(), device.clone(), view.shape.into(), handle, DType::F32);
        tensor.meta.strides_mut().copy_from_slice(&view.strides);
        tensor
    }
}
