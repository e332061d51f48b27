//! Ten thousand stages: a plan and a no-op run stay cheap.

use std::time::{Duration, Instant};

use pipeline_core::Outcome;

use crate::world::{Part, World, part, write};

const N_STAGES: usize = 10_000;

/// A hundred chains of a hundred stages.
fn chains() -> Vec<Part> {
    let stage = |idx: usize| {
        let stage = part(&format!("s{idx}")).param("idx", idx);
        let stage = stage.work(move |context| write(context, &idx.to_string()));
        if idx.is_multiple_of(100) { stage } else { stage.input(&format!("s{}", idx - 1)) }
    };
    (0..N_STAGES).map(stage).collect()
}

#[test]
fn planning_ten_thousand_stages_takes_a_moment() {
    let world = World::new();
    let parts = chains();
    let began = Instant::now();
    let plan = world.plan(&parts).unwrap();
    assert_eq!(plan.stages.len(), N_STAGES);
    // 0.1 s in a debug build; a quadratic plan takes minutes.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_wide_fan_of_readers_is_no_trouble() {
    let mut world = World::new();
    world.options.n_jobs.cpu = 4;
    let mut parts = vec![part("root").work(|context| write(context, "root")).dropped()];
    parts.extend((0..200).map(|idx| part(&format!("s{idx}")).input("root").param("keep", idx % 4)));
    let ran = world.run(&parts);
    assert_eq!(ran.summary.outcome, Outcome::Done, "{}", ran.errors());
    assert_eq!(world.run(&parts).log, "");
}
