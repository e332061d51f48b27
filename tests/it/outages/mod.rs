//! Teams whose remote fails, lies and loses files, at random times: every result stays right, and costs seconds more.
//!
//! A failure prints its seed; `PIPELINE_OUTAGES_SEED=<seed>` plays that sequence alone, and a soak from there on.

mod figures;
mod kills;
mod place;
mod sequence;
mod team;

use std::sync::Mutex;
use std::time::Instant;

use crate::seeds::{self, Sequence as _};
use crate::server::{Fault, Protocol};
use crate::soak::show;
use figures::Figures;
use place::Place;
use sequence::Sequence;
use team::{Machine, World};

#[test]
fn any_sequence_of_outages_kills_and_losses_ends_with_the_right_results() {
    let (began, all) = (Instant::now(), Mutex::new(Figures::default()));
    let seeds = seeds::play_all(16, 300, |sequence: Sequence| all.lock().unwrap().add(&sequence.figures));
    let figures = all.into_inner().unwrap();
    assert!(figures.n_runs > seeds.end - seeds.start && figures.n_off > 0 && figures.n_damaged > 0, "{figures}");
    let (first, last, seconds) = (seeds.start, seeds.end - 1, began.elapsed().as_secs());
    let n_steps = Sequence::N_STEPS;
    show(&format!("seeds {first} to {last} of {n_steps} steps at a faulty remote: {figures}, {seconds} s"));
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
