//! Bytes that the spec does not retain are dropped once they have been read.

use std::fs;

use pipeline_core::{Digest, Event, EventRecord, Reader, RunReason, StageError, StageReport};

use pipeline_engine::Decision;
use pipeline_store::RunOrigin;

use crate::world::{Part, World, part, write};

fn chain(world: &World) -> Vec<Part> {
    vec![
        part("pixels").source(world.path("in.txt")).dropped(),
        part("features").input("pixels").param("keep", 4),
        part("more").input("pixels").param("keep", 2),
    ]
}

fn dropped(event: &Event) -> bool {
    matches!(event, Event::ArtifactDropped { stage, bytes: 10 } if stage.as_str() == "pixels")
}

fn world() -> World {
    let mut world = World::new();
    world.options.n_jobs.cpu = 1;
    world.write("in.txt", "0123456789");
    world
}

#[test]
fn bytes_are_dropped_after_the_last_reader_and_nothing_runs_again() {
    let world = world();
    let ran = world.expect(&chain(&world), "pixels features more");
    assert_eq!(ran.n_events(dropped), 1, "{:#?}", ran.events);
    assert_eq!(world.objects().len(), 2);
    let ran = world.expect(&chain(&world), "");
    assert_eq!(ran.n_events(dropped), 0);
}

#[test]
fn dropped_bytes_are_computed_for_a_new_reader_and_dropped_again() {
    let world = world();
    let mut parts = chain(&world);
    world.expect(&parts, "pixels features more");
    parts.push(part("third").input("pixels").param("keep", 1));
    let ran = world.expect(&parts, "pixels third");
    assert_eq!(ran.why("pixels"), Some(RunReason::Demanded { reader: Reader::Stage("third".parse().unwrap()) }));
    assert_eq!(ran.n_events(dropped), 1);
    assert_eq!(world.objects().len(), 3);
}

#[test]
fn bytes_stay_until_a_reader_that_lost_its_own_will_not_run_again() {
    let world = world();
    let parts = |keep: usize| {
        let (small, other) = (part("small").input("pixels").param("keep", 2), part("other").input("pixels"));
        let pixels = part("pixels").source(world.path("in.txt"));
        vec![pixels, small.dropped(), other.param("keep", keep), part("both").input("small").input("other")]
    };
    world.expect(&parts(3), "pixels small other both");
    let mut parts = parts(4);
    parts[0] = part("pixels").source(world.path("in.txt")).dropped();
    // `both` demands `small`, which reads `pixels` once more: they are there, and are dropped only then.
    let ran = world.expect(&parts, "other small both");
    assert_eq!(ran.n_events(dropped), 1, "{:#?}", ran.events);
    world.expect(&parts, "");
}

#[test]
fn what_another_artifact_holds_stays() {
    let world = world();
    let mut parts = chain(&world);
    // The same bytes as `pixels`, retained.
    parts.push(part("copy").input("pixels"));
    let ran = world.expect(&parts, "pixels features more copy");
    assert_eq!(ran.n_events(|event| matches!(event, Event::ArtifactDropped { .. })), 0);
    parts.push(part("reader").input("copy").param("keep", 1));
    world.expect(&parts, "reader");
}

#[test]
fn bytes_stay_while_a_reader_has_failed() {
    let world = world();
    let mut parts = chain(&world);
    parts[2] = part("more").input("pixels").work(|_| Err(StageError::new("not today")));
    let ran = world.run(&parts);
    assert_eq!(ran.failed(), "more");
    assert_eq!(ran.n_events(dropped), 0);
    let ran = world.expect(&chain(&world), "more");
    assert_eq!(ran.n_events(dropped), 1);
}

#[test]
fn a_stage_that_only_publishes_keeps_no_bytes() {
    let world = world();
    let out = world.path("out.txt");
    let parts = [part("a").work(|context| write(context, "published")).publish("out.txt", out.clone()).dropped()];
    world.expect(&parts, "a");
    assert!(world.objects().is_empty());
    world.expect(&parts, "");
    fs::remove_file(&out).unwrap();
    world.expect(&parts, "a");
    assert_eq!(fs::read_to_string(&out).unwrap(), "published");
    assert!(world.objects().is_empty());
}

#[test]
fn dropped_bytes_that_a_later_decision_may_demand_are_announced() {
    let world = world();
    world.write("other.txt", "abcdefghij");
    let parts = |keep_middle: usize| {
        let mut parts = chain(&world);
        parts.push(part("other").source(world.path("other.txt")).param("keep", keep_middle));
        parts.push(part("both").input("other").input("pixels").param("keep", 3));
        parts
    };
    world.expect(&parts(5), "pixels other features more both");
    let planned = world.plan(&parts(4)).unwrap();
    assert_eq!(planned.stages[0].decision, Decision::MayBeDemanded { reader: "both".parse().unwrap() });
    world.expect(&parts(4), "other pixels both");
    // The same bytes from `other`: after all, no stage reads the pixels.
    world.write("other.txt", "abcdKLMNOP");
    let planned = world.plan(&parts(4)).unwrap();
    assert_eq!(planned.stages[0].decision, Decision::MayBeDemanded { reader: "both".parse().unwrap() });
    world.expect(&parts(4), "other");
}

#[test]
fn bytes_that_another_run_held_are_dropped_by_the_next_run_with_nothing_to_do() {
    let world = world();
    let mut parts = chain(&world);
    world.expect(&parts, "pixels features more");
    let key = world.store().specs().last(&world.spec().path).unwrap().stages[&"pixels".parse().unwrap()].key;
    let store = world.store();
    let mut other = store.runs().start(0, "other", &RunOrigin::default()).unwrap();
    let (stage, artifact) = ("pixels".parse().unwrap(), Digest::of(b"any"));
    let event = Event::StageReused { stage, key, artifact, report: StageReport::default() };
    let warning = Event::StageWarning { stage: "pixels".parse().unwrap(), message: "in use".to_owned() };
    other.append_event(&EventRecord { at_ms: 0, event }).unwrap();
    // Reused stages are written with the next event.
    other.append_event(&EventRecord { at_ms: 1, event: warning }).unwrap();
    parts.push(part("third").input("pixels").param("keep", 1));
    assert_eq!(world.expect(&parts, "pixels third").n_events(dropped), 0);
    assert!(world.run_unchanged(&parts).is_none(), "a run that left bytes to others is not the last word");
    drop(other);
    assert_eq!(world.expect(&parts, "").n_events(dropped), 1);
    assert_eq!(world.objects().len(), 3);
    assert!(world.run_unchanged(&parts).is_some());
}
