//! Ranks every image for every query.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use rayon::prelude::*;

use super::RankError;
use super::pool::{GROUP_IMAGES, Group, Pool};
use super::ranking::{Ranking, Similarity};
use super::search::Search;
use super::searcher::{self, Searcher, Seen};
use pipeline_kernels::Matrix;
use pipeline_kernels::normalize_rows;
use pipeline_kernels::{InstructionSet, PackedMatrix, RowReader, Rows, on_threads, read_rows};

/// Queries per unit of work of a thread: their embeddings stay in the second-level cache.
const BLOCK_QUERIES: usize = 96;

/// The embeddings of the queries that are searched for at once, in bytes.
const PASS_BYTES: usize = 64 << 20;
/// The bytes of an image that a searcher has found: its row and score.
const FOUND_BYTES: usize = 8;

/// Ranks all images for each query: higher score first, then lower row.
///
/// An image whose score is NaN is not ranked. The thread count changes no bit of the result. Memory is bounded by 64
/// MiB of queries, `top_k` images for each of all queries, and 8,192 images twice. The images are read once for each 64
/// MiB of queries.
///
/// # Shapes
/// - queries: `[n_queries, dim]`, images: `[n_images, dim]`
/// - relevant: for each query, the rows of its relevant images
///
/// # Errors
/// When queries and images have different widths, or cannot be read.
///
/// # Panics
/// When `relevant` does not have one entry per query, or names a row that is not there: a bug of the caller.
pub fn rank(
    queries: &dyn RowReader,
    images: &dyn RowReader,
    relevant: &[Vec<usize>],
    top_k: usize,
    similarity: Similarity,
    n_threads: usize,
) -> Result<Vec<Ranking>, RankError> {
    let task = RankAll::new(queries, images, relevant, top_k, similarity)?;
    on_threads(n_threads, || task.run(InstructionSet::best(), None))
}

/// As [`rank`], and with the same bits: a searcher sees the images, where this processor fuses products and sums.
///
/// Elsewhere its scores would have other bits, so that the processor searches. Memory is bounded by 64 MiB of queries
/// and as much of their `top_k` images, `top_k` images for each of all queries, and 64 MiB of images; a searcher may
/// copy queries and images.
///
/// # Errors
/// As [`rank`], and when the searcher fails.
///
/// # Panics
/// As [`rank`], and when the searcher's answer has another shape than it must have.
pub fn rank_by(
    searcher: &mut dyn Searcher,
    queries: &dyn RowReader,
    images: &dyn RowReader,
    relevant: &[Vec<usize>],
    top_k: usize,
    similarity: Similarity,
    n_threads: usize,
) -> Result<Vec<Ranking>, RankError> {
    let task = RankAll::new(queries, images, relevant, top_k, similarity)?;
    let instructions = InstructionSet::best();
    let can_search = instructions.fuses() && images.n_cols() > 0 && images.n_rows() < Seen::ABSENT as usize;
    on_threads(n_threads, || task.run(instructions, can_search.then_some(searcher)))
}

/// The arguments of [`rank`].
pub(super) struct RankAll<'a> {
    pub(super) queries: &'a dyn RowReader,
    pub(super) images: &'a dyn RowReader,
    pub(super) relevant: &'a [Vec<usize>],
    /// At most the number of images.
    pub(super) top_k: usize,
    pub(super) similarity: Similarity,
}

impl<'a> RankAll<'a> {
    fn new(
        queries: &'a dyn RowReader,
        images: &'a dyn RowReader,
        relevant: &'a [Vec<usize>],
        top_k: usize,
        similarity: Similarity,
    ) -> Result<Self, RankError> {
        assert_eq!(relevant.len(), queries.n_rows(), "BUG: every query needs its list of relevant images");
        let (d_queries, d_images) = (queries.n_cols(), images.n_cols());
        if d_queries != d_images {
            return Err(RankError::Widths { d_queries, d_images });
        }
        Ok(Self { queries, images, relevant, top_k: top_k.min(images.n_rows()), similarity })
    }

    pub(super) fn run(
        &self,
        instructions: InstructionSet,
        searcher: Option<&mut dyn Searcher>,
    ) -> Result<Vec<Ranking>, RankError> {
        let bytes_of_top = if searcher.is_some() { self.top_k * FOUND_BYTES } else { 0 };
        let bytes_of_query = (4 * self.queries.n_cols()).max(bytes_of_top).max(1);
        self.run_in_passes((PASS_BYTES / bytes_of_query).max(BLOCK_QUERIES), instructions, searcher)
    }

    /// Takes so many queries at once, on the threads of the current rayon pool.
    pub(super) fn run_in_passes(
        &self,
        n_queries: usize,
        instructions: InstructionSet,
        mut searcher: Option<&mut dyn Searcher>,
    ) -> Result<Vec<Ranking>, RankError> {
        let mut rankings = Vec::with_capacity(self.relevant.len());
        for first_query in (0..self.queries.n_rows()).step_by(n_queries) {
            let queries = first_query..self.queries.n_rows().min(first_query + n_queries);
            let searcher: Option<&mut dyn Searcher> = match &mut searcher {
                Some(searcher) => Some(&mut **searcher),
                None => None,
            };
            let searches = self.pass(queries, instructions, searcher)?;
            rankings.extend(searches.into_iter().map(Search::into_ranking));
        }
        Ok(rankings)
    }

    /// Takes the pool block by block, each with all queries of the pass.
    fn pass(
        &self,
        queries: Range<usize>,
        instructions: InstructionSet,
        searcher: Option<&mut dyn Searcher>,
    ) -> Result<Vec<Search>, RankError> {
        let (relevant, dim) = (&self.relevant[queries.clone()], self.queries.n_cols());
        let mut queries = match self.queries.in_memory(queries.clone()) {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(read_rows(self.queries, &queries.collect::<Vec<_>>())?),
        };
        if self.similarity == Similarity::Cosine {
            let mut matrix = Matrix::new(relevant.len(), dim, queries.into_owned());
            normalize_rows(&mut matrix);
            queries = Cow::Owned(matrix.values);
        }
        let pool = Pool::new(self.images, self.similarity);
        let mut searches: Vec<_> = relevant.iter().map(|_| Search::new(self.top_k)).collect();
        searches.par_iter_mut().enumerate().try_for_each_init(
            || PackedMatrix::new(instructions),
            |packed, (query_idx, search)| {
                let query = &queries[query_idx * dim..][..dim];
                search.look_for(&relevant_scores(query, &relevant[query_idx], &pool, packed)?);
                Ok::<_, io::Error>(())
            },
        )?;
        if let Some(searcher) = searcher {
            searcher::search(searcher, &queries, &pool, &mut searches, self.top_k)?;
            return Ok(searches);
        }
        let mut groups = Vec::new();
        for block in pool.blocks() {
            pool.pack(&block, &mut groups, instructions)?;
            searches.par_chunks_mut(BLOCK_QUERIES).enumerate().for_each_init(
                Vec::new,
                |scores, (block_idx, searches)| {
                    let rows = Rows {
                        values: &queries[block_idx * BLOCK_QUERIES * dim..],
                        stride: dim,
                        n_rows: searches.len(),
                    };
                    groups.iter().for_each(|group| score(rows, group, scores, searches, instructions));
                },
            );
        }
        Ok(searches)
    }
}

/// The rows and scores of a query's relevant images.
///
/// The scores equal those of the search to the last bit: a product's sums depend on the depth alone.
fn relevant_scores(
    query: &[f32],
    relevant: &[usize],
    pool: &Pool<'_>,
    packed: &mut PackedMatrix,
) -> io::Result<Vec<(usize, f32)>> {
    let mut scores = vec![0.0; relevant.len()];
    if !relevant.is_empty() {
        pool.gather(relevant, packed)?;
        let row = Rows { values: query, stride: query.len(), n_rows: 1 };
        packed.multiply(row, &mut scores, relevant.len(), |_, _| ());
    }
    Ok(relevant.iter().copied().zip(scores).collect())
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
