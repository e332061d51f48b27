//! The last layers of towers on the processor, from the vectors of tokens that enter them.

use std::io;
use std::ops::Range;

use pipeline_kernels::{InstructionSet, Matrix, TokenReader, map_batches};

use super::attention::Asking;
use super::head::Head;
use super::{Layers, means};
use crate::tower::{Top, TopPool};

/// Rows that are computed together.
const BATCH_ROWS: usize = 32;

/// The last layers with their weights laid out.
struct CpuTop {
    width: usize,
    layers: Layers,
    pool: TopPool,
    head: Head,
}

impl CpuTop {
    fn new(top: Top, instructions: InstructionSet) -> Self {
        let Top { shape, layers, final_norm, pool, head } = top;
        Self {
            width: shape.width,
            layers: Layers::new(layers, final_norm, &shape, instructions),
            pool,
            head: Head::new(head, shape.epsilon, instructions),
        }
    }

    /// # Shapes
    /// `hidden`: `[sum of lengths, width]` · returns `[n_rows, dim]`
    fn forward(&self, mut hidden: Vec<f32>, lengths: &[usize]) -> Vec<f32> {
        let places: Option<Vec<usize>> = lengths.iter().map(|length| self.pool.place(*length)).collect();
        self.layers.forward(&mut hidden, lengths, places.as_deref().map_or(Asking::All, Asking::One));
        if let TopPool::Mean { n_skipped } = self.pool {
            hidden = means(&hidden, self.width, lengths, n_skipped);
        }
        self.head.forward(hidden)
    }
}

impl Top {
    /// The features of consecutive rows of tokens, on `n_threads` threads; their number changes no bit.
    ///
    /// # Shapes
    /// returns `[rows.len(), dim]`
    ///
    /// # Errors
    /// When the tokens cannot be read.
    ///
    /// # Panics
    /// When tokens have another width, or a row has too few of them ([`Top::first_short_row`]): a bug of the caller.
    pub fn features(&self, tokens: &dyn TokenReader, rows: Range<usize>, n_threads: usize) -> io::Result<Matrix> {
        assert_eq!(tokens.width(), self.width(), "BUG: tokens as wide as the layers");
        let top = CpuTop::new(self.clone(), InstructionSet::best());
        let batches = map_batches(rows.len().div_ceil(BATCH_ROWS), n_threads, |batch_idx| {
            let batch = rows.clone().skip(batch_idx * BATCH_ROWS).take(BATCH_ROWS);
            let (mut hidden, mut buffer, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
            for row_idx in batch {
                hidden.extend_from_slice(tokens.read_row(row_idx, &mut buffer)?);
                lengths.push(tokens.n_tokens(row_idx));
            }
            Ok(top.forward(hidden, &lengths))
        });
        let batches = batches.into_iter().collect::<io::Result<Vec<_>>>()?;
        Ok(Matrix::new(rows.len(), self.dim(), batches.concat()))
    }
}
