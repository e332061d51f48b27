//! Times steps of training on numbers without order.
//!
//! `training_speed D_TEXT D_IMAGE DIM BATCH_SIZE N_STEPS [N_THREADS] [N_ROUNDS]`. Each round trains for some steps on the same 4,096 pairs
//! or more and prints one JSON object; without N_ROUNDS a round begins with each line of the standard input, so that
//! another program can time rounds of others in between.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_nn::train::{TrainOptions, initial_heads, train};
use pipeline_nn::{Device, Matrix};

fn main() -> Result<(), Box<dyn Error>> {
    let args = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [d_text, d_image, dim, batch_size, n_steps, rest @ ..] = args.as_slice() else {
        return Err("training_speed D_TEXT D_IMAGE DIM BATCH_SIZE N_STEPS [N_THREADS] [N_ROUNDS]".into());
    };
    let n_pairs = batch_size * n_steps;
    let n_rows = n_pairs.min(4096);
    let (text, images) = (numbers(n_rows, *d_text, 1), numbers(n_rows, *d_image, 2));
    let pairs: Vec<_> = (0..n_pairs).map(|idx| (idx % n_rows, idx % n_rows)).collect();
    let n_threads = rest.first().copied().unwrap_or(2);
    let options = TrainOptions { epochs: 1, batch_size: *batch_size, n_threads, ..Default::default() };
    let round = || -> Result<(), Box<dyn Error>> {
        let start = Some(initial_heads(*d_text, *d_image, *dim, 0));
        // The first step has no time of its own, for the time before it is that of the start, too.
        let mut times = Vec::with_capacity(*n_steps);
        let trained = train(&text, &images, &pairs, &options, start, Device::Cpu, &mut |_| {
            times.push(Instant::now());
            true
        })?;
        let mut steps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        steps.sort_by(f64::total_cmp);
        let loss = trained.losses.last().map(|step| step.loss);
        println!("{}", serde_json::json!({"step_seconds": steps.get(steps.len() / 2), "loss": loss}));
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
