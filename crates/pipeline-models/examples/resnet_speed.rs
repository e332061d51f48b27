//! Times the image encoder beside a probe of the processor's peak performance.
//!
//! `resnet_speed MODEL N_IMAGES [N_THREADS] [N_ROUNDS]`. Each round encodes N_IMAGES made-up images of 224 × 224 pixels
//! and prints one JSON object. Without N_ROUNDS a round begins with each line of the standard input, so that another
//! program can alternate rounds with those of others.

#![allow(clippy::print_stdout)]

#[path = "shared/peak.rs"]
mod peak;
#[path = "shared/rounds.rs"]
mod rounds;

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_models::Device;
use pipeline_models::image::{ImageEncoder, ModelSearch, find_image_model};

const SIDE: usize = 224;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, n_images, rest @ ..] = args.as_slice() else {
        return Err("resnet_speed MODEL N_IMAGES [N_THREADS] [N_ROUNDS]".into());
    };
    let n_threads = rest.first().map_or(Ok(2), |n| n.parse())?;
    let encoder = ImageEncoder::load(&find_image_model(model, &ModelSearch::default())?, Device::Cpu)?;
    let images: Vec<Vec<u8>> = (0..n_images.parse()?).map(image).collect();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    encoder.encode(&images, SIDE, SIDE, n_threads)?;
    let n_rounds = rest.get(1).map(|n| n.parse()).transpose()?;
    rounds::run(n_rounds, || round(&encoder, &images, n_threads))
}

/// Levels without a repeating pattern, another image for each index; the peers make the same images.
fn image(image_idx: usize) -> Vec<u8> {
    let level = |idx: usize| {
        let mixed = (idx as u32 ^ (image_idx as u32) << 20).wrapping_mul(2_654_435_761);
        (mixed >> 24) as u8
    };
    (0..SIDE * SIDE * 3).map(level).collect()
}

fn round(encoder: &ImageEncoder, images: &[&[u8]], n_threads: usize) -> Result<(), Box<dyn Error>> {
    let before = peak::operations_per_second(n_threads);
    let start = Instant::now();
    let features = encoder.encode(images, SIDE, SIDE, n_threads)?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = before.max(peak::operations_per_second(n_threads));
    let round = serde_json::json!({
        "images": features.n_rows, "seconds": seconds, "images_per_second": features.n_rows as f64 / seconds,
        "peak_gflops": peak / 1e9, "first": &features.values[..features.values.len().min(8)],
    });
    println!("{round}");
    Ok(std::io::stdout().flush()?)
}
