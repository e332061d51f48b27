//! Classes of arithmetic: recorded with each result, never mixed by helpers, and told apart where a run asks for it.

use pipeline_core::{Arithmetic, Event, Numerics, RunReason};
use pipeline_engine::Decision;
use pipeline_store::LockOutcome;

use crate::world::{Part, Shards, World, part};

fn world(processor: Numerics, is_exclusive: bool) -> World {
    let mut world = World::new();
    world.options.n_jobs.cpu = 1;
    world.options.plan.arithmetic = Arithmetic { processor, is_exclusive };
    world
}

/// As another process on the same store and spec, with other arithmetic.
fn elsewhere(mut world: World, processor: Numerics, is_exclusive: bool) -> World {
    world.options.plan.arithmetic = Arithmetic { processor, is_exclusive };
    world
}

fn encoder(words: &str) -> Part {
    part("a").param("words", words).shards(Shards { words: words.to_owned(), ..Shards::default() })
}

/// The classes that computed the result of the only stage.
fn recorded(world: &World, parts: &[Part]) -> Vec<Numerics> {
    let Decision::Reuse { key, .. } = world.plan(parts).unwrap().stages[0].decision else { panic!("it is stale") };
    world.store().records().get(&key).unwrap().unwrap().provenance.numerics
}

#[test]
fn results_of_other_arithmetic_count_unless_a_run_refuses_them() {
    let parts = [encoder("one two")];
    let world = world(Numerics::Plain, false);
    world.expect(&parts, "a");
    assert_eq!(recorded(&world, &parts), [Numerics::Plain]);
    let world = elsewhere(world, Numerics::Fma, false);
    world.expect(&parts, "");

    let world = elsewhere(world, Numerics::Fma, true);
    let ran = world.expect(&parts, "a");
    assert_eq!(ran.why("a"), Some(RunReason::OtherNumerics { numerics: vec![Numerics::Plain] }));
    assert_eq!(recorded(&world, &parts), [Numerics::Fma]);
    world.expect(&parts, "");
}

#[test]
fn an_artifact_of_shards_of_two_classes_has_both_and_is_refused_by_either() {
    let world = world(Numerics::Plain, false);
    world.run(&[encoder("one stop")]);
    let parts = [encoder("one two")];
    let world = elsewhere(world, Numerics::Fma, false);
    world.expect(&parts, "a");
    assert_eq!(recorded(&world, &parts), [Numerics::Plain, Numerics::Fma]);
    let world = elsewhere(world, Numerics::Plain, true);
    let ran = world.expect(&parts, "a");
    let reused = |event: &Event| match event {
        Event::StageFinished { n_shards_reused, n_shards_computed, .. } => Some((*n_shards_reused, *n_shards_computed)),
        _ => None,
    };
    assert_eq!(ran.events.iter().find_map(reused), Some((1, 1)), "the shard of its own class is reused");
    assert_eq!(recorded(&world, &parts), [Numerics::Plain]);
}

#[test]
fn a_process_helps_only_one_of_its_own_arithmetic() {
    for (leader, helps) in [(Numerics::Fma, true), (Numerics::Cuda, false), (Numerics::Plain, false)] {
        let world = world(Numerics::Fma, false);
        let parts = [encoder("one two three")];
        let Decision::Run { key, .. } = world.plan(&parts).unwrap().stages[0].decision else { panic!("it is reused") };
        let locked = world.store().workspace().lock(&key, "elsewhere", leader).unwrap();
        let LockOutcome::Acquired(lock) = locked else { panic!("it is held") };
        let mut lock = Some(lock);
        let mut n_polls = 0;
        let ran = world.run_with(&parts, &world.spec(), &mut |record| match &record.event {
            Event::StageHelped { .. } => lock = None,
            Event::StageWaiting { .. } if !helps => {
                n_polls += 1;
                lock = None;
            }
            _ => {}
        });
        assert_eq!(ran.n_events(|event| matches!(event, Event::StageHelping { .. })), usize::from(helps), "{leader:?}");
        assert_eq!(n_polls, usize::from(!helps));
        assert_eq!(ran.n_events(|event| matches!(event, Event::StageFinished { .. })), 1);
    }
}
