//! Embeddings that are computed when they are read.

use std::io;

use pipeline_kernels::{Matrix, RowReader, read_rows};

use super::{EmbedError, Head, embed};

/// Features that go through trained heads when they are read: rows that are read together are embedded together.
///
/// # Shapes
/// `[n_rows, dim]`
#[derive(Debug)]
pub struct EmbeddedRows {
    features: Box<dyn RowReader>,
    head: Option<Head>,
    normalize: bool,
    n_threads: usize,
}

impl EmbeddedRows {
    /// Embeds features as [`embed`] does.
    ///
    /// # Errors
    /// When the head takes rows of another width.
    pub fn new(
        features: Box<dyn RowReader>,
        head: Option<Head>,
        normalize: bool,
        n_threads: usize,
    ) -> Result<Self, EmbedError> {
        let d_features = features.n_cols();
        match head.as_ref().map(Head::d_features).filter(|d_head| *d_head != d_features) {
            Some(d_head) => Err(EmbedError::Widths { d_features, d_head }),
            None => Ok(Self { features, head, normalize, n_threads }),
        }
    }
}

impl RowReader for EmbeddedRows {
    fn n_rows(&self) -> usize {
        self.features.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.head.as_ref().map_or(self.features.n_cols(), |head| head.output.bias.len())
    }

    fn read_rows(&self, rows: &[usize], values: &mut [f32]) -> io::Result<()> {
        let features = Matrix::new(rows.len(), self.features.n_cols(), read_rows(&*self.features, rows)?);
        let embedded = embed(&features, self.head.as_ref(), self.normalize, self.n_threads);
        values.copy_from_slice(&embedded.map_err(io::Error::other)?.values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::initial_heads;
    use crate::weights::fixtures::noise;

    #[test]
    fn rows_that_are_read_are_those_that_are_embedded_at_once() {
        let features = || Matrix::new(300, 7, noise("features", vec![300, 7], 1.0).values);
        let head = || initial_heads(7, 7, 4, 1).text;
        for head in [Some(head()), None] {
            let expected = embed(&features(), head.as_ref(), true, 2).unwrap();
            let rows = EmbeddedRows::new(Box::new(features()), head, true, 2).unwrap();
            assert_eq!((rows.n_rows(), rows.n_cols()), (300, expected.n_cols));
            for chosen in [vec![299, 3, 3, 4, 0], (0..300).collect(), vec![]] {
                let expected: Vec<f32> = chosen.iter().flat_map(|row_idx| expected.row(*row_idx)).copied().collect();
                assert_eq!(read_rows(&rows, &chosen).unwrap(), expected);
            }
        }
        let wide = EmbeddedRows::new(Box::new(Matrix::zeros(1, 8)), Some(head()), true, 2);
        assert!(matches!(wide, Err(EmbedError::Widths { d_features: 8, d_head: 7 })));
    }
}
