//! The kernels of a search: scores with the processor's bits, places of relevant images, and the best images.
//!
//! A product of two numbers is only ever part of a fused sum, so that the compiler has nothing to fuse or to split.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use pipeline_eval::Seen;
use pipeline_kernels::BLOCK_DEPTH;

/// Queries, and images, whose scores a block of threads computes.
const TILE: u32 = 128;
/// Threads of a block along either side of its tile.
const SIDE: u32 = 16;
/// Scores of a thread along either side of the tile.
const OWN: u32 = TILE / SIDE;
/// Numbers of each row that are in shared memory at once.
const DEPTH: u32 = 16;
/// The distance between the same numbers of neighbouring depths; with the padding, fewer writes meet in a bank.
const STRIDE: u32 = TILE + 4;
/// Threads of a block in both kernels.
const UNITS: u32 = SIDE * SIDE;
/// Steps in which the threads of a block come to one.
const HALVINGS: u32 = UNITS.ilog2();
/// The row of no image.
const ABSENT: u32 = Seen::ABSENT;
/// The count of images before a relevant one whose score differs from the processor's.
pub(super) const DIFFERS: u32 = u32::MAX;

/// Rows of one width.
#[derive(Clone)]
pub(super) struct RowsOnCard<R: CubeRuntime> {
    /// `[n_rows, width]`, perhaps more rows
    pub(super) values: CubeTensor<R>,
    /// The first row that counts.
    pub(super) first: usize,
    /// The rows that count.
    pub(super) n_rows: usize,
}

/// One block of the depth: numbers `start..end` of each row. A loop over blocks would hold 64 sums more in registers,
/// or the places of all scores.
#[cube(launch)]
fn scores_kernel(
    queries: &Array<f32>,
    images: &Array<f32>,
    scores: &mut Array<f32>,
    first_query: u32,
    n_queries: u32,
    n_images: u32,
    dim: u32,
    start: u32,
    end: u32,
    #[comptime] adds: bool,
) {
    let mut query_tile = SharedMemory::<f32>::new((DEPTH * STRIDE) as usize);
    let mut image_tile = SharedMemory::<f32>::new((DEPTH * STRIDE) as usize);
    let n_tiles = n_images.div_ceil(TILE);
    let query_start = CUBE_POS as u32 / n_tiles * TILE;
    let image_start = CUBE_POS as u32 % n_tiles * TILE;
    let (x, y) = (UNIT_POS % SIDE, UNIT_POS / SIDE);
    let mut sums = Array::<f32>::new((OWN * OWN) as usize);
    #[unroll]
    for place in 0..OWN * OWN {
        sums[place as usize] = 0.0f32;
    }
    let mut at = start;
    while at < end {
        let n_deep = u32::min(DEPTH, end - at);
        #[unroll]
        for round in 0..OWN {
            let row = y + round * SIDE;
            let (query, image) = (query_start + row, image_start + row);
            let mut of_query = 0.0f32;
            if query < n_queries && x < n_deep {
                of_query = queries[((first_query + query) * dim + at + x) as usize];
            }
            query_tile[(x * STRIDE + row) as usize] = of_query;
            let mut of_image = 0.0f32;
            if image < n_images && x < n_deep {
                of_image = images[(image * dim + at + x) as usize];
            }
            image_tile[(x * STRIDE + row) as usize] = of_image;
        }
        sync_cube();
        // Numbers past the depth are left out, for a sum with zero would lose the sign of a zero.
        for depth in 0..n_deep {
            let mut of_queries = Array::<f32>::new(OWN as usize);
            let mut of_images = Array::<f32>::new(OWN as usize);
            #[unroll]
            for idx in 0..OWN {
                of_queries[idx as usize] = query_tile[(depth * STRIDE + y * OWN + idx) as usize];
                of_images[idx as usize] = image_tile[(depth * STRIDE + x + idx * SIDE) as usize];
            }
            #[unroll]
            for query in 0..OWN {
                #[unroll]
                for image in 0..OWN {
                    let place = (query * OWN + image) as usize;
                    sums[place] = fma(of_queries[query as usize], of_images[image as usize], sums[place]);
                }
            }
        }
        sync_cube();
        at += DEPTH;
    }
    #[unroll]
    for own_query in 0..OWN {
        let query = query_start + y * OWN + own_query;
        #[unroll]
        for own_image in 0..OWN {
            let image = image_start + x + own_image * SIDE;
            if query < n_queries && image < n_images {
                let place = (query * n_images + image) as usize;
                let sum = sums[(own_query * OWN + own_image) as usize];
                if comptime!(adds) {
                    scores[place] = scores[place] + sum;
                } else {
                    scores[place] = sum;
                }
            }
        }
    }
}

/// Writes the scores of all images for the queries, row by row.
pub(super) fn scores<R: CubeRuntime>(
    queries: &RowsOnCard<R>,
    images: &RowsOnCard<R>,
    dim: usize,
    scores: &CubeTensor<R>,
) {
    let n_tiles = queries.n_rows.div_ceil(TILE as usize) * images.n_rows.div_ceil(TILE as usize);
    for start in (0..dim).step_by(BLOCK_DEPTH) {
        scores_kernel::launch::<R>(
            &scores.client,
            CubeCount::Static(n_tiles as u32, 1, 1),
            CubeDim { x: UNITS, y: 1, z: 1 },
            queries.values.clone().into_array_arg(),
            images.values.clone().into_array_arg(),
            scores.clone().into_array_arg(),
            queries.first as u32,
            queries.n_rows as u32,
            images.n_rows as u32,
            dim as u32,
            start as u32,
            dim.min(start + BLOCK_DEPTH) as u32,
            start > 0,
        );
    }
}

/// An image as a number: greater if its score is higher, or equal and its row lower; 0 if it is not ranked.
#[cube]
fn key(score: f32, image: u32) -> u64 {
    let bits = u32::reinterpret(score);
    let size = bits & 0x7fff_ffffu32;
    // Both zeros are equal, and of numbers below zero the larger size is the lower one.
    let below_zero = bits > 0x8000_0000u32;
    let ordered = select(below_zero, !bits, size | 0x8000_0000u32);
    let whole = (u64::cast_from(ordered) << 32u64) | u64::cast_from(!image);
    select(size > 0x7f80_0000u32, 0u64, whole)
}

/// The greatest key below `bound` among the images of this thread.
#[cube]
fn best_below(scores: &Array<f32>, start: u32, n_images: u32, bound: u64) -> u64 {
    let mut best = 0u64;
    let mut image = UNIT_POS;
    while image < n_images {
        let key = key(scores[(start + image) as usize], image);
        if key < bound && key > best {
            best = key;
        }
        image += UNITS;
    }
    best
}

#[cube(launch)]
fn look_kernel(
    scores: &Array<f32>,
    starts: &Array<u32>,
    hit_rows: &Array<u32>,
    hit_scores: &Array<f32>,
    n_before: &mut Array<u32>,
    top_rows: &mut Array<u32>,
    top_scores: &mut Array<f32>,
    first_query: u32,
    first_image: u32,
    n_images: u32,
    top_k: u32,
) {
    let start = CUBE_POS as u32 * n_images;
    let query = first_query + CUBE_POS as u32;
    let mut counts = SharedMemory::<u32>::new(UNITS as usize);
    let mut keys = SharedMemory::<u64>::new(UNITS as usize);
    let mut hit = starts[query as usize];
    let end = starts[(query + 1) as usize];
    while hit < end {
        let (row, score) = (hit_rows[hit as usize], hit_scores[hit as usize]);
        let mut count = 0u32;
        let mut image = UNIT_POS;
        while image < n_images {
            let other = scores[(start + image) as usize];
            if other > score || (other == score && first_image + image < row) {
                count += 1;
            }
            if first_image + image == row && other != score {
                count += DIFFERS / 2;
            }
            image += UNITS;
        }
        counts[UNIT_POS as usize] = count;
        sync_cube();
        #[unroll]
        for halving in 1..HALVINGS + 1 {
            let n_left = comptime!(UNITS >> halving);
            if UNIT_POS < n_left {
                counts[UNIT_POS as usize] = counts[UNIT_POS as usize] + counts[(UNIT_POS + n_left) as usize];
            }
            sync_cube();
        }
        if UNIT_POS == 0 {
            let sum = counts[0];
            n_before[hit as usize] = select(sum < DIFFERS / 2, sum, DIFFERS);
        }
        sync_cube();
        hit += 1;
    }
    if top_k > 0 {
        let mut own = best_below(scores, start, n_images, 0xffff_ffff_ffff_ffffu64);
        for place in 0..top_k {
            keys[UNIT_POS as usize] = own;
            sync_cube();
            #[unroll]
            for halving in 1..HALVINGS + 1 {
                let n_left = comptime!(UNITS >> halving);
                if UNIT_POS < n_left {
                    let (left, right) = (keys[UNIT_POS as usize], keys[(UNIT_POS + n_left) as usize]);
                    keys[UNIT_POS as usize] = select(left > right, left, right);
                }
                sync_cube();
            }
            let best = keys[0];
            sync_cube();
            let at = (query * top_k + place) as usize;
            if best == 0u64 {
                if UNIT_POS == 0 {
                    top_rows[at] = ABSENT;
                    top_scores[at] = 0.0f32;
                }
            } else if own == best {
                // Keys name their images, so that this is one thread.
                let image = !u32::cast_from(best & 0xffff_ffffu64);
                top_rows[at] = first_image + image;
                top_scores[at] = scores[(start + image) as usize];
                own = best_below(scores, start, n_images, best);
            }
        }
    }
}

/// The relevant images of the queries of a pass.
pub(super) struct Relevant<R: CubeRuntime> {
    /// `[n_queries + 1]`
    pub(super) starts: CubeTensor<R>,
    pub(super) rows: CubeTensor<R>,
    pub(super) scores: CubeTensor<R>,
}

/// What is found for the queries of a pass in a block of images.
pub(super) struct Found<R: CubeRuntime> {
    /// For each relevant image; [`DIFFERS`] where a score does.
    pub(super) n_before: CubeTensor<R>,
    /// `[n_queries, top_k]`
    pub(super) top_rows: CubeTensor<R>,
    pub(super) top_scores: CubeTensor<R>,
}

/// Counts and selects among the scores of some queries of a pass.
pub(super) fn look<R: CubeRuntime>(
    scores: &CubeTensor<R>,
    queries: &RowsOnCard<R>,
    relevant: &Relevant<R>,
    images: &std::ops::Range<u32>,
    top_k: usize,
    found: &Found<R>,
) {
    look_kernel::launch::<R>(
        &scores.client,
        CubeCount::Static(queries.n_rows as u32, 1, 1),
        CubeDim { x: UNITS, y: 1, z: 1 },
        scores.clone().into_array_arg(),
        relevant.starts.clone().into_array_arg(),
        relevant.rows.clone().into_array_arg(),
        relevant.scores.clone().into_array_arg(),
        found.n_before.clone().into_array_arg(),
        found.top_rows.clone().into_array_arg(),
        found.top_scores.clone().into_array_arg(),
        queries.first as u32,
        images.start,
        images.len() as u32,
        top_k as u32,
    );
}
