//! Times the text encoder beside a probe of the processor's peak performance.
//!
//! `bert_speed MODEL TEXTS [N_THREADS] [N_ROUNDS]`, where TEXTS is a file of one text per line. Each round encodes all
//! texts and prints one JSON object. Without N_ROUNDS a round begins with each line of the standard input, so that
//! another program can alternate rounds with those of others.

#![allow(clippy::print_stdout)]

#[path = "shared/peak.rs"]
mod peak;
#[path = "shared/rounds.rs"]
mod rounds;

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_models::text::{ModelSearch, TextOptions, find_text_model};
use pipeline_models::{Device, Encoder, EncoderRows, open_text_model};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, texts, rest @ ..] = args.as_slice() else {
        return Err("bert_speed MODEL TEXTS [N_THREADS] [N_ROUNDS]".into());
    };
    let n_threads = rest.first().map_or(Ok(2), |n| n.parse())?;
    let files = find_text_model(model, &ModelSearch::default())?;
    let encoder = open_text_model(&files, &TextOptions::default())?.load(Device::Cpu)?;
    let texts = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    encoder.encode(EncoderRows::Texts(&texts), n_threads)?;
    let n_rounds = rest.get(1).map(|n| n.parse()).transpose()?;
    rounds::run(n_rounds, || round(&*encoder, &texts, n_threads))
}

fn round(encoder: &dyn Encoder, texts: &[&str], n_threads: usize) -> Result<(), Box<dyn Error>> {
    let before = peak::operations_per_second(n_threads);
    let start = Instant::now();
    let features = encoder.encode(EncoderRows::Texts(texts), n_threads)?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = before.max(peak::operations_per_second(n_threads));
    let round = serde_json::json!({
        "texts": features.n_rows, "seconds": seconds, "texts_per_second": features.n_rows as f64 / seconds,
        "peak_gflops": peak / 1e9,
    });
    println!("{round}");
    Ok(std::io::stdout().flush()?)
}
