//! Ranks every image for every query.

use burn::tensor::Tensor;
use burn_flex::Flex;

use super::RetrievalError;
use super::embed::{normalize_rows, rows_of, to_tensor, to_values};
use super::top::{Hit, Top};
use crate::Matrix;
use crate::device::map_batches;

/// Queries scored at once, at most.
const MAX_BLOCK_ROWS: usize = 128;
/// Scores that one thread holds at once: 16 MiB, or one query's if these are more.
const MAX_BLOCK_SCORES: usize = 4 * 1024 * 1024;

/// How alike two embeddings are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of their angle; 0 if one of them is zero.
    #[default]
    Cosine,
    /// Their inner product.
    Dot,
}

/// The images for one query, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The first images: row and score. At most as many as asked for.
    pub top: Vec<(usize, f32)>,
    /// The place of the best relevant image among all images, from 1; `None` if there is no relevant image.
    pub best_rank: Option<usize>,
}

/// Ranks all images for each query: higher score first, then lower row.
///
/// An image whose score is not a number is not ranked at all. The thread count changes no bit of the result; memory is
/// bounded by one copy of the images and some 16 MiB per thread.
///
/// # Shapes
/// - queries: `[n_queries, dim]`, images: `[n_images, dim]`
/// - relevant: for each query, the rows of its relevant images
///
/// # Errors
/// When queries and images have different widths.
///
/// # Panics
/// When `relevant` does not have an entry per query, or names a row that is not there: a bug of the caller.
pub fn rank(
    queries: &Matrix,
    images: &Matrix,
    relevant: &[Vec<usize>],
    top_k: usize,
    similarity: Similarity,
    n_threads: usize,
) -> Result<Vec<Ranking>, RetrievalError> {
    assert_eq!(relevant.len(), queries.n_rows, "BUG: every query needs its list of relevant images");
    if queries.n_cols != images.n_cols {
        return Err(RetrievalError::Embeddings { d_queries: queries.n_cols, d_images: images.n_cols });
    }
    if images.n_rows == 0 {
        return Ok(vec![Ranking { top: Vec::new(), best_rank: None }; queries.n_rows]);
    }
    let pool = to_pool(images, similarity);
    let block_rows = (MAX_BLOCK_SCORES / images.n_rows).clamp(1, MAX_BLOCK_ROWS);
    let blocks = map_batches(queries.n_rows.div_ceil(block_rows), n_threads, |block_idx| {
        let first_row = block_idx * block_rows;
        let scores = score_block(queries, first_row, block_rows, &pool, similarity);
        let rows = scores.chunks_exact(images.n_rows).zip(&relevant[first_row..]);
        rows.map(|(scores, relevant)| rank_one(scores, relevant, top_k)).collect::<Vec<_>>()
    });
    Ok(blocks.concat())
}

/// # Shapes
/// - output: `[dim, n_images]`
fn to_pool(images: &Matrix, similarity: Similarity) -> Tensor<Flex, 2> {
    let mut images = images.clone();
    if similarity == Similarity::Cosine {
        normalize_rows(&mut images);
    }
    to_tensor(images).transpose()
}

/// # Shapes
/// - pool: `[dim, n_images]`
/// - output: `[at most n_rows, n_images]`
fn score_block(
    queries: &Matrix,
    first_row: usize,
    n_rows: usize,
    pool: &Tensor<Flex, 2>,
    similarity: Similarity,
) -> Vec<f32> {
    let mut block = rows_of(queries, first_row, n_rows);
    if similarity == Similarity::Cosine {
        normalize_rows(&mut block);
    }
    to_values(to_tensor(block).matmul(pool.clone()))
}

fn rank_one(scores: &[f32], relevant: &[usize], top_k: usize) -> Ranking {
    let hits =
        || scores.iter().enumerate().filter(|(_, score)| !score.is_nan()).map(|(row, &score)| Hit { row, score });
    let mut top = Top::new(top_k.min(scores.len()));
    hits().for_each(|hit| top.push(hit));
    let is_number = |hit: &Hit| !hit.score.is_nan();
    let best = relevant.iter().map(|&row| Hit { row, score: scores[row] }).filter(is_number).max();
    Ranking {
        top: top.into_sorted().into_iter().map(|hit| (hit.row, hit.score)).collect(),
        best_rank: best.map(|best| hits().filter(|hit| *hit > best).count() + 1),
    }
}
