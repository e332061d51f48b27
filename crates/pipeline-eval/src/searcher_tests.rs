//! A searcher that follows its description word by word finds what the processor finds.

use std::ops::Range;

use pipeline_kernels::{BLOCK_DEPTH, InstructionSet, Matrix};

use super::rank::RankAll;
use super::*;
use crate::fixtures::noise;

/// Searches as slowly and plainly as its description allows.
#[derive(Default)]
struct Plain {
    queries: Vec<Vec<f32>>,
    starts: Vec<u32>,
    hits: Vec<(u32, f32)>,
    top_k: usize,
    /// The rows of each call.
    seen: Vec<Range<u32>>,
    fails: bool,
}

impl Searcher for Plain {
    fn begin(&mut self, pass: &Pass<'_>) -> Result<(), SearchError> {
        self.queries = pass.queries.chunks_exact(pass.dim).map(<[f32]>::to_vec).collect();
        assert_eq!(self.queries.len(), pass.n_queries());
        self.starts.clone_from(&pass.starts);
        self.hits = pass.rows.iter().copied().zip(pass.scores.iter().copied()).collect();
        self.top_k = pass.top_k;
        Ok(())
    }

    fn see(&mut self, images: &[f32], rows: Range<u32>) -> Result<Seen, SearchError> {
        self.seen.push(rows.clone());
        if self.fails {
            return Err("it is broken".into());
        }
        let mut seen = Seen { n_before: vec![0; self.hits.len()], top_rows: Vec::new(), top_scores: Vec::new() };
        for (query_idx, query) in self.queries.iter().enumerate() {
            let images = images.chunks_exact(query.len());
            let mut scored: Vec<_> = rows.clone().zip(images.map(|image| score(query, image))).collect();
            for hit_idx in self.starts[query_idx]..self.starts[query_idx + 1] {
                let (row, score) = self.hits[hit_idx as usize];
                let is_before =
                    |(other_row, other): &&(u32, f32)| *other > score || *other == score && *other_row < row;
                seen.n_before[hit_idx as usize] = scored.iter().filter(is_before).count() as u32;
                let own = scored.iter().find(|(other, _)| *other == row);
                assert!(
                    own.is_none_or(|(_, own)| own.to_bits() == score.to_bits()),
                    "image {row} of query {query_idx}"
                );
            }
            scored.retain(|(_, score)| !score.is_nan());
            scored.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
            scored.resize(self.top_k.max(scored.len()), (Seen::ABSENT, 0.0));
            seen.top_rows.extend(scored[..self.top_k].iter().map(|(row, _)| row));
            seen.top_scores.extend(scored[..self.top_k].iter().map(|(_, score)| score));
        }
        Ok(seen)
    }
}

/// Fused sums over blocks of the depth, added up.
fn score(query: &[f32], image: &[f32]) -> f32 {
    let block = |(query, image): (&[f32], &[f32])| {
        query.iter().zip(image).fold(0.0f32, |sum, (query, image)| query.mul_add(*image, sum))
    };
    query.chunks(BLOCK_DEPTH).zip(image.chunks(BLOCK_DEPTH)).map(block).reduce(|sum, block| sum + block).unwrap()
}

fn are_same_bits(left: &[Ranking], right: &[Ranking]) -> bool {
    let bits = |(row, score): &(usize, f32)| (*row, score.to_bits());
    let are_same = |(left, right): (&Ranking, &Ranking)| {
        left.relevant_ranks == right.relevant_ranks && left.top.iter().map(bits).eq(right.top.iter().map(bits))
    };
    left.len() == right.len() && left.iter().zip(right).all(are_same)
}

/// Rows of which some are equal, some have numbers beyond all bounds, and some are not numbers.
fn awkward(name: &str, n_rows: usize, dim: usize) -> Matrix {
    let mut matrix = Matrix::new(n_rows, dim, noise(name, n_rows * dim, 1.0));
    for row_idx in 2..n_rows {
        let (before, row) = matrix.values[..(row_idx + 1) * dim].split_at_mut(row_idx * dim);
        match row_idx % 23 {
            1 | 5 => row.copy_from_slice(&before[(row_idx - 1) * dim..]),
            2 => row.copy_from_slice(&before[..dim]),
            3 => row.fill(0.0),
            4 => row[0] = f32::NAN,
            6 => row[dim - 1] = f32::INFINITY,
            7 => row.fill(-1e-30),
            _ => {}
        }
    }
    matrix
}

#[test]
fn a_searcher_gives_the_rankings_of_the_processor_to_the_last_bit() {
    let instructions = InstructionSet::best();
    for (n_queries, n_images, dim, top_k) in [(40, 700, 801, 9), (29, 33_000, 3, 40), (200, 60, 385, 60), (5, 9, 7, 0)]
    {
        let (queries, images) = (awkward("queries", n_queries, dim), awkward("images", n_images, dim));
        let relevant: Vec<Vec<usize>> =
            (0..n_queries).map(|row| (0..row % 5).map(|idx| (row * 31 + idx / 2 * 997) % n_images).collect()).collect();
        for similarity in [Similarity::Cosine, Similarity::Dot] {
            let (queries, images) = (&queries, &images);
            let task = RankAll { queries, images, relevant: &relevant, top_k, similarity };
            let expected = task.run(instructions, None).unwrap();
            let mut searcher = Plain::default();
            let found = rank_by(&mut searcher, queries, images, &relevant, top_k, similarity, 2).unwrap();
            assert!(are_same_bits(&found, &expected), "{n_queries} · {n_images} · {dim}, {similarity:?}");
            assert_eq!(searcher.seen.len(), if instructions.fuses() { n_images.div_ceil(32_768) } else { 0 });
            if instructions.fuses() {
                let passes = task.run_in_passes(17, instructions, Some(&mut searcher)).unwrap();
                assert!(are_same_bits(&passes, &expected), "in passes, {similarity:?}");
            }
        }
    }
}

#[test]
fn embeddings_without_numbers_are_ranked_by_the_processor() {
    let (queries, images) = (Matrix::zeros(2, 0), Matrix::zeros(3, 0));
    let mut searcher = Plain::default();
    let relevant = [vec![2], vec![]];
    let rankings = rank_by(&mut searcher, &queries, &images, &relevant, 3, Similarity::Cosine, 1).unwrap();
    assert_eq!(rankings, rank(&queries, &images, &relevant, 3, Similarity::Cosine, 1).unwrap());
    assert_eq!((rankings[0].best_rank(), searcher.seen.len()), (Some(3), 0));
}

#[test]
fn a_searcher_that_fails_gives_no_ranking() {
    let mut searcher = Plain { fails: true, ..Plain::default() };
    let (queries, images) = (Matrix::zeros(1, 2), Matrix::zeros(1, 2));
    let ranked = rank_by(&mut searcher, &queries, &images, &[vec![]], 1, Similarity::Dot, 1);
    if InstructionSet::best().fuses() {
        let error = ranked.unwrap_err();
        assert!(matches!(&error, RankError::Search(cause) if cause.to_string() == "it is broken"), "{error}");
    } else {
        assert_eq!(ranked.unwrap()[0].top, [(0, 0.0)], "the processor has searched");
    }
}
