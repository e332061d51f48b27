//! Random sequences of edits, runs, kills and damage against a model that recomputes everything.
//!
//! A failure prints its seed; `PIPELINE_MODEL_SEED=<seed>` plays that sequence alone, and a soak from there on.

mod sequence;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::seeds::{self, Sequence as _};
use crate::soak::show;
use sequence::Sequence;

#[test]
fn any_sequence_of_edits_runs_kills_and_damage_ends_as_the_model_says() {
    let (began, n_runs) = (Instant::now(), AtomicU64::new(0));
    let seeds = seeds::play_all(50, 1000, |sequence: Sequence| {
        n_runs.fetch_add(sequence.n_compared, Ordering::Relaxed);
    });
    let (n_sequences, n_runs, seconds) = (seeds.end - seeds.start, n_runs.into_inner(), began.elapsed().as_secs());
    assert!(n_runs > n_sequences, "{n_runs} runs were compared with the model");
    let n_steps = Sequence::N_STEPS;
    show(&format!("{n_sequences} sequences of {n_steps} steps, {n_runs} runs compared with the model, {seconds} s"));
}
