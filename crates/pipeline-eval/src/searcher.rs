//! A search of images that is not the processor's own, such as that of a GPU.

use std::error::Error;
use std::ops::Range;

use rayon::prelude::*;

use super::RankError;
use super::pool::Pool;
use super::search::Search;
use super::top::Hit;

/// The embeddings of the images that a searcher sees at once, in bytes.
const BLOCK_BYTES: usize = 64 << 20;
/// The most images that a searcher sees at once.
const BLOCK_IMAGES: usize = 32_768;

/// Searches images for the queries of a pass, a block at a time.
///
/// Every score has the bits that a processor with fused products and sums gives it: over each
/// [`BLOCK_DEPTH`](pipeline_kernels::BLOCK_DEPTH) numbers one fused sum from zero, then the sum of these in their
/// order. An image ranks ahead of another if its score is higher, or equal and its row lower; NaN is not ranked.
pub trait Searcher: Send {
    /// Takes the queries of the next pass.
    ///
    /// # Errors
    /// When the searcher fails.
    fn begin(&mut self, pass: &Pass<'_>) -> Result<(), SearchError>;

    /// Searches the images of these rows for all queries of the pass.
    ///
    /// # Shapes
    /// `images`: `[rows.len(), dim]`
    ///
    /// # Errors
    /// When the searcher fails, or its score of a relevant image is not the one that the pass has.
    fn see(&mut self, images: &[f32], rows: Range<u32>) -> Result<Seen, SearchError>;
}

/// The reason why a searcher failed.
pub type SearchError = Box<dyn Error + Send + Sync>;

/// Queries that are searched for at once.
#[derive(Debug)]
pub struct Pass<'a> {
    /// The embeddings: `[n_queries, dim]`.
    pub queries: &'a [f32],
    /// The numbers of an embedding, at least one.
    pub dim: usize,
    /// The place of each query's first relevant image in `rows` and `scores`, and their number: `[n_queries + 1]`.
    pub starts: Vec<u32>,
    /// The rows of relevant images, each once for its query.
    pub rows: Vec<u32>,
    /// Their scores, as the processor computes them; never NaN.
    pub scores: Vec<f32>,
    /// The number of best images that are wanted.
    pub top_k: usize,
}

impl Pass<'_> {
    /// The number of queries.
    pub fn n_queries(&self) -> usize {
        self.starts.len() - 1
    }
}

/// What a block of images adds to the search of each query.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// For each relevant image of the pass, the number of images of the block that rank ahead of it.
    pub n_before: Vec<u32>,
    /// The best images of the block, the best first, and [`Seen::ABSENT`] after the last: `[n_queries, top_k]`.
    pub top_rows: Vec<u32>,
    /// Their scores, of the same shape.
    pub top_scores: Vec<f32>,
}

impl Seen {
    /// The row of no image.
    pub const ABSENT: u32 = u32::MAX;
}

/// Passes all images to the searcher, and what it sees to the searches.
pub(super) fn search(
    searcher: &mut dyn Searcher,
    queries: &[f32],
    pool: &Pool<'_>,
    searches: &mut [Search],
    top_k: usize,
) -> Result<(), RankError> {
    let dim = pool.dim();
    let hits = || searches.iter().flat_map(Search::relevant);
    let rows = hits().map(|hit| row_number(hit.row)).collect();
    let scores = hits().map(|hit| hit.score).collect();
    let mut starts = vec![0];
    starts.extend(searches.iter().scan(0, |end, search| {
        *end += search.relevant().len();
        Some(row_number(*end))
    }));
    let pass = Pass { queries, dim, starts, rows, scores, top_k };
    searcher.begin(&pass).map_err(RankError::Search)?;
    let mut images = Vec::new();
    for block in pool.blocks_of((BLOCK_BYTES / (4 * dim)).clamp(1, BLOCK_IMAGES)) {
        pool.read(&block, &mut images)?;
        let rows = row_number(block.start)..row_number(block.end);
        let seen = searcher.see(&images, rows).map_err(RankError::Search)?;
        searches.par_iter_mut().enumerate().for_each(|(query_idx, search)| {
            let relevant = pass.starts[query_idx] as usize..pass.starts[query_idx + 1] as usize;
            let top = query_idx * top_k..(query_idx + 1) * top_k;
            let hits = seen.top_rows[top.clone()].iter().zip(&seen.top_scores[top]);
            let hits = hits.take_while(|(row, _)| **row != Seen::ABSENT);
            let hits = hits.map(|(row, score)| Hit { row: *row as usize, score: *score });
            search.add(&seen.n_before[relevant], hits);
        });
    }
    Ok(())
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a searcher is given fewer images, and relevant images in a pass, than 2³²")
}
