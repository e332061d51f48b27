//! Random sequences of edits, runs, kills and damage against a model that recomputes everything.
//!
//! A failure prints its seed; `PIPELINE_MODEL_SEED=<seed>` plays that sequence alone, and a soak from there on.

mod sequence;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::soak::{rounds, show};
use sequence::Sequence;

/// Steps of a sequence.
const N_STEPS: usize = 12;

/// Sequences at once: a sequence waits for programs most of the time.
const N_AT_ONCE: usize = 3;

#[test]
fn any_sequence_of_edits_runs_kills_and_damage_ends_as_the_model_says() {
    let given = std::env::var("PIPELINE_MODEL_SEED").ok();
    let first: u64 = given.as_ref().map_or(1, |seed| seed.parse().expect("PIPELINE_MODEL_SEED is a number"));
    let seeds = first..first + rounds(if given.is_some() { 1 } else { 50 }, 1000) as u64;
    let (next, began, n_runs) = (AtomicU64::new(seeds.start), Instant::now(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..N_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    n_runs.fetch_add(play(seed), Ordering::Relaxed);
                }
            });
        }
    });
    let (n_sequences, n_runs, seconds) = (seeds.end - seeds.start, n_runs.into_inner(), began.elapsed().as_secs());
    assert!(n_runs > n_sequences, "{n_runs} runs were compared with the model");
    show(&format!("{n_sequences} sequences of {N_STEPS} steps, {n_runs} runs compared with the model, {seconds} s"));
}

/// Plays a sequence and returns the number of runs that were compared with the model.
fn play(seed: u64) -> u64 {
    let mut sequence = Sequence::new(seed);
    let played = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..N_STEPS {
            sequence.step();
        }
        sequence.end();
    }));
    if let Err(panic) = played {
        show(&format!("PIPELINE_MODEL_SEED={seed} failed after\n{}", sequence.history.join("\n")));
        resume_unwind(panic);
    }
    sequence.n_compared
}
