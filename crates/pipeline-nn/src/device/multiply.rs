//! The matrix product of plain slices on one thread, by the `gemm` crate's kernels for this processor.

/// Whether `gemm` splits the sums of a product otherwise when it has at most 64 rows.
///
/// Up to 64 rows and columns sums are split into runs of 512 terms, else into runs of one length.
fn is_narrow(depth: usize, n_cols: usize) -> bool {
    n_cols <= 64 && depth > 512
}

/// From so many rows on, a row of a product has the same bits whatever other rows are computed with it.
pub(crate) fn steady_rows(depth: usize, n_cols: usize) -> usize {
    // A single row takes another path through `gemm`, too.
    if is_narrow(depth, n_cols) { 65 } else { 2 }
}

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
    use crate::weights::fixtures;

    #[test]
    fn rows_meet_columns() {
        let mut out = vec![9.0; 4];
        multiply(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], &mut out, 2, 3, 2);
        assert_eq!(out, [4.0, 5.0, 10.0, 11.0]);
    }

    #[test]
    fn a_row_has_the_same_bits_among_any_others() {
        let products = [(3, 2), (64, 8), (64, 256), (147, 64), (512, 64), (576, 64), (576, 65), (1000, 3), (4608, 512)];
        for (depth, n_cols) in products {
            let a = fixtures::noise("a", vec![300, depth], 1.0).values;
            let b = fixtures::noise("b", vec![depth, n_cols], 1.0).values;
            let product = |rows: std::ops::Range<usize>| {
                let mut out = vec![0.0; rows.len() * n_cols];
                multiply(&a[rows.start * depth..rows.end * depth], &b, &mut out, rows.len(), depth, n_cols);
                fixtures::bits(&out)
            };
            let all = product(0..300);
            let min_rows = steady_rows(depth, n_cols);
            for n_rows in [min_rows, min_rows + 1, 66, 95, 96, 97, 100, 256] {
                let part = product(7..7 + n_rows);
                assert_eq!(part, all[7 * n_cols..][..part.len()], "{n_rows} of [300, {depth}] · [{depth}, {n_cols}]");
            }
        }
    }
}
