//! Times the exact search over random numbers.
//!
//! `search_speed N_QUERIES N_IMAGES DIM TOP_K [N_THREADS] [N_ROUNDS]`. Each round ranks all images for all queries by
//! the inner product, five of them relevant to each query, and prints one JSON object. Without N_ROUNDS a round begins
//! with each line of the standard input, so that another program can alternate rounds with those of others. `check` is
//! the sum of the rows found.

#![allow(clippy::print_stdout)]

#[path = "shared/numbers.rs"]
mod numbers;
#[path = "shared/rounds.rs"]
mod rounds;

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_eval::{Similarity, rank};

fn main() -> Result<(), Box<dyn Error>> {
    let args = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [n_queries, n_images, dim, top_k, rest @ ..] = args.as_slice() else {
        return Err("search_speed N_QUERIES N_IMAGES DIM TOP_K [N_THREADS] [N_ROUNDS]".into());
    };
    let (queries, images) = (numbers::numbers(*n_queries, *dim, 1), numbers::numbers(*n_images, *dim, 2));
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
    rounds::run(rest.get(1).copied(), round)
}
