//! The inputs of a map, laid out for its product and for that of its gradient.

use pipeline_kernels::{InstructionSet, PackedMatrix};

/// Columns of vectors.
pub(super) struct Inputs {
    /// `[n_inputs, n_columns]`
    pub(super) columns: PackedMatrix,
    /// `[n_columns, n_inputs]`
    pub(super) rows: PackedMatrix,
}

impl Inputs {
    pub(super) fn new(instructions: InstructionSet) -> Self {
        Self { columns: PackedMatrix::new(instructions), rows: PackedMatrix::new(instructions) }
    }

    /// Replaces the columns.
    ///
    /// # Shapes
    /// `values`: `[n_inputs, n_columns]`
    pub(super) fn pack(&mut self, values: &[f32], n_columns: usize) {
        let n_inputs = values.len() / n_columns;
        rayon::join(
            || self.columns.pack(n_inputs, n_columns, |k, column| values[k * n_columns + column]),
            || self.rows.pack(n_columns, n_inputs, |column, k| values[k * n_columns + column]),
        );
    }
}
