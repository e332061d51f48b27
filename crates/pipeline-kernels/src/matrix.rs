//! A dense matrix of plain numbers, which crosses crate borders in place of tensors.

use std::borrow::Cow;

/// A dense row-major matrix of `f32`.
///
/// # Shapes
/// `values`: `[n_rows, n_cols]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    /// The number of rows.
    pub n_rows: usize,
    /// The number of columns.
    pub n_cols: usize,
    /// `n_rows · n_cols` numbers, row after row.
    pub values: Vec<f32>,
}

impl<'a> From<&'a Matrix> for Cow<'a, Matrix> {
    fn from(matrix: &'a Matrix) -> Self {
        Self::Borrowed(matrix)
    }
}

impl From<Matrix> for Cow<'_, Matrix> {
    fn from(matrix: Matrix) -> Self {
        Self::Owned(matrix)
    }
}

impl Matrix {
    /// Wraps `values` as `n_rows` rows of `n_cols` numbers.
    ///
    /// # Panics
    /// When `values` has another length: a bug of the caller.
    pub fn new(n_rows: usize, n_cols: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), n_rows * n_cols, "BUG: a matrix of {n_rows} × {n_cols} needs as many values");
        Self { n_rows, n_cols, values }
    }

    /// A matrix of zeros.
    pub fn zeros(n_rows: usize, n_cols: usize) -> Self {
        Self { n_rows, n_cols, values: vec![0.0; n_rows * n_cols] }
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row_idx: usize) -> &[f32] {
        &self.values[row_idx * self.n_cols..][..self.n_cols]
    }

    /// Keeps only the given rows, in ascending order, in place.
    ///
    /// # Panics
    /// When there is no such row, or the rows do not ascend: a bug of the caller.
    pub fn with_rows(mut self, rows: &[usize]) -> Self {
        assert!(rows.is_sorted_by(|a, b| a < b), "BUG: rows to be kept rise");
        for (place, &row_idx) in rows.iter().enumerate() {
            let values = row_idx * self.n_cols..(row_idx + 1) * self.n_cols;
            self.values.copy_within(values, place * self.n_cols);
        }
        self.n_rows = rows.len();
        self.values.truncate(self.n_rows * self.n_cols);
        self
    }

    /// The first row that holds an infinity or NaN, if there is one.
    pub fn first_row_not_finite(&self) -> Option<usize> {
        let value_idx = self.values.iter().position(|value| !value.is_finite())?;
        Some(value_idx / self.n_cols)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_in_their_order() {
        let matrix = Matrix::new(3, 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(matrix.clone().with_rows(&[0, 1, 2]), matrix);
        assert_eq!(matrix.clone().with_rows(&[0, 2]), Matrix::new(2, 2, vec![1.0, 2.0, 5.0, 6.0]));
        assert_eq!(matrix.with_rows(&[]), Matrix::new(0, 2, vec![]));
    }
}
