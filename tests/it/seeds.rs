//! Random sequences of steps, played side by side: a failure prints its seed, with which it can be played again.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::soak::{rounds, show};

/// A sequence that its seed determines.
pub trait Sequence {
    /// The variable with the seed to play alone, and in a soak to begin with.
    const SEED: &str;
    /// The steps of a sequence.
    const N_STEPS: usize;
    /// The sequences at once: each waits for programs most of the time.
    const N_AT_ONCE: usize;

    /// The sequence before its first step.
    fn new(seed: u64) -> Self;

    /// Takes a step and looks at what came of it.
    fn step(&mut self);

    /// Looks at what is left after the last step.
    fn end(&mut self);

    /// The steps so far.
    fn history(&self) -> &[String];
}

/// Plays sequences, so many in CI and in `make soak`, and passes each to `ended`; returns their seeds.
pub fn play_all<S: Sequence>(in_ci: usize, in_soak: usize, ended: impl Fn(S) + Sync) -> Range<u64> {
    let given = std::env::var(S::SEED).ok();
    let first = given.as_ref().map_or(1, |seed| seed.parse().unwrap_or_else(|_| panic!("{} is a number", S::SEED)));
    let seeds = first..first + rounds(if given.is_some() { 1 } else { in_ci }, in_soak) as u64;
    let next = AtomicU64::new(seeds.start);
    thread::scope(|scope| {
        for _ in 0..S::N_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    ended(play(seed));
                }
            });
        }
    });
    seeds
}

/// Plays a sequence to its end.
fn play<S: Sequence>(seed: u64) -> S {
    let mut sequence = S::new(seed);
    let played = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..S::N_STEPS {
            sequence.step();
        }
        sequence.end();
    }));
    if let Err(panic) = played {
        show(&format!("{}={seed} failed after\n{}", S::SEED, sequence.history().join("\n")));
        resume_unwind(panic);
    }
    sequence
}
