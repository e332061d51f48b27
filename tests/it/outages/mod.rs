//! Teams whose remote fails, lies and loses files, at random times: every result stays right, and costs seconds more.
//!
//! A failure prints its seed; `PIPELINE_OUTAGES_SEED=<seed>` plays that sequence alone, and a soak from there on.

mod figures;
mod kills;
mod place;
mod sequence;
mod team;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::server::{Fault, Protocol};
use crate::soak::{rounds, show};
use figures::Figures;
use place::Place;
use sequence::Sequence;
use team::{Machine, World};

/// Steps of a sequence.
const N_STEPS: usize = 14;

/// Sequences at once: a sequence waits for programs and silent servers most of the time.
const N_AT_ONCE: usize = 4;

#[test]
fn any_sequence_of_outages_kills_and_losses_ends_with_the_right_results() {
    let given = std::env::var("PIPELINE_OUTAGES_SEED").ok();
    let first: u64 = given.as_ref().map_or(1, |seed| seed.parse().expect("PIPELINE_OUTAGES_SEED is a number"));
    let seeds = first..first + rounds(if given.is_some() { 1 } else { 16 }, 300) as u64;
    let (next, began, all) = (AtomicU64::new(seeds.start), Instant::now(), Mutex::new(Figures::default()));
    thread::scope(|scope| {
        for _ in 0..N_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let figures = play(seed);
                    all.lock().unwrap().add(&figures);
                }
            });
        }
    });
    let figures = all.into_inner().unwrap();
    assert!(figures.n_runs > seeds.end - seeds.start && figures.n_off > 0 && figures.n_damaged > 0, "{figures}");
    let (first, last, seconds) = (seeds.start, seeds.end - 1, began.elapsed().as_secs());
    show(&format!("seeds {first} to {last} of {N_STEPS} steps at a faulty remote: {figures}, {seconds} s"));
}

#[test]
fn an_upload_that_was_kept_by_half_is_mended_by_the_next_attempt() {
    for protocol in [Protocol::S3, Protocol::WebDav] {
        let (place, writer) = (Place::of(protocol), Machine::new("write"));
        // The first four uploads at once, and the first attempts of all that follow for a while.
        place.server().set_faults(&[(12, Fault::KeepsHalf)], Fault::Nothing);
        let ran = Machine::end(writer.start(&World::default(), &place.variables()));
        let output = writer.command(&place.variables(), &["cache", "push"]).output().unwrap();
        assert!(output.status.success() && writer.unpushed().is_empty(), "{protocol:?}: {output:?}");
        let output = writer.command(&place.variables(), &["cache", "verify", "--remote"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{protocol:?}: {text}{:#?}", ran.recorded.events);
    }
}

/// Plays a sequence and returns its figures.
fn play(seed: u64) -> Figures {
    let mut sequence = Sequence::new(seed);
    let played = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..N_STEPS {
            sequence.step();
        }
        sequence.end();
    }));
    if let Err(panic) = played {
        show(&format!("PIPELINE_OUTAGES_SEED={seed} failed after\n{}", sequence.history.join("\n")));
        resume_unwind(panic);
    }
    sequence.figures
}
