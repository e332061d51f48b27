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

    /// The first row that holds an infinity or NaN, if there is one.
    pub fn first_row_not_finite(&self) -> Option<usize> {
        let value_idx = self.values.iter().position(|value| !value.is_finite())?;
        Some(value_idx / self.n_cols)
    }
}
