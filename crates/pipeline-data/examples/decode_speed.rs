//! Times the decoding of images from base64 to RGB on one thread.
//!
//! `decode_speed IMAGES.tsv [N_ROUNDS]`, where the file has an id, a tab and base64 in each line. Each round decodes
//! all images and prints one JSON object. Without N_ROUNDS a round begins with each line of the standard input, so that
//! another program can alternate rounds with those of others.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use pipeline_data::{Images, Selection, decode, decode_base64};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, rest @ ..] = args.as_slice() else {
        return Err("decode_speed IMAGES.tsv [N_ROUNDS]".into());
    };
    let images = Images::of_tsv(Path::new(path), &Selection::first(None))?;
    let texts: Vec<Vec<u8>> = images.rows().iter().map(|row| images.bytes(row)).collect::<Result<_, _>>()?;
    round(&texts)?;
    if let Some(n_rounds) = rest.first() {
        return (0..n_rounds.parse::<usize>()?).try_for_each(|_| report(&texts));
    }
    for line in std::io::stdin().lines() {
        line?;
        report(&texts)?;
    }
    Ok(())
}

fn report(texts: &[Vec<u8>]) -> Result<(), Box<dyn Error>> {
    let seconds = round(texts)?;
    println!("{}", serde_json::json!({ "images": texts.len(), "seconds": seconds }));
    Ok(std::io::stdout().flush()?)
}

/// Decodes all images; returns the time in seconds.
fn round(texts: &[Vec<u8>]) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for text in texts {
        black_box(decode(&decode_base64(black_box(text))?)?);
    }
    Ok(start.elapsed().as_secs_f64())
}
