//! The ranks of all relevant images of each query, where [`rank`](super::rank()) tells the best one only.

use super::embed::{normalize_rows, rows_of, to_tensor, to_values};
use super::top::Hit;
use super::{RetrievalError, Similarity};
use crate::Matrix;
use crate::device::map_batches;

/// Queries scored at once, at most.
const MAX_BLOCK_ROWS: usize = 128;
/// Scores that one thread holds at once: 16 MiB, or one query's if these are more.
const MAX_BLOCK_SCORES: usize = 4 * 1024 * 1024;

/// The 1-based ranks of the relevant images of each query among all images, ascending.
///
/// Ranks as [`rank`](super::rank()) does: higher score first, then lower row; an image whose score is not a number has no
/// rank. The thread count changes nothing. Texts rank for images with the two matrices the other way around.
///
/// # Shapes
/// - queries: `[n_queries, dim]`, images: `[n_images, dim]`
/// - relevant: for each query, the rows of its relevant images; a row that is named twice counts once
///
/// # Errors
/// When queries and images have different widths.
///
/// # Panics
/// When `relevant` does not have an entry per query, or names a row that is not there: a bug of the caller.
pub fn relevant_ranks(
    queries: &Matrix,
    images: &Matrix,
    relevant: &[Vec<usize>],
    similarity: Similarity,
    n_threads: usize,
) -> Result<Vec<Vec<usize>>, RetrievalError> {
    assert_eq!(relevant.len(), queries.n_rows, "BUG: every query needs its list of relevant images");
    if queries.n_cols != images.n_cols {
        return Err(RetrievalError::Embeddings { d_queries: queries.n_cols, d_images: images.n_cols });
    }
    if images.n_rows == 0 {
        return Ok(vec![Vec::new(); queries.n_rows]);
    }
    let pool = to_tensor(prepared(images.clone(), similarity)).transpose();
    let block_rows = (MAX_BLOCK_SCORES / images.n_rows).clamp(1, MAX_BLOCK_ROWS);
    let blocks = map_batches(queries.n_rows.div_ceil(block_rows), n_threads, |block_idx| {
        let first_row = block_idx * block_rows;
        let block = prepared(rows_of(queries, first_row, block_rows), similarity);
        let scores = to_values(to_tensor(block).matmul(pool.clone()));
        let rows = scores.chunks_exact(images.n_rows).zip(&relevant[first_row..]);
        rows.map(|(scores, relevant)| ranks_among(scores, relevant)).collect::<Vec<_>>()
    });
    Ok(blocks.concat())
}

/// The 1-based ranks of the rows `relevant` by these scores, ascending: higher score first, then lower row.
///
/// What has no number for a score is not ranked at all.
///
/// # Panics
/// When a row is not there: a bug of the caller.
pub fn ranks_among(scores: &[f32], relevant: &[usize]) -> Vec<usize> {
    let hit = |row: usize| Some(Hit { row, score: scores[row] }).filter(|hit| !hit.score.is_nan());
    let mut wanted: Vec<Hit> = relevant.iter().filter_map(|&row| hit(row)).collect();
    wanted.sort_unstable_by(|a, b| b.cmp(a));
    wanted.dedup();
    let Some(worst) = wanted.last().copied() else { return Vec::new() };
    // How many rows rank right before each wanted one, behind the wanted one before it.
    let mut n_before = vec![0; wanted.len()];
    for hit in (0..scores.len()).filter_map(hit).filter(|hit| *hit > worst) {
        n_before[wanted.partition_point(|wanted| *wanted >= hit)] += 1;
    }
    let mut rank = 0;
    let ranks = n_before.iter().map(|n_before| {
        rank += n_before;
        rank + 1
    });
    ranks.collect()
}

fn prepared(mut matrix: Matrix, similarity: Similarity) -> Matrix {
    if similarity == Similarity::Cosine {
        normalize_rows(&mut matrix);
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrieval::rank;

    #[test]
    fn ranks_follow_the_score_and_then_the_row() {
        let scores = [0.5, f32::NAN, 0.9, 0.5, 0.1, 0.5];
        assert_eq!(ranks_among(&scores, &[5, 2, 0]), [1, 2, 4]);
        assert_eq!(ranks_among(&scores, &[3, 3, 4, 1]), [3, 5], "named twice counts once, NaN has no rank");
        assert_eq!(ranks_among(&scores, &[]), Vec::<usize>::new());
        assert_eq!(ranks_among(&[0.0, -0.0, 1.0], &[1]), [3], "zeros are equal whatever their sign");
    }

    #[test]
    fn the_first_of_them_is_the_best_rank() {
        // Numbers with few values, so that ties are common.
        let numbers = |n_rows: usize, n_cols: usize, step: usize| {
            let values = (0..n_rows * n_cols).map(|place| ((place * step) % 7) as f32 - 3.0).collect();
            Matrix::new(n_rows, n_cols, values)
        };
        let (queries, images) = (numbers(150, 5, 3), numbers(401, 5, 11));
        let relevant: Vec<Vec<usize>> =
            (0..150).map(|row| (0..row % 5).map(|nth| row * 2 + nth * 7).collect()).collect();
        for similarity in [Similarity::Cosine, Similarity::Dot] {
            let rankings = rank(&queries, &images, &relevant, 401, similarity, 2).unwrap();
            let ranks = relevant_ranks(&queries, &images, &relevant, similarity, 2).unwrap();
            assert_eq!(ranks, relevant_ranks(&queries, &images, &relevant, similarity, 1).unwrap());
            for (row, (ranking, ranks)) in rankings.iter().zip(&ranks).enumerate() {
                assert_eq!(ranks.first().copied(), ranking.best_rank);
                assert!(ranks.is_sorted());
                let places = ranking.top.iter().enumerate();
                let expect: Vec<usize> =
                    places.filter(|(_, (image, _))| relevant[row].contains(image)).map(|(idx, _)| idx + 1).collect();
                assert_eq!(*ranks, expect);
            }
        }
    }

    #[test]
    fn nothing_ranks_in_an_empty_pool_and_widths_must_fit() {
        let queries = Matrix::zeros(2, 3);
        let none = relevant_ranks(&queries, &Matrix::zeros(0, 3), &[vec![], vec![]], Similarity::Cosine, 2).unwrap();
        assert!(none.len() == 2 && none.iter().all(Vec::is_empty));
        let error = relevant_ranks(&queries, &Matrix::zeros(1, 4), &[vec![], vec![]], Similarity::Dot, 1).unwrap_err();
        assert_eq!(error, RetrievalError::Embeddings { d_queries: 3, d_images: 4 });
    }
}
