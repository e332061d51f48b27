//! Kernels of the training of heads: every stage of a step for both sides at once, over flat arrays.
//!
//! They need neither planes nor tensor cores. Each number has one thread, or the threads of one block, which sum in an
//! order that depends on shapes alone.

mod contrast;
mod embedding;
mod product;
mod update;

use std::marker::PhantomData;

use burn_cubecl::CubeRuntime;
use cubecl::client::ComputeClient;
use cubecl::prelude::*;
use cubecl::server::Handle;

use super::fused::blocks;
pub(in crate::gpu) use contrast::{Contrast, Relevant, contrast, relevant};
pub(in crate::gpu) use embedding::{
    Embedding, HiddenLayer, activate, copy, differentiate_lengths, embed, gather, multiply_slopes,
};
pub(in crate::gpu) use product::{Factors, product};
pub(in crate::gpu) use update::{Columns, sum_columns, update};

/// Threads of a block.
const UNITS: u32 = 256;
/// Neighbouring columns that a block sums together, so that its reads are of whole sections of memory.
const COLUMNS: u32 = 32;

/// Numbers in the memory of a device.
#[derive(Debug)]
pub(in crate::gpu) struct Numbers<R: CubeRuntime> {
    handle: Handle,
    length: usize,
    runtime: PhantomData<R>,
}

impl<R: CubeRuntime> Numbers<R> {
    /// Room for numbers, which are not yet written; at least 1.
    pub(in crate::gpu) fn empty(client: &ComputeClient<R>, length: usize) -> Self {
        let length = length.max(1);
        Self { handle: client.empty(length * size_of::<f32>()), length, runtime: PhantomData }
    }

    /// The same in a page of its own, which is not larger than they are.
    pub(in crate::gpu) fn in_own_page(client: &ComputeClient<R>, length: usize) -> Self {
        let empty = client.memory_persistent_allocation((), |()| Self::empty(client, length));
        empty.unwrap_or_else(|error| panic!("ServerError: {error:?}"))
    }

    /// Copies numbers of 4 bytes to the device.
    pub(in crate::gpu) fn of<T: bytemuck::NoUninit>(client: &ComputeClient<R>, values: &[T]) -> Self {
        const { assert!(size_of::<T>() == size_of::<f32>()) };
        // The driver refuses to copy nothing.
        let bytes = if values.is_empty() { &[0; 4] } else { bytemuck::cast_slice(values) };
        let (handle, length) = (client.create_from_slice(bytes), values.len().max(1));
        Self { handle, length, runtime: PhantomData }
    }

    /// Waits for the device and copies some numbers back.
    pub(in crate::gpu) fn read(&self, client: &ComputeClient<R>, first: usize, length: usize) -> Vec<f32> {
        let before = (first * size_of::<f32>()) as u64;
        let after = ((self.length - first - length) * size_of::<f32>()) as u64;
        let bytes = client.read(vec![self.handle.clone().offset_start(before).offset_end(after)]);
        bytes.iter().flat_map(|bytes| bytemuck::pod_collect_to_vec::<u8, f32>(bytes)).collect()
    }

    fn argument(&self) -> ArrayArg<R> {
        let handle = self.handle.clone().binding();
        let binding = TensorBinding { handle, strides: [1].into(), shape: [self.length].into(), runtime: PhantomData };
        binding.into_tensor_arg().into_array_arg()
    }
}

/// A matrix within an array: its first number, its shape, and the distances of neighbouring rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gpu) struct View {
    /// The place of its first number.
    pub(in crate::gpu) first: usize,
    /// Its rows and columns.
    pub(in crate::gpu) shape: [usize; 2],
    /// The distances of neighbouring rows and columns.
    pub(in crate::gpu) strides: [usize; 2],
}

impl View {
    /// A matrix whose rows follow each other.
    pub(in crate::gpu) fn new(first: usize, n_rows: usize, n_cols: usize) -> Self {
        Self { first, shape: [n_rows, n_cols], strides: [n_cols, 1] }
    }

    /// The same numbers, rows for columns.
    pub(in crate::gpu) fn transposed(self) -> Self {
        let ([n_rows, n_cols], [of_rows, of_cols]) = (self.shape, self.strides);
        Self { first: self.first, shape: [n_cols, n_rows], strides: [of_cols, of_rows] }
    }
}

/// Blocks in which each of `n` numbers has a thread.
pub(super) fn of_numbers(n: usize) -> (CubeCount, CubeDim) {
    of_blocks(n.div_ceil(UNITS as usize))
}

/// At least so many blocks.
fn of_blocks(n_blocks: usize) -> (CubeCount, CubeDim) {
    (blocks(n_blocks), CubeDim { x: COLUMNS, y: UNITS / COLUMNS, z: 1 })
}

/// The place of a thread among all.
#[cube]
pub(super) fn place() -> u32 {
    CUBE_POS as u32 * UNITS + UNIT_POS
}

/// The sum over the threads of a block of those whose places are equal modulo `n_sums`, a power of two up to [`UNITS`].
///
/// All threads must come here.
#[cube]
fn sum_of_block(value: f32, shared: &mut SharedMemory<f32>, n_sums: u32) -> f32 {
    shared[UNIT_POS as usize] = value;
    sync_cube();
    let mut half = CUBE_DIM / 2u32;
    while half >= n_sums {
        if UNIT_POS < half {
            let other = shared[(UNIT_POS + half) as usize];
            shared[UNIT_POS as usize] += other;
        }
        sync_cube();
        half /= 2u32;
    }
    let sum = shared[(UNIT_POS % n_sums) as usize];
    sync_cube();
    sum
}

/// The largest likewise.
#[cube]
fn largest_of_block(value: f32, shared: &mut SharedMemory<f32>, n_lines: u32) -> f32 {
    shared[UNIT_POS as usize] = value;
    sync_cube();
    let mut half = CUBE_DIM / 2u32;
    while half >= n_lines {
        if UNIT_POS < half {
            let other = shared[(UNIT_POS + half) as usize];
            let own = shared[UNIT_POS as usize];
            shared[UNIT_POS as usize] = select(other > own, other, own);
        }
        sync_cube();
        half /= 2u32;
    }
    let largest = shared[(UNIT_POS % n_lines) as usize];
    sync_cube();
    largest
}
