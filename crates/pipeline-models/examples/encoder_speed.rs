//! Times an encoder beside a probe of the processor's peak performance.
//!
//! `encoder_speed texts MODEL FILE [N_THREADS] [N_ROUNDS]`, where FILE has one text a line, or
//! `encoder_speed images MODEL N_IMAGES [N_THREADS] [N_ROUNDS]` for made-up images of 224 × 224 pixels. Each round
//! encodes all rows and prints one JSON object. Without N_ROUNDS a round begins with each line of the standard input,
//! so that another program can alternate rounds with those of others.

#![allow(clippy::print_stdout)]

#[path = "shared/peak.rs"]
mod peak;
#[path = "shared/rounds.rs"]
mod rounds;

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_models::image::{ImageOptions, find_image_model};
use pipeline_models::text::{ModelSearch, TextOptions, find_text_model};
use pipeline_models::{Device, Encoder, EncoderRows, Precision, open_image_model, open_text_model};

const SIDE: usize = 224;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [side, model, what, rest @ ..] = args.as_slice() else {
        return Err("encoder_speed texts MODEL FILE | images MODEL N_IMAGES, then [N_THREADS] [N_ROUNDS]".into());
    };
    let n_threads = rest.first().map_or(Ok(2), |n| n.parse())?;
    let n_rounds = rest.get(1).map(|n| n.parse()).transpose()?;
    let search = ModelSearch::default();
    if side == "texts" {
        let files = find_text_model(model, &search)?;
        let encoder = open_text_model(&files, &TextOptions::default())?.load(Device::Cpu, Precision::F32)?;
        let texts = std::fs::read_to_string(what)?;
        let texts: Vec<&str> = texts.lines().collect();
        return time(&*encoder, EncoderRows::Texts(&texts), n_threads, n_rounds);
    }
    let files = find_image_model(model, &search)?;
    let encoder = open_image_model(&files, &ImageOptions::default())?.load(Device::Cpu, Precision::F32)?;
    let images: Vec<Vec<u8>> = (0..what.parse()?).map(image).collect();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    time(&*encoder, EncoderRows::Images { pixels: &images, height: SIDE, width: SIDE }, n_threads, n_rounds)
}

/// Levels without a repeating pattern, another image for each index; the peers make the same images.
fn image(image_idx: usize) -> Vec<u8> {
    let level = |idx: usize| {
        let mixed = (idx as u32 ^ (image_idx as u32) << 20).wrapping_mul(2_654_435_761);
        (mixed >> 24) as u8
    };
    (0..SIDE * SIDE * 3).map(level).collect()
}

fn time(
    encoder: &dyn Encoder,
    rows: EncoderRows<'_>,
    n_threads: usize,
    n_rounds: Option<usize>,
) -> Result<(), Box<dyn Error>> {
    encoder.encode(rows, n_threads)?;
    rounds::run(n_rounds, || {
        let before = peak::operations_per_second(n_threads);
        let start = Instant::now();
        let features = encoder.encode(rows, n_threads)?;
        let seconds = start.elapsed().as_secs_f64();
        let peak = before.max(peak::operations_per_second(n_threads));
        let round = serde_json::json!({
            "rows": features.n_rows, "seconds": seconds, "rows_per_second": features.n_rows as f64 / seconds,
            "peak_gflops": peak / 1e9, "first": &features.values[..features.values.len().min(8)],
        });
        println!("{round}");
        Ok(std::io::stdout().flush()?)
    })
}
