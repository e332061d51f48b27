//! Times the exact search over numbers without order.
//!
//! `search_speed N_QUERIES N_IMAGES DIM TOP_K [N_THREADS] [N_ROUNDS]`. Each round ranks all images for all queries by the inner product,
//! five of them relevant to each query, and prints one JSON object; without N_ROUNDS a round begins with each line of the
//! standard input, so that another program can time rounds of others in between. `check` is the sum of the rows found.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_nn::Matrix;
use pipeline_nn::retrieval::{Similarity, rank};

fn main() -> Result<(), Box<dyn Error>> {
    let args = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [n_queries, n_images, dim, top_k, rest @ ..] = args.as_slice() else {
        return Err("search_speed N_QUERIES N_IMAGES DIM TOP_K [N_THREADS] [N_ROUNDS]".into());
    };
    let (queries, images) = (numbers(*n_queries, *dim, 1), numbers(*n_images, *dim, 2));
    let relevant: Vec<Vec<usize>> =
        (0..*n_queries).map(|row| (0..5).map(|idx| (row * 31 + idx * 997) % n_images).collect()).collect();
    let n_threads = rest.first().copied().unwrap_or(2);
    let round = || -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let rankings = rank(&queries, &images, &relevant, *top_k, Similarity::Dot, n_threads)?;
        let seconds = start.elapsed().as_secs_f64();
        let check: usize = rankings.iter().flat_map(|ranking| &ranking.top).map(|(row, _)| row).sum();
        println!("{}", serde_json::json!({"seconds": seconds, "check": check}));
        Ok(std::io::stdout().flush()?)
    };
    round()?;
    if let Some(n_rounds) = rest.get(1) {
        return (0..*n_rounds).try_for_each(|_| round());
    }
    std::io::stdin().lines().try_for_each(|line| line.map_err(Into::into).and_then(|_| round()))
}

/// Numbers in -1..1, which another program can make, too: the finaliser of MurmurHash3 of their places.
fn numbers(n_rows: usize, n_cols: usize, seed: u32) -> Matrix {
    let value = |place: usize| {
        let mut hash = (place as u32).wrapping_add(seed.wrapping_mul(0x9e37_79b9));
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        (hash ^ (hash >> 16)) as f32 / (1u32 << 31) as f32 - 1.0
    };
    Matrix::new(n_rows, n_cols, (0..n_rows * n_cols).map(value).collect())
}
