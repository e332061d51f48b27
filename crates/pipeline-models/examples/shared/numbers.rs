//! Numbers that another program can reproduce.

use pipeline_kernels::Matrix;

/// Numbers in -1..1: the finaliser of MurmurHash3, applied to their indices.
pub fn numbers(n_rows: usize, n_cols: usize, seed: u32) -> Matrix {
    let value = |place: usize| {
        let mut hash = (place as u32).wrapping_add(seed.wrapping_mul(0x9e37_79b9));
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        (hash ^ (hash >> 16)) as f32 / (1u32 << 31) as f32 - 1.0
    };
    Matrix::new(n_rows, n_cols, (0..n_rows * n_cols).map(value).collect())
}
