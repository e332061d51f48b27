//! The eleven behaviours that users miss in other tools, on a chain `in.txt -> a -> b -> c` that publishes all files.

use std::fs;
use std::sync::mpsc;

use pipeline_core::{Event, Outcome, RunReason, StageError};

use crate::world::{Part, World, part, read_inputs, write};

fn chain(world: &World, version_of_b: u32) -> Vec<Part> {
    vec![
        part("a").source(world.path("in.txt")).param("keep", 5).publish("out.txt", world.path("a.txt")),
        part("b").input("a").param("command", version_of_b).publish("out.txt", world.path("b.txt")),
        part("c").input("b").publish("out.txt", world.path("c.txt")),
    ]
}

/// A world in which the chain has run once on `AAAAAtail1`.
fn world_after_first_run() -> World {
    let world = World::new();
    world.write("in.txt", "AAAAAtail1\n");
    world.expect(&chain(&world, 1), "a b c");
    assert_eq!(world.read("c.txt"), "AAAAA");
    world
}

#[test]
fn nothing_runs_when_nothing_changed() {
    let world = world_after_first_run();
    let ran = world.expect(&chain(&world, 1), "");
    assert_eq!((ran.summary.n_ran, ran.summary.n_reused), (0, 3));
    assert_eq!(ran.n_events(|event| matches!(event, Event::FilePublished { .. })), 0);
}

#[test]
fn nothing_runs_when_a_source_was_only_touched() {
    let world = world_after_first_run();
    let file = fs::File::options().append(true).open(world.path("in.txt")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    world.expect(&chain(&world, 1), "");
}

#[test]
fn a_change_that_does_not_reach_the_output_stops_at_the_first_stage() {
    let world = world_after_first_run();
    world.write("in.txt", "AAAAAtail2\n");
    let ran = world.expect(&chain(&world, 1), "a");
    assert!(ran.events.iter().any(|event| matches!(event, Event::StageFinished { unchanged: true, .. })));
}

#[test]
fn a_change_that_reaches_the_output_runs_all_and_reverting_it_runs_nothing() {
    let world = world_after_first_run();
    world.write("in.txt", "BBBBBtail1\n");
    world.expect(&chain(&world, 1), "a b c");
    assert_eq!(world.read("c.txt"), "BBBBB");
    world.write("in.txt", "AAAAAtail1\n");
    world.expect(&chain(&world, 1), "");
    assert_eq!(world.read("c.txt"), "AAAAA");
}

#[test]
fn a_changed_command_with_the_same_output_runs_alone() {
    let world = world_after_first_run();
    let ran = world.expect(&chain(&world, 2), "b");
    let Some(RunReason::Changed { changes }) = ran.why("b") else { panic!("{:?}", ran.why("b")) };
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].name, "param.command");
    assert_eq!((changes[0].old.as_deref(), changes[0].new.as_deref()), (Some("1"), Some("2")));
}

#[test]
fn deleted_and_altered_published_files_are_restored_without_running() {
    let world = world_after_first_run();
    fs::remove_file(world.path("b.txt")).unwrap();
    world.expect(&chain(&world, 1), "");
    assert_eq!(world.read("b.txt"), "AAAAA");
    for file in ["a.txt", "b.txt", "c.txt"] {
        fs::remove_file(world.path(file)).unwrap();
    }
    world.expect(&chain(&world, 1), "");
    assert_eq!(world.read("c.txt"), "AAAAA");
    world.write("b.txt", "junk!");
    world.expect(&chain(&world, 1), "");
    assert_eq!(world.read("b.txt"), "AAAAA");
}

#[test]
fn damaged_cached_files_are_found_and_computed_again() {
    let world = world_after_first_run();
    for object in world.objects() {
        world.flip_bit(&object);
    }
    for file in ["a.txt", "b.txt", "c.txt"] {
        fs::remove_file(world.path(file)).unwrap();
    }
    let ran = world.run(&chain(&world, 1));
    assert_eq!(ran.summary.outcome, Outcome::Done, "{:#?}", ran.events);
    assert!(ran.warnings().contains("damaged"), "{}", ran.warnings());
    for file in ["a.txt", "b.txt", "c.txt"] {
        assert_eq!(world.read(file), "AAAAA");
    }
    world.expect(&chain(&world, 1), "");
}

#[test]
fn a_run_that_broke_off_goes_on_where_it_stopped() {
    let world = World::new();
    world.write("in.txt", "AAAAAtail1\n");
    let mut parts = chain(&world, 1);
    let whole_b = parts[1].clone();
    parts[1] = whole_b.clone().work(|context| {
        fs::write(context.scratch.join("out.txt"), "half").unwrap();
        Err(StageError::new("broken off"))
    });
    let ran = world.run(&parts);
    assert_eq!((ran.log.as_str(), ran.failed().as_str(), ran.skipped().as_str()), ("a b", "b", "c"));
    assert!(!world.path("b.txt").exists());
    parts[1] = whole_b;
    world.expect(&parts, "b c");
    assert_eq!(world.read("c.txt"), "AAAAA");
}

#[test]
fn two_runs_at_once_compute_each_stage_once() {
    let world = World::new();
    world.write("in.txt", "AAAAAtail1\n");
    let (started, has_started) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let mut slow = chain(&world, 1);
    slow[1] = slow[1].clone().work(move |context| {
        started.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        write(context, &read_inputs(context)?)
    });
    let quick = chain(&world, 1);
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| world.run_with(&slow, &world.spec(), &mut |_| {}));
        has_started.recv().unwrap();
        // The second run reaches `b` while the first computes it, and lets it continue once it waits.
        let second = world.run_with(&quick, &world.spec(), &mut |record| {
            if matches!(record.event, Event::StageWaiting { .. }) {
                go_on.send(()).unwrap();
            }
        });
        (first.join().unwrap(), second)
    });
    let mut ran: Vec<&str> = first.log.split(' ').chain(second.log.split(' ')).filter(|id| !id.is_empty()).collect();
    ran.sort_unstable();
    assert_eq!(ran, ["a", "b", "c"]);
    assert_eq!((first.summary.outcome, second.summary.outcome), (Outcome::Done, Outcome::Done));
    assert_eq!(world.read("c.txt"), "AAAAA");
}
