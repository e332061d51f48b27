//! Ranking and embedding on small cases that can be followed by hand.

use super::rank::RankAll;
use super::*;
use crate::fixtures::{assert_same_bits, noise};
use pipeline_kernels::{InstructionSet, Matrix, RowReader, SelectedRows};

fn matrix(rows: &[&[f32]]) -> Matrix {
    Matrix::new(rows.len(), rows[0].len(), rows.concat())
}

fn rows_of(ranking: &Ranking) -> Vec<usize> {
    ranking.top.iter().map(|&(row, _)| row).collect()
}

#[test]
fn equal_scores_rank_by_row() {
    let queries = matrix(&[&[1.0, 0.0]]);
    let images = matrix(&[&[0.0, 1.0], &[2.0, 0.0], &[-1.0, 0.0], &[2.0, 0.0], &[0.0, -1.0]]);
    let rankings = rank(&queries, &images, &[vec![4, 3]], 4, Similarity::Dot, 1).unwrap();
    assert_eq!(rankings[0].top, [(1, 2.0), (3, 2.0), (0, 0.0), (4, 0.0)]);
    assert_eq!(rankings[0].best_rank(), Some(2));
}

#[test]
fn the_cosine_ignores_lengths_and_the_inner_product_does_not() {
    let queries = matrix(&[&[3.0, 3.0]]);
    let images = matrix(&[&[0.1, 0.1], &[5.0, 0.0], &[0.0, 0.0]]);
    let top = |similarity| rank(&queries, &images, &[vec![]], 3, similarity, 1).unwrap().remove(0);
    assert_eq!(rows_of(&top(Similarity::Cosine)), [0, 1, 2]);
    assert_eq!(top(Similarity::Cosine).top[2].1, 0.0, "nothing is like the zero vector");
    assert_eq!(rows_of(&top(Similarity::Dot)), [1, 0, 2]);
}

#[test]
fn a_score_that_is_not_a_number_is_not_ranked() {
    let queries = matrix(&[&[1.0, 1.0], &[f32::NAN, 0.0]]);
    let images = matrix(&[&[f32::NAN, 0.0], &[1.0, 0.0], &[2.0, 0.0]]);
    let rankings = rank(&queries, &images, &[vec![0, 1], vec![0]], 3, Similarity::Dot, 2).unwrap();
    assert_eq!((rows_of(&rankings[0]), rankings[0].best_rank()), (vec![2, 1], Some(2)));
    assert_eq!((rows_of(&rankings[1]), rankings[1].best_rank()), (vec![], None));
}

#[test]
fn a_small_or_empty_pool_gives_short_rankings() {
    let queries = matrix(&[&[1.0], &[2.0]]);
    let rankings = rank(&queries, &matrix(&[&[1.0]]), &[vec![0], vec![]], 10, Similarity::Cosine, 2).unwrap();
    assert_eq!((rankings[0].top.len(), rankings[0].best_rank()), (1, Some(1)));
    assert_eq!((rankings[1].top.len(), rankings[1].best_rank()), (1, None));
    let rankings = rank(&queries, &Matrix::zeros(0, 1), &[vec![], vec![]], 10, Similarity::Cosine, 2).unwrap();
    assert!(rankings.iter().all(|ranking| ranking.top.is_empty() && ranking.best_rank().is_none()));
    assert!(rank(&Matrix::zeros(0, 1), &queries, &[], 10, Similarity::Cosine, 2).unwrap().is_empty());
}

#[test]
fn widths_that_do_not_fit_are_named() {
    let error = rank(&Matrix::zeros(1, 2), &Matrix::zeros(1, 3), &[vec![]], 1, Similarity::Dot, 1).unwrap_err();
    assert!(matches!(error, RankError::Widths { d_queries: 2, d_images: 3 }));
}

/// Irregular but reproducible numbers between -1 and 1.
fn patterned(n_rows: usize, n_cols: usize) -> Matrix {
    Matrix::new(n_rows, n_cols, noise("patterned", n_rows * n_cols, 1.0))
}

#[test]
fn blocks_and_threads_change_nothing() {
    let (queries, images) = (patterned(301, 96), patterned(1203, 96));
    let relevant: Vec<_> = (0..301).map(|row| vec![row * 3, row]).collect();
    let run = |n_threads| rank(&queries, &images, &relevant, 10, Similarity::Cosine, n_threads).unwrap();
    let rankings = run(1);
    assert!([0, 2, 3, 8].into_iter().all(|n_threads| run(n_threads) == rankings));
    for (row, ranking) in rankings.iter().enumerate() {
        assert_eq!(ranking.top.len(), 10);
        assert!(ranking.top.is_sorted_by(|a, b| a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)));
        // A rank within the first ten implies a place in the list.
        let is_hit = ranking.top.iter().any(|(image, _)| relevant[row].contains(image));
        assert_eq!(is_hit, ranking.best_rank().unwrap() <= 10);
    }
}

/// Sorts all scores, each summed in f64.
fn ranked_slowly(queries: &Matrix, images: &Matrix, query_idx: usize) -> Vec<(usize, f64)> {
    let score = |row_idx| -> f64 {
        let terms = queries.row(query_idx).iter().zip(images.row(row_idx));
        terms.map(|(query, image)| f64::from(*query) * f64::from(*image)).sum()
    };
    let mut all: Vec<_> = (0..images.n_rows).map(|row_idx| (row_idx, score(row_idx))).collect();
    all.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    all
}

/// Integers, so that sums are exact and many are equal.
fn whole_numbers(n_rows: usize, n_cols: usize) -> Matrix {
    let values = (0..n_rows * n_cols).map(|place| ((place * place * 31 + place / 7) % 5) as f32 - 2.0).collect();
    Matrix::new(n_rows, n_cols, values)
}

#[test]
fn the_ranking_is_that_of_all_scores_sorted_with_every_instruction_set() {
    // More queries and images than one block of either, with a partial last block.
    let (queries, images) = (whole_numbers(103, 37), whole_numbers(8_207, 37));
    let relevant: Vec<_> =
        (0..103).map(|row| (0..row % 20).map(|idx| (row * 83 + idx * 409) % 8_207).collect()).collect();
    for instructions in InstructionSet::available() {
        for top_k in [0, 1, 10, 1000] {
            let task =
                RankAll { queries: &queries, images: &images, relevant: &relevant, top_k, similarity: Similarity::Dot };
            for (query_idx, ranking) in task.run(instructions, None).unwrap().iter().enumerate().step_by(17) {
                let expected = ranked_slowly(&queries, &images, query_idx);
                let expected_top: Vec<_> = expected[..top_k].iter().map(|&(row, score)| (row, score as f32)).collect();
                assert_eq!(ranking.top, expected_top, "{instructions:?}, query {query_idx}");
                let rank =
                    expected.iter().position(|(row, _)| relevant[query_idx].contains(row)).map(|place| place + 1);
                assert_eq!(ranking.best_rank(), rank, "{instructions:?}, query {query_idx}");
            }
        }
    }
}

#[test]
fn a_relevant_image_meets_its_own_score_to_the_last_bit() {
    // Deeper than the products' blocks, and with sums that round.
    let (queries, images) = (patterned(5, 1601), patterned(600, 1601));
    for instructions in InstructionSet::available() {
        let relevant: Vec<_> = (0..5).map(|row| vec![row * 119]).collect();
        let task = RankAll {
            queries: &queries,
            images: &images,
            relevant: &relevant,
            top_k: 600,
            similarity: Similarity::Cosine,
        };
        for (ranking, relevant) in task.run(instructions, None).unwrap().iter().zip(&relevant) {
            let place = ranking.top.iter().position(|(row, _)| *row == relevant[0]).unwrap();
            assert_eq!(ranking.best_rank(), Some(place + 1), "{instructions:?}");
        }
    }
}

#[test]
fn scores_have_the_same_bits_with_every_instruction_set() {
    let features = patterned(301, 801);
    let relevant: Vec<_> = (0..301).map(|row| vec![row]).collect();
    for similarity in [Similarity::Cosine, Similarity::Dot] {
        let (queries, images) = (&features, &patterned(1203, 801));
        let task = RankAll { queries, images, relevant: &relevant, top_k: 1203, similarity };
        assert_same_bits(&format!("scores by {similarity:?}"), |instructions| {
            let top = task.run(instructions, None).unwrap().into_iter().flat_map(|ranking| ranking.top);
            top.flat_map(|(row, score)| [row as f32, score]).collect()
        });
    }
}

#[test]
fn rows_that_are_read_in_any_number_of_passes_are_ranked_as_in_memory() {
    let (queries, images) = (patterned(301, 40), patterned(8_207, 40));
    let relevant: Vec<_> = (0..301).map(|row| vec![row * 3, row]).collect();
    let read = |matrix: &Matrix| {
        let reader: Box<dyn RowReader> = Box::new(matrix.clone());
        SelectedRows { rows: (0..matrix.n_rows).collect(), reader }
    };
    let (read_queries, read_images) = (read(&queries), read(&images));
    for similarity in [Similarity::Cosine, Similarity::Dot] {
        let task = |queries, images| RankAll { queries, images, relevant: &relevant, top_k: 7, similarity };
        let instructions = InstructionSet::best();
        let in_memory = task(&queries, &images).run(instructions, None).unwrap();
        for n_queries in [96, 100, 301, 1000] {
            let read = task(&read_queries, &read_images).run_in_passes(n_queries, instructions, None).unwrap();
            assert!(read == in_memory, "{similarity:?}, {n_queries} queries at once");
        }
    }
}

#[test]
fn scores_without_bounds_are_ranked_and_equal_ones_by_row() {
    let images = matrix(&[&[f32::NEG_INFINITY], &[f32::NAN], &[f32::NEG_INFINITY], &[1.0], &[f32::INFINITY]]);
    let queries = matrix(&[&[1.0]]);
    let ranked =
        |top_k, relevant: usize| rank(&queries, &images, &[vec![relevant]], top_k, Similarity::Dot, 1).unwrap();
    assert_eq!(rows_of(&ranked(5, 2)[0]), [4, 3, 0, 2]);
    assert_eq!(rows_of(&ranked(3, 2)[0]), [4, 3, 0]);
    assert_eq!((ranked(1, 2)[0].best_rank(), ranked(1, 0)[0].best_rank()), (Some(4), Some(3)));
    assert_eq!((ranked(1, 4)[0].best_rank(), ranked(1, 1)[0].best_rank()), (Some(1), None));
}

/// The 1-based ranks of the rows `relevant` by these scores, ascending: higher score first, then lower row. A row whose
/// score is NaN has no rank.
pub(super) fn ranks_among(scores: &[f32], relevant: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|row| !scores[*row].is_nan()).collect();
    order.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap().then(a.cmp(b)));
    let places = order.iter().enumerate();
    places.filter(|(_, row)| relevant.contains(row)).map(|(place, _)| place + 1).collect()
}

#[test]
fn every_relevant_image_has_its_rank() {
    // Few distinct values, so that ties are common.
    let numbers = |n_rows: usize, n_cols: usize, step: usize| {
        let values = (0..n_rows * n_cols).map(|place| ((place * step) % 7) as f32 - 3.0).collect();
        Matrix::new(n_rows, n_cols, values)
    };
    let (queries, images) = (numbers(150, 5, 3), numbers(401, 5, 11));
    let relevant: Vec<Vec<usize>> = (0..150).map(|row| (0..row % 5).map(|nth| row * 2 + nth * 7).collect()).collect();
    for similarity in [Similarity::Cosine, Similarity::Dot] {
        let rankings = rank(&queries, &images, &relevant, 401, similarity, 2).unwrap();
        for (ranking, relevant) in rankings.iter().zip(&relevant) {
            let places = ranking.top.iter().enumerate();
            let expect: Vec<usize> =
                places.filter(|(_, (image, _))| relevant.contains(image)).map(|(idx, _)| idx + 1).collect();
            assert_eq!(ranking.relevant_ranks, expect);
        }
    }
}

#[test]
fn an_image_that_is_named_twice_has_one_rank_and_one_without_a_score_has_none() {
    let queries = Matrix::new(1, 1, vec![1.0]);
    let images = Matrix::new(6, 1, vec![0.5, f32::NAN, 0.9, 0.5, 0.1, 0.5]);
    let ranks = |relevant: &[usize]| {
        let rankings = rank(&queries, &images, &[relevant.to_vec()], 3, Similarity::Dot, 1).unwrap();
        rankings[0].relevant_ranks.clone()
    };
    assert_eq!(ranks(&[5, 2, 0]), [1, 2, 4]);
    assert_eq!(ranks(&[3, 3, 4, 1]), [3, 5]);
}
