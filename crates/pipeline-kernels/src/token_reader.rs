//! Rows of token vectors that are read when they are needed, from memory or from files.

use std::fmt::Debug;
use std::io;

use crate::{SelectedRows, TokenMatrix};

/// Token vectors whose rows are read as they are needed, so that they may be larger than memory.
pub trait TokenReader: Debug + Send + Sync {
    /// The numbers of a token's vector.
    fn width(&self) -> usize;

    /// The number of rows.
    fn n_rows(&self) -> usize;

    /// The number of tokens of a row.
    ///
    /// # Panics
    /// When there is no such row: a bug of the caller.
    fn n_tokens(&self, row_idx: usize) -> usize;

    /// The vectors of a row; `buffer` holds them where they must be read or widened.
    ///
    /// # Shapes
    /// returns `[n_tokens, width]`
    ///
    /// # Errors
    /// When they cannot be read; the error names the file.
    ///
    /// # Panics
    /// When there is no such row: a bug of the caller.
    fn read_row<'a>(&'a self, row_idx: usize, buffer: &'a mut Vec<f32>) -> io::Result<&'a [f32]>;

    /// Says that these rows are read next, so that a file system may begin with them.
    fn announce(&self, rows: &[usize]) {
        let _ = rows;
    }
}

impl TokenReader for TokenMatrix {
    fn width(&self) -> usize {
        self.width()
    }

    fn n_rows(&self) -> usize {
        self.n_rows()
    }

    fn n_tokens(&self, row_idx: usize) -> usize {
        self.n_tokens(row_idx)
    }

    fn read_row<'a>(&'a self, row_idx: usize, buffer: &'a mut Vec<f32>) -> io::Result<&'a [f32]> {
        Ok(self.row(row_idx, buffer))
    }
}

impl<Reader: AsRef<dyn TokenReader> + Debug + Send + Sync> TokenReader for SelectedRows<Reader> {
    fn width(&self) -> usize {
        self.reader.as_ref().width()
    }

    fn n_rows(&self) -> usize {
        self.rows.len()
    }

    fn n_tokens(&self, row_idx: usize) -> usize {
        self.reader.as_ref().n_tokens(self.rows[row_idx])
    }

    fn read_row<'a>(&'a self, row_idx: usize, buffer: &'a mut Vec<f32>) -> io::Result<&'a [f32]> {
        self.reader.as_ref().read_row(self.rows[row_idx], buffer)
    }

    fn announce(&self, rows: &[usize]) {
        let rows: Vec<usize> = rows.iter().map(|row_idx| self.rows[*row_idx]).collect();
        self.reader.as_ref().announce(&rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenNumbers;

    #[test]
    fn rows_are_read_from_memory_in_either_precision_and_through_a_selection() {
        let single = TokenMatrix::new(2, [1, 0, 2], TokenNumbers::Single(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let half = single.clone().in_halves().unwrap();
        for tokens in [single, half] {
            let reader: Box<dyn TokenReader> = Box::new(tokens);
            let selected = SelectedRows { reader, rows: vec![2, 1] };
            let selected: &dyn TokenReader = &selected;
            assert_eq!((selected.n_rows(), selected.width()), (2, 2));
            assert_eq!((selected.n_tokens(0), selected.n_tokens(1)), (2, 0));
            let mut buffer = Vec::new();
            assert_eq!(selected.read_row(0, &mut buffer).unwrap(), [3.0, 4.0, 5.0, 6.0]);
            assert!(selected.read_row(1, &mut buffer).unwrap().is_empty());
        }
    }
}
