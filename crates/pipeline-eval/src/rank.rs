//! Ranks every image for every query.

use std::borrow::Cow;

use rayon::prelude::*;

use super::RankError;
use super::pool::{GROUP_IMAGES, Group, Pool};
use super::ranking::{Ranking, Similarity};
use super::search::Search;
use pipeline_kernels::Matrix;
use pipeline_kernels::normalize_rows;
use pipeline_kernels::{InstructionSet, PackedMatrix, Rows, on_threads};

/// Queries per unit of work of a thread: their embeddings stay in the second-level cache.
const BLOCK_QUERIES: usize = 96;

/// Ranks all images for each query: higher score first, then lower row.
///
/// An image whose score is NaN is not ranked. The thread count changes no bit of the result. Memory is bounded by one
/// copy of the queries, `top_k` images per query and some 20 MiB.
///
/// # Shapes
/// - queries: `[n_queries, dim]`, images: `[n_images, dim]`
/// - relevant: for each query, the rows of its relevant images
///
/// # Errors
/// When queries and images have different widths.
///
/// # Panics
/// When `relevant` does not have one entry per query, or names a row that is not there: a bug of the caller.
pub fn rank(
    queries: &Matrix,
    images: &Matrix,
    relevant: &[Vec<usize>],
    top_k: usize,
    similarity: Similarity,
    n_threads: usize,
) -> Result<Vec<Ranking>, RankError> {
    assert_eq!(relevant.len(), queries.n_rows, "BUG: every query needs its list of relevant images");
    if queries.n_cols != images.n_cols {
        return Err(RankError::Widths { d_queries: queries.n_cols, d_images: images.n_cols });
    }
    let task = RankAll { queries, images, relevant, top_k: top_k.min(images.n_rows), similarity };
    Ok(on_threads(n_threads, || task.run(InstructionSet::best())))
}

/// The arguments of [`rank`].
pub(super) struct RankAll<'a> {
    pub(super) queries: &'a Matrix,
    pub(super) images: &'a Matrix,
    pub(super) relevant: &'a [Vec<usize>],
    /// At most the number of images.
    pub(super) top_k: usize,
    pub(super) similarity: Similarity,
}

impl RankAll<'_> {
    /// Takes the pool block by block, each with all queries, on the threads of the current rayon pool.
    pub(super) fn run(&self, instructions: InstructionSet) -> Vec<Ranking> {
        let mut queries = Cow::Borrowed(self.queries);
        if self.similarity == Similarity::Cosine {
            normalize_rows(queries.to_mut());
        }
        let pool = Pool::new(self.images, self.similarity);
        let mut searches: Vec<_> = self.relevant.iter().map(|_| Search::new(self.top_k)).collect();
        searches.par_iter_mut().enumerate().for_each_init(
            || PackedMatrix::new(instructions),
            |packed, (query_idx, search)| {
                search.look_for(&relevant_scores(queries.row(query_idx), &self.relevant[query_idx], &pool, packed));
            },
        );
        let mut groups = Vec::new();
        for block in pool.blocks() {
            pool.pack(&block, &mut groups, instructions);
            searches.par_chunks_mut(BLOCK_QUERIES).enumerate().for_each_init(
                Vec::new,
                |scores, (block_idx, searches)| {
                    let values = &queries.values[block_idx * BLOCK_QUERIES * queries.n_cols..];
                    let rows = Rows { values, stride: queries.n_cols, n_rows: searches.len() };
                    groups.iter().for_each(|group| score(rows, group, scores, searches, instructions));
                },
            );
        }
        searches.into_iter().map(Search::into_ranking).collect()
    }
}

/// The rows and scores of a query's relevant images.
///
/// The scores equal those of the search to the last bit: a product's sums depend on the depth alone.
fn relevant_scores(query: &[f32], relevant: &[usize], pool: &Pool<'_>, packed: &mut PackedMatrix) -> Vec<(usize, f32)> {
    let mut scores = vec![0.0; relevant.len()];
    if !relevant.is_empty() {
        pool.gather(relevant, packed);
        let row = Rows { values: query, stride: query.len(), n_rows: 1 };
        packed.multiply(row, &mut scores, relevant.len(), |_, _| ());
    }
    relevant.iter().copied().zip(scores).collect()
}

/// Scores a group of images and passes the scores to the searches, one per row of queries.
fn score(rows: Rows<'_>, group: &Group, scores: &mut Vec<f32>, searches: &mut [Search], instructions: InstructionSet) {
    scores.resize(rows.n_rows.max(BLOCK_QUERIES) * GROUP_IMAGES, 0.0);
    group.packed.multiply(rows, scores, GROUP_IMAGES, |_, _| ());
    instructions.run(
        #[inline(always)]
        || {
            for (scores, search) in scores.chunks_exact(GROUP_IMAGES).zip(searches) {
                search.see(&scores[..group.n_images], group.first_image);
            }
        },
    );
}
