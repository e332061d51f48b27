//! Times the text encoder beside a probe of what the processor's cores could do at most.
//!
//! `bert_speed MODEL TEXTS [N_THREADS] [N_ROUNDS]`, where TEXTS is a file of one text per line. Each round encodes all texts and
//! prints one JSON object; without N_ROUNDS a round begins with each line of the standard input, so that another program
//! can time rounds of others in between.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use pipeline_nn::Device;
use pipeline_nn::text::{ModelSearch, TextEncoder, TextOptions, find_text_model};

/// Fused multiply-adds that a round of the probe makes in each of its vectors.
const N_PROBE_STEPS: usize = 8_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, texts, rest @ ..] = args.as_slice() else {
        return Err("bert_speed MODEL TEXTS [N_THREADS] [N_ROUNDS]".into());
    };
    let n_threads = rest.first().map_or(Ok(2), |n| n.parse())?;
    let encoder =
        TextEncoder::load(&find_text_model(model, &ModelSearch::default())?, &TextOptions::default(), Device::Cpu)?;
    let texts = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = texts.lines().collect();
    encoder.encode(&texts, n_threads)?;
    if let Some(n_rounds) = rest.get(1) {
        return (0..n_rounds.parse::<usize>()?).try_for_each(|_| round(&encoder, &texts, n_threads));
    }
    for line in std::io::stdin().lines() {
        line?;
        round(&encoder, &texts, n_threads)?;
    }
    Ok(())
}

fn round(encoder: &TextEncoder, texts: &[&str], n_threads: usize) -> Result<(), Box<dyn Error>> {
    let before = peak(n_threads);
    let start = Instant::now();
    let features = encoder.encode(texts, n_threads)?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = before.max(peak(n_threads));
    let round = serde_json::json!({
        "texts": features.n_rows, "seconds": seconds, "texts_per_second": features.n_rows as f64 / seconds,
        "peak_gflops": peak / 1e9,
    });
    println!("{round}");
    Ok(std::io::stdout().flush()?)
}

/// Floating-point operations per second of `n_threads` threads that do nothing but fused multiply-adds.
fn peak(n_threads: usize) -> f64 {
    let start = Instant::now();
    let n_operations: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(probe)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the probe does not panic")).sum()
    });
    n_operations as f64 / start.elapsed().as_secs_f64()
}

/// Returns the number of operations that were made.
fn probe() -> usize {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions.
        return unsafe { fused_avx512() };
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the same.
        return unsafe { fused_avx2() };
    }
    fused::<4>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fused_avx512() -> usize {
    fused::<16>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn fused_avx2() -> usize {
    fused::<8>()
}

/// Twelve vectors are enough to keep two units busy at a latency of up to six cycles.
#[inline(always)]
fn fused<const LANES: usize>() -> usize {
    let (factor, term) = std::hint::black_box(([0.999f32; LANES], [0.001f32; LANES]));
    let mut sums = [[1.0f32; LANES]; 12];
    for _ in 0..N_PROBE_STEPS {
        for sum in &mut sums {
            for lane in 0..LANES {
                sum[lane] = sum[lane].mul_add(factor[lane], term[lane]);
            }
        }
    }
    std::hint::black_box(sums);
    N_PROBE_STEPS * 12 * LANES * 2
}
