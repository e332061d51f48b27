//! Compares the search on the card of CUDA with that of the processor, to the last bit.
//!
//! `card_search` tries made-up cases: equal scores, numbers that are none, images named twice, odd sizes, and more
//! images than a block. `card_search N_QUERIES N_IMAGES DIM TOP_K [N_THREADS]` times random numbers. Prints one JSON
//! object for each case; the exit code is 3 where the card fails, and 1 where a ranking differs.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "shared/numbers.rs"]
mod numbers;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use pipeline_eval::{Pass, Ranking, Similarity, rank, rank_by};
use pipeline_kernels::Matrix;
use pipeline_models::{Device, Gpu, Interface, device, ranking};

/// Sizes and the similarity of a case: queries, images, numbers of an embedding, images that are wanted.
const CASES: [(usize, usize, usize, usize, Similarity); 7] = [
    (3, 130, 385, 10, Similarity::Cosine),
    (129, 257, 17, 12, Similarity::Dot),
    (5, 40, 7, 40, Similarity::Cosine),
    (200, 60, 12, 0, Similarity::Cosine),
    (1, 1, 1, 1, Similarity::Dot),
    (2, 33_000, 3, 5, Similarity::Dot),
    (20, 300, 801, 9, Similarity::Dot),
];

/// The first card.
const CARD: Device = Device::Gpu(Gpu { interface: Interface::Cuda, number: None });

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let mut cause: Option<&dyn Error> = Some(&*error);
            while let Some(error) = cause {
                eprintln!("{error}");
                cause = error.source();
            }
            ExitCode::from(3)
        }
    }
}

/// Whether all rankings are equal.
fn run() -> Result<bool, Box<dyn Error>> {
    device::cards(Some(&[0]), |_| None)?;
    let args = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<Vec<usize>, _>>()?;
    let mut are_equal = true;
    match args.as_slice() {
        [] => {
            for (n_queries, n_images, dim, top_k, similarity) in CASES {
                let (queries, images) = (awkward(n_queries, dim, 1), awkward(n_images, dim, 2));
                are_equal &= compare(&queries, &images, top_k, similarity, 2)?;
            }
            are_equal &= refuses_other_scores()?;
        }
        [n_queries, n_images, dim, top_k, rest @ ..] => {
            let (queries, images) = (numbers::numbers(*n_queries, *dim, 1), numbers::numbers(*n_images, *dim, 2));
            let n_threads = rest.first().copied().unwrap_or(0);
            are_equal = compare(&queries, &images, *top_k, Similarity::Cosine, n_threads)?;
        }
        _ => return Err("card_search [N_QUERIES N_IMAGES DIM TOP_K [N_THREADS]]".into()),
    }
    Ok(are_equal)
}

/// Whether a search fails if the processor's score of a relevant image is another one in its last bit.
fn refuses_other_scores() -> Result<bool, Box<dyn Error>> {
    let mut searcher = ranking::searcher(CARD)?.ok_or("no card searches")?;
    let mut search = |score: f32| {
        let (starts, rows, scores) = (vec![0, 1], vec![1], vec![score]);
        let pass = Pass { queries: &[3.0], dim: 1, starts, rows, scores, top_k: 0 };
        searcher.begin(&pass).and_then(|()| searcher.see(&[7.0, 5.0], 0..2))
    };
    let is_found = search(15.0).is_ok_and(|seen| seen.n_before == [1]);
    let is_refused = search(15.0f32.next_up()).is_err();
    println!("{}", serde_json::json!({"sizes": [1, 2, 1, 0], "equal": is_found, "refused": is_refused}));
    Ok(is_found && is_refused)
}

/// Random rows; some are equal, some have numbers beyond all bounds, and some are not numbers.
fn awkward(n_rows: usize, dim: usize, seed: u32) -> Matrix {
    let mut matrix = numbers::numbers(n_rows, dim, seed);
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

/// Searches on the card twice, the first time with what begins once, and on the processor; says whether all is equal.
fn compare(
    queries: &Matrix,
    images: &Matrix,
    top_k: usize,
    similarity: Similarity,
    n_threads: usize,
) -> Result<bool, Box<dyn Error>> {
    let relevant: Vec<Vec<usize>> = (0..queries.n_rows)
        .map(|row| (0..row % 5).map(|idx| (row * 31 + idx / 2 * 997) % images.n_rows).collect())
        .collect();
    let mut searcher = ranking::searcher(CARD)?.ok_or("no card searches")?;
    let mut on_card = || {
        let start = Instant::now();
        let found = rank_by(&mut *searcher, queries, images, &relevant, top_k, similarity, n_threads);
        found.map(|found| (found, start.elapsed().as_secs_f64()))
    };
    let (first, first_seconds) = on_card()?;
    let (second, seconds) = on_card()?;
    let start = Instant::now();
    let expected = rank(queries, images, &relevant, top_k, similarity, n_threads)?;
    let processor_seconds = start.elapsed().as_secs_f64();
    let is_equal = are_same_bits(&first, &expected) && are_same_bits(&second, &expected);
    let sizes = [queries.n_rows, images.n_rows, queries.n_cols, top_k];
    println!(
        "{}",
        serde_json::json!({
            "sizes": sizes, "similarity": format!("{similarity:?}"), "equal": is_equal,
            "first_seconds": first_seconds, "seconds": seconds, "processor_seconds": processor_seconds,
        })
    );
    Ok(is_equal)
}

fn are_same_bits(left: &[Ranking], right: &[Ranking]) -> bool {
    let bits = |(row, score): &(usize, f32)| (*row, score.to_bits());
    let is_same = |(left, right): (&Ranking, &Ranking)| {
        left.relevant_ranks == right.relevant_ranks && left.top.iter().map(bits).eq(right.top.iter().map(bits))
    };
    left.len() == right.len() && left.iter().zip(right).all(is_same)
}
