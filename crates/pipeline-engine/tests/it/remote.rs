//! A store with a remote: what others have computed is reused, whatever the remote does wrong.

use std::collections::BTreeMap;
use std::fs;

use pipeline_core::{ArtifactDigest, Event, RunReason, StageId};
use pipeline_store::Access;

use crate::faulty::{Fault, FaultyRemote};
use crate::world::{Part, Ran, Shards, World, forced, part};

/// A chain with shards and with bytes that are not retained.
fn chain(world: &World, keep: usize) -> Vec<Part> {
    let words = "one two three four five";
    let shards = Shards { words: words.to_owned(), ..Shards::default() };
    vec![
        part("pixels").source(world.write("in.txt", "0123456789")).dropped(),
        part("features").input("pixels"),
        part("words").param("words", words).shards(shards),
        part("head").input("features").param("keep", keep),
    ]
}

/// A world whose runs upload to a remote in its folder, after a run.
fn uploaded() -> (World, FaultyRemote) {
    let world = World::new();
    fs::create_dir(world.path("remote")).unwrap();
    let remote = FaultyRemote::new(&world.path("remote"), Access::Write);
    let world = world.with_remote(remote.clone());
    let ran = run(&world, &chain(&world, 8));
    assert_eq!(ran.summary.n_ran, 4);
    (world, remote)
}

/// Another machine.
fn elsewhere(remote: FaultyRemote) -> World {
    World::new().with_remote(remote)
}

fn run(world: &World, parts: &[Part]) -> Ran {
    let ran = world.run_with(parts, &world.spec(), &mut |_| {});
    assert_eq!(ran.summary.outcome, pipeline_core::Outcome::Done, "{:#?}", ran.events);
    ran
}

fn artifacts(ran: &Ran) -> BTreeMap<StageId, ArtifactDigest> {
    let artifact = |event: &Event| match event {
        Event::StageReused { stage, artifact, .. } | Event::StageFinished { stage, artifact, .. } => {
            Some((stage.clone(), *artifact))
        }
        _ => None,
    };
    ran.events.iter().filter_map(artifact).collect()
}

fn is_off(event: &Event) -> bool {
    matches!(event, Event::RemoteOff { .. })
}

fn is_damaged(event: &Event) -> bool {
    matches!(event, Event::RemoteDamaged { .. })
}

fn unpushed(world: &World) -> usize {
    fs::read_dir(world.path("artifacts/store-v1/unpushed")).map_or(0, Iterator::count)
}

#[test]
fn another_machine_computes_nothing_and_receives_no_files() {
    let (_world, remote) = uploaded();
    let remote = remote.with(Access::Read, Fault::Nothing);
    let other = elsewhere(remote.clone());
    let ran = run(&other, &chain(&other, 8));
    assert_eq!((ran.log.as_str(), other.objects().len()), ("", 0));
    let counts = ran.summary.remote.unwrap();
    assert_eq!((counts.n_hits, counts.n_misses, counts.n_errors), (4, 0, 0));
    assert_eq!(remote.n_requests(), 4, "one for each stage");
    run(&other, &chain(&other, 8));
    assert_eq!(remote.n_requests(), 4, "what is here is not asked for");
}

#[test]
fn a_run_without_news_asks_the_remote_nothing() {
    let (world, remote) = uploaded();
    world.expect(&chain(&world, 8), "");
    let n_before = remote.n_requests();
    assert!(world.run_unchanged(&chain(&world, 8)).is_some());
    assert_eq!(remote.n_requests(), n_before);
}

#[test]
fn stages_that_do_not_depend_on_each_other_are_looked_up_together() {
    let world = World::new();
    fs::create_dir(world.path("remote")).unwrap();
    let remote = FaultyRemote::new(&world.path("remote"), Access::Write);
    let world = world.with_remote(remote.clone());
    let names: Vec<String> = (0..24).map(|idx| format!("stage-{idx}")).collect();
    let parts = |world: &World| {
        let source = world.write("in.txt", "0123456789");
        let inner = names.iter().enumerate().map(|(idx, name)| part(name).input("first").param("keep", idx));
        std::iter::once(part("first").source(source)).chain(inner).collect::<Vec<_>>()
    };
    run(&world, &parts(&world));
    let reader = remote.with(Access::Read, Fault::WaitsFor(24));
    let other = elsewhere(reader.clone());
    let ran = run(&other, &parts(&other));
    assert_eq!((ran.log.as_str(), reader.n_requests(), reader.most_at_once()), ("", 25, 24));
}

#[test]
fn a_new_stage_receives_only_the_files_that_it_reads() {
    let (_world, remote) = uploaded();
    let other = elsewhere(remote.with(Access::Read, Fault::Nothing));
    let ran = run(&other, &chain(&other, 3));
    assert_eq!((ran.log.as_str(), other.objects().len()), ("head", 2));
    assert_eq!(ran.warnings(), "");
}

#[test]
fn shards_of_others_are_reused_one_by_one() {
    let (_world, remote) = uploaded();
    let other = elsewhere(remote.with(Access::Read, Fault::Nothing));
    let words = "one six two three";
    let shards = Shards { words: words.to_owned(), ..Shards::default() };
    let ran = run(&other, &[part("words").param("words", words).shards(shards)]);
    let counts = ran.events.iter().find_map(|event| match event {
        Event::StageFinished { n_shards_reused, n_shards_computed, .. } => Some((*n_shards_reused, *n_shards_computed)),
        _ => None,
    });
    assert_eq!(counts, Some((3, 1)));
}

#[test]
fn files_that_are_not_retained_stay_here_and_are_computed_where_they_are_needed() {
    let (_world, remote) = uploaded();
    let other = elsewhere(remote.with(Access::Read, Fault::Nothing));
    let parts = || {
        let mut parts = chain(&other, 8);
        parts.push(part("more").input("pixels").param("keep", 2));
        parts
    };
    let ran = run(&other, &parts());
    assert_eq!(ran.log, "pixels more");
    assert!(matches!(ran.why("pixels"), Some(RunReason::Demanded { .. })));
    assert_eq!(ran.warnings(), "", "it is known without a request");
}

#[test]
fn whatever_the_remote_does_wrong_the_results_are_the_same() {
    let (world, remote) = uploaded();
    let expected = artifacts(&run(&world, &chain(&world, 3)));
    let faults = [
        (Fault::Down, 1, 0),
        (Fault::Broken, 1, 0),
        (Fault::Refusing, 1, 0),
        (Fault::CutsOff, 0, 1),
        (Fault::FlipsBit, 0, 1),
        (Fault::Swaps, 0, 1),
        (Fault::AddsBytes, 0, 1),
        (Fault::LacksObjects, 0, 0),
        (Fault::Flaky, 0, 0),
    ];
    for (fault, n_off, n_damaged) in faults {
        for asks_for_records in [true, false] {
            let other = elsewhere(remote.with(Access::Read, Fault::Nothing));
            if !asks_for_records {
                // The records are here, and only files must come.
                run(&other, &chain(&other, 8));
            }
            let other = other.with_remote(remote.with(Access::Read, fault));
            let ran = run(&other, &chain(&other, 3));
            assert_eq!(artifacts(&ran), expected, "{fault:?} {asks_for_records}");
            let seen = (ran.n_events(is_off), ran.n_events(is_damaged));
            assert_eq!(seen, (n_off, n_damaged), "{fault:?} {asks_for_records}: {:#?}", ran.events);
            let intact = other.store().verify().unwrap();
            assert!(intact.is_clean(), "{fault:?}: {intact:?}");
        }
    }
}

#[test]
fn results_that_could_not_be_uploaded_are_uploaded_by_the_next_run() {
    let (world, remote) = uploaded();
    assert_eq!(unpushed(&world), 0);
    let down = world.with_remote(remote.with(Access::Write, Fault::Down));
    run(&down, &chain(&down, 3));
    assert_eq!(unpushed(&down), 1);
    let up = down.with_remote(remote.with(Access::Write, Fault::Nothing));
    assert!(up.run_unchanged(&chain(&up, 3)).is_none(), "there is something to do");
    run(&up, &chain(&up, 3));
    assert_eq!(unpushed(&up), 0);
    let other = elsewhere(remote.with(Access::Read, Fault::Nothing));
    assert_eq!(run(&other, &chain(&other, 3)).log, "");
}

#[test]
fn files_that_arrived_by_half_are_replaced_by_whoever_computes_them() {
    let world = World::new();
    fs::create_dir(world.path("remote")).unwrap();
    let remote = FaultyRemote::new(&world.path("remote"), Access::Write);
    let world = world.with_remote(remote.with(Access::Write, Fault::HalvesUploads));
    let expected = artifacts(&run(&world, &chain(&world, 8)));
    for n_computed in [4, 0] {
        let other = elsewhere(remote.clone());
        let ran = run(&other, &chain(&other, 8));
        assert_eq!((ran.summary.n_ran, artifacts(&ran)), (n_computed, expected.clone()));
    }
}

#[test]
fn a_forced_result_replaces_that_of_the_remote() {
    let (mut world, remote) = uploaded();
    world.options.plan = forced(&["head"]);
    let seconds = |ran: &Ran| {
        let seconds = |event: &Event| match event {
            Event::StageFinished { stage, seconds, .. } if stage.as_str() == "head" => Some(*seconds),
            _ => None,
        };
        ran.events.iter().find_map(seconds)
    };
    let ran = run(&world, &chain(&world, 8));
    let other = elsewhere(remote.with(Access::Read, Fault::Nothing));
    run(&other, &chain(&other, 8));
    let last = other.store().specs().last(&other.path("spec.yaml")).unwrap();
    assert_eq!(last.stages.get(&"head".parse::<StageId>().unwrap()).map(|stage| stage.seconds), seconds(&ran));
}

#[test]
fn one_who_may_only_read_uploads_nothing() {
    let (_world, remote) = uploaded();
    let reader = remote.with(Access::Read, Fault::Nothing);
    let other = elsewhere(reader.clone());
    run(&other, &chain(&other, 3));
    assert_eq!(unpushed(&other), 0);
    let third = elsewhere(remote.with(Access::Read, Fault::Nothing));
    assert_eq!(run(&third, &chain(&third, 3)).log, "head");
}
