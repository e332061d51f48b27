//! The matrix product of plain slices on one thread, by the `gemm` crate's kernels for this processor.

/// `out = a · b`.
///
/// # Shapes
/// `a`: `[n_rows, depth]`, `b`: `[depth, n_cols]`, `out`: `[n_rows, n_cols]`, all row-major
///
/// # Panics
/// When a slice has another length: a bug of the caller.
#[allow(unsafe_code)]
pub(crate) fn multiply(a: &[f32], b: &[f32], out: &mut [f32], n_rows: usize, depth: usize, n_cols: usize) {
    let fits = a.len() == n_rows * depth && b.len() == depth * n_cols && out.len() == n_rows * n_cols;
    assert!(fits, "BUG: [{n_rows}, {depth}] · [{depth}, {n_cols}] of other lengths");
    // SAFETY: `gemm` reads `n_rows × depth` and `depth × n_cols` numbers and writes `n_rows × n_cols` with the strides given
    // here, which are those of row-major slices of exactly these lengths; `out` is borrowed mutably, so none overlap.
    unsafe {
        gemm::gemm::<f32>(
            n_rows,
            n_cols,
            depth,
            out.as_mut_ptr(),
            1,
            n_cols as isize,
            false,
            a.as_ptr(),
            1,
            depth as isize,
            b.as_ptr(),
            1,
            n_cols as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_meet_columns() {
        let mut out = vec![9.0; 4];
        multiply(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], &mut out, 2, 3, 2);
        assert_eq!(out, [4.0, 5.0, 10.0, 11.0]);
    }
}
