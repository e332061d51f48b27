//! Lengths of embeddings, and rows of length one.

use rayon::prelude::*;

use crate::Matrix;

/// The smallest divisor of a row, as in PyTorch's `F.normalize`.
const MIN_LENGTH: f32 = 1e-12;
/// Independent partial sums.
const LANES: usize = 8;

/// Divides every row by its length, on the threads of the current rayon pool.
pub fn normalize_rows(matrix: &mut Matrix) {
    matrix.values.par_chunks_exact_mut(matrix.n_cols.max(1)).for_each(|row| {
        let length = length(row);
        row.iter_mut().for_each(|value| *value /= length);
    });
}

/// The divisor that gives a row length one.
pub fn length(row: &[f32]) -> f32 {
    // Summed in f64, so that the order of the sum changes none of the digits that are kept.
    let mut sums = [0.0; LANES];
    for run in row.chunks(LANES) {
        for (sum, &value) in sums.iter_mut().zip(run) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    (sums.iter().sum::<f64>().sqrt() as f32).max(MIN_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_as_long_as_one_and_zeros_stay() {
        let mut values: Vec<f32> = (0..33).map(|idx| idx as f32 - 16.0).collect();
        values.extend([0.0; 33]);
        let mut matrix = Matrix::new(2, 33, values);
        normalize_rows(&mut matrix);
        assert!((length(matrix.row(0)) - 1.0).abs() < 1e-6);
        assert_eq!(matrix.row(1), [0.0; 33]);
        assert_eq!(length(&[3.0, 0.0, -4.0]), 5.0);
        assert_eq!(length(&[]), 1e-12);
    }
}
