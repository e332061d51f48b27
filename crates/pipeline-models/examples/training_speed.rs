//! Times training steps on random numbers.
//!
//! `training_speed [--hidden D_HIDDEN] D_TEXT D_IMAGE DIM BATCH_SIZE N_STEPS [N_THREADS] [N_ROUNDS]`. Each round trains
//! for N_STEPS on the same 4,096 pairs or more and prints one JSON object. Without N_ROUNDS a round begins with each
//! line of the standard input, so that another program can alternate rounds with those of others.

#![allow(clippy::print_stdout)]

#[path = "shared/numbers.rs"]
mod numbers;
#[path = "shared/rounds.rs"]
mod rounds;

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_models::Device;
use pipeline_models::train::{PairedFeatures, TrainOptions, initial_heads, initial_mlp_heads, train};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1).peekable();
    let d_hidden = match args.next_if(|arg| arg == "--hidden") {
        Some(_) => Some(args.next().ok_or("--hidden needs a number")?.parse()?),
        None => None,
    };
    let args = args.map(|arg| arg.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [d_text, d_image, dim, batch_size, n_steps, rest @ ..] = args.as_slice() else {
        return Err(
            "training_speed [--hidden D_HIDDEN] D_TEXT D_IMAGE DIM BATCH_SIZE N_STEPS [N_THREADS] [N_ROUNDS]".into()
        );
    };
    let n_pairs = batch_size * n_steps;
    let n_rows = n_pairs.min(4096);
    let (text, images) = (numbers::numbers(n_rows, *d_text, 1), numbers::numbers(n_rows, *d_image, 2));
    let pairs: Vec<_> = (0..n_pairs).map(|idx| (idx % n_rows, idx % n_rows)).collect();
    let n_threads = rest.first().copied().unwrap_or(2);
    let options = TrainOptions { epochs: 1, batch_size: *batch_size, n_threads, ..Default::default() };
    let round = || -> Result<(), Box<dyn Error>> {
        let start = Some(match d_hidden {
            None => initial_heads(*d_text, *d_image, *dim, 0),
            Some(d_hidden) => initial_mlp_heads(*d_text, *d_image, d_hidden, *dim, 0),
        });
        // The first step is not timed, since its time includes the start.
        let mut times = Vec::with_capacity(*n_steps);
        let data = PairedFeatures { text: (&text).into(), images: (&images).into(), pairs: &pairs };
        let trained = train(
            &data,
            None,
            &options,
            start,
            Device::Cpu,
            &mut |_| {
                times.push(Instant::now());
                true
            },
            &|| false,
        )?;
        let mut steps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        steps.sort_by(f64::total_cmp);
        let loss = trained.losses.last().map(|step| step.loss);
        println!("{}", serde_json::json!({"step_seconds": steps.get(steps.len() / 2), "loss": loss}));
        Ok(std::io::stdout().flush()?)
    };
    round()?;
    rounds::run(rest.get(1).copied(), round)
}
