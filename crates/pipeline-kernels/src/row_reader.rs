//! Rows of numbers that are read when they are needed, from memory or from files.

use std::fmt::Debug;
use std::io;
use std::ops::Range;

use crate::Matrix;

/// A matrix whose rows are read as they are needed, so that it may be larger than memory.
///
/// # Shapes
/// `[n_rows, n_cols]`
pub trait RowReader: Debug + Send + Sync {
    /// The number of rows.
    fn n_rows(&self) -> usize;

    /// The number of columns.
    fn n_cols(&self) -> usize;

    /// Reads the given rows, in any order and any of them repeatedly, one after the other into `values`.
    ///
    /// # Shapes
    /// `values`: `[rows.len(), n_cols]`
    ///
    /// # Errors
    /// When they cannot be read; the error names the file.
    ///
    /// # Panics
    /// When there is no such row, or `values` has another size: a bug of the caller.
    fn read_rows(&self, rows: &[usize], values: &mut [f32]) -> io::Result<()>;

    /// Says that these rows are read next, so that a file system may begin with them.
    fn announce(&self, rows: &[usize]) {
        let _ = rows;
    }

    /// Consecutive rows where they lie in memory; `None` where they must be read.
    fn in_memory(&self, rows: Range<usize>) -> Option<&[f32]> {
        let _ = rows;
        None
    }
}

/// The given rows, in any order and any of them repeatedly.
///
/// # Shapes
/// returns `[rows.len(), n_cols]`
///
/// # Errors
/// As [`RowReader::read_rows`].
pub fn read_rows(reader: &dyn RowReader, rows: &[usize]) -> io::Result<Vec<f32>> {
    let mut values = vec![0.0; rows.len() * reader.n_cols()];
    reader.read_rows(rows, &mut values)?;
    Ok(values)
}

/// Consecutive rows, read into `buffer` unless they lie in memory.
///
/// # Shapes
/// returns `[rows.len(), n_cols]`
///
/// # Errors
/// As [`RowReader::read_rows`].
pub fn consecutive_rows<'a>(
    reader: &'a dyn RowReader,
    rows: Range<usize>,
    buffer: &'a mut Vec<f32>,
) -> io::Result<&'a [f32]> {
    if let Some(values) = reader.in_memory(rows.clone()) {
        return Ok(values);
    }
    buffer.resize(rows.len() * reader.n_cols(), 0.0);
    reader.read_rows(&rows.collect::<Vec<_>>(), buffer)?;
    Ok(buffer)
}

/// The most bytes of a block of [`each_block`], unless a row has more.
pub const BLOCK_BYTES: usize = 8 << 20;

/// Passes all rows to `each`, one block after the other: some 8 MiB, or a single row.
///
/// # Shapes
/// `each` receives `[rows.len(), n_cols]`
///
/// # Errors
/// As [`RowReader::read_rows`], or the first error of `each`.
pub fn each_block<E: From<io::Error>>(
    reader: &dyn RowReader,
    mut each: impl FnMut(Range<usize>, &[f32]) -> Result<(), E>,
) -> Result<(), E> {
    let (n_rows, mut buffer) = (reader.n_rows(), Vec::new());
    let n_at_once = (BLOCK_BYTES / (4 * reader.n_cols()).max(1)).max(1);
    for first_row in (0..n_rows).step_by(n_at_once) {
        let rows = first_row..n_rows.min(first_row + n_at_once);
        each(rows.clone(), consecutive_rows(reader, rows, &mut buffer)?)?;
    }
    Ok(())
}

impl RowReader for Matrix {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn n_cols(&self) -> usize {
        self.n_cols
    }

    fn read_rows(&self, rows: &[usize], values: &mut [f32]) -> io::Result<()> {
        assert_eq!(values.len(), rows.len() * self.n_cols, "BUG: {} rows of {} numbers", rows.len(), self.n_cols);
        let places = values.chunks_exact_mut(self.n_cols.max(1));
        places.zip(rows).for_each(|(place, row_idx)| place.copy_from_slice(self.row(*row_idx)));
        Ok(())
    }

    fn in_memory(&self, rows: Range<usize>) -> Option<&[f32]> {
        Some(&self.values[rows.start * self.n_cols..rows.end * self.n_cols])
    }
}

/// Some rows of others.
#[derive(Debug)]
pub struct SelectedRows<Reader> {
    /// The others.
    pub reader: Reader,
    /// The rows, in the order that they have here.
    pub rows: Vec<usize>,
}

impl<Reader: AsRef<dyn RowReader> + Debug + Send + Sync> RowReader for SelectedRows<Reader> {
    fn n_rows(&self) -> usize {
        self.rows.len()
    }

    fn n_cols(&self) -> usize {
        self.reader.as_ref().n_cols()
    }

    fn read_rows(&self, rows: &[usize], values: &mut [f32]) -> io::Result<()> {
        let rows: Vec<usize> = rows.iter().map(|row_idx| self.rows[*row_idx]).collect();
        self.reader.as_ref().read_rows(&rows, values)
    }

    fn announce(&self, rows: &[usize]) {
        let rows: Vec<usize> = rows.iter().map(|row_idx| self.rows[*row_idx]).collect();
        self.reader.as_ref().announce(&rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_matrix_are_read_in_any_order_and_through_a_selection() {
        let matrix = Matrix::new(3, 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut values = [0.0; 6];
        matrix.read_rows(&[2, 0, 2], &mut values).unwrap();
        assert_eq!(values, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        assert_eq!(consecutive_rows(&matrix, 1..3, &mut Vec::new()).unwrap(), [3.0, 4.0, 5.0, 6.0]);
        let reader: Box<dyn RowReader> = Box::new(matrix);
        let selected = SelectedRows { reader, rows: vec![2, 1] };
        assert_eq!((selected.n_rows(), selected.n_cols()), (2, 2));
        assert_eq!(consecutive_rows(&selected, 0..2, &mut Vec::new()).unwrap(), [5.0, 6.0, 3.0, 4.0]);
        assert!(selected.in_memory(0..1).is_none());
    }

    #[test]
    fn all_rows_are_passed_in_blocks() {
        let n_cols = 1 << 20;
        let matrix = Matrix::new(5, n_cols, (0..5 * n_cols).map(|idx| (idx / n_cols) as f32).collect());
        let mut blocks = Vec::new();
        each_block(&matrix, |rows, values| {
            blocks.push((rows, values[0], values.len() / n_cols));
            Ok::<_, io::Error>(())
        })
        .unwrap();
        assert_eq!(blocks, [(0..2, 0.0, 2), (2..4, 2.0, 2), (4..5, 4.0, 1)]);
    }

    #[test]
    fn rows_without_numbers_are_read_too() {
        let matrix = Matrix::new(3, 0, vec![]);
        matrix.read_rows(&[1, 2], &mut []).unwrap();
        assert!(consecutive_rows(&matrix, 0..3, &mut Vec::new()).unwrap().is_empty());
    }
}
