//! Runs that compute nothing, and workers that compute for them.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pipeline_core::{Event, Lane, Outcome, RunId, StageError};
use pipeline_engine::{RunOptions, RunRole, Watch};
use pipeline_store::{Access, SigningKey};

use crate::faulty::{Fault, FaultyRemote};
use crate::world::{Part, Ran, Shards, World, part};

/// Starts a run that watches, and calls `work` with the other end of its line, its id, and a world like its own.
fn watched(world: &World, parts: &[Part], work: impl FnOnce(&Watch, &RunId)) -> Ran {
    let watch = Watch::default();
    let options = RunOptions { role: RunRole::Watch(watch.clone()), ..world.options.clone() };
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let watching = scope.spawn(move || {
            world.run_as(&options, parts, &mut |record| {
                if let Event::RunStarted { run, .. } = &record.event {
                    sender.send(run.clone()).unwrap();
                }
            })
        });
        let run = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
        watch.follow(run.clone());
        work(&watch, &run);
        watching.join().unwrap()
    })
}

fn worker(world: &World, run: &RunId, name: &str, pool: Option<Lane>) -> RunOptions {
    let role = RunRole::Join { run: run.clone(), worker: name.to_owned() };
    RunOptions { role, pool, ..world.options.clone() }
}

#[test]
fn a_run_takes_the_results_of_its_workers_and_publishes_them() {
    let world = World::new();
    world.write("in.txt", "a quick brown fox");
    let published = world.path("published.txt");
    let parts = [
        part("a").source(world.path("in.txt")).dropped(),
        part("b").lane(Lane::Gpu).input("a").param("keep", 7),
        part("c").input("b").param("keep", 5).publish("out.txt", published.clone()),
    ];
    let ran = watched(&world, &parts, |_, run| {
        thread::scope(|scope| {
            for (name, pool) in [("cpu-0", Lane::Cpu), ("gpu-0", Lane::Gpu)] {
                let (world, parts) = (&world, &parts);
                scope.spawn(move || {
                    let options = worker(world, run, name, Some(pool));
                    let ran = world.run_as(&options, parts, &mut |_| {});
                    assert_eq!(ran.summary.outcome, Outcome::Done, "{name}: {}", ran.errors());
                    assert_eq!(ran.log, if pool == Lane::Gpu { "b" } else { "a c" });
                });
            }
        });
    });
    assert_eq!((ran.summary.outcome, ran.log.as_str(), ran.summary.n_ran), (Outcome::Done, "", 3), "{:?}", ran.events);
    assert_eq!(fs::read_to_string(&published).unwrap(), "a qui");
    let n_workers = ran.n_events(|event| matches!(event, Event::WorkerStarted { .. }));
    assert_eq!(n_workers, 2, "{:?}", ran.events);
    assert_eq!(ran.n_events(|event| matches!(event, Event::ArtifactDropped { .. })), 1, "{:?}", ran.events);
    assert_eq!(world.store().runs().list().unwrap().len(), 1, "workers have no runs of their own");
    world.expect(&parts, "");
}

#[test]
fn a_stage_that_fails_on_a_worker_fails_and_what_others_computed_is_reused() {
    let world = World::new();
    let parts = [
        part("good"),
        part("bad").param("id", "bad").work(|_| Err(StageError::new("out of luck"))),
        part("below").input("bad"),
    ];
    let ran = watched(&world, &parts, |_, run| {
        world.run_as(&RunOptions { keep_going: true, ..worker(&world, run, "0", None) }, &parts, &mut |_| {});
    });
    assert_eq!(ran.errors(), "bad: out of luck: this happened on worker `0`\n");
    assert_eq!((ran.failed().as_str(), ran.skipped().contains("below")), ("bad", true));
}

#[test]
fn a_worker_does_not_wait_for_a_stage_that_failed_on_one_of_another_pool() {
    let world = World::new();
    let parts = [
        part("bad").lane(Lane::Gpu).work(|_| Err(StageError::new("out of luck"))),
        part("below").input("bad"),
        part("other").param("id", "other"),
    ];
    let ran = watched(&world, &parts, |_, run| {
        let elsewhere = "bad: out of luck: this happened on worker `gpu-0`\n";
        let of_workers = [("gpu-0", Lane::Gpu, "bad: out of luck\n", "bad"), ("cpu-0", Lane::Cpu, elsewhere, "other")];
        thread::scope(|scope| {
            for (name, pool, errors, log) in of_workers {
                let (world, parts) = (&world, &parts);
                scope.spawn(move || {
                    let options = RunOptions { keep_going: true, ..worker(world, run, name, Some(pool)) };
                    let ran = world.run_as(&options, parts, &mut |_| {});
                    let found = (ran.summary.outcome, ran.errors(), ran.log);
                    assert_eq!(found, (Outcome::Failed, errors.to_owned(), log.to_owned()), "{name}");
                });
            }
        });
    });
    assert_eq!(ran.errors().lines().next(), Some("bad: out of luck: this happened on worker `gpu-0`"));
}

#[test]
fn a_run_whose_workers_are_gone_fails_with_the_reason() {
    let world = World::new();
    let ran = watched(&world, &[part("a")], |watch, _| watch.give_up(vec!["the cluster burnt down".into()], None));
    assert_eq!((ran.summary.outcome, ran.errors().as_str()), (Outcome::Failed, "a: the cluster burnt down\n"));
}

#[test]
fn shards_of_the_remote_that_workers_do_not_trust_are_counted_in_one_warning() {
    let words =
        |words: &str| part("a").param("words", words).shards(Shards { words: words.to_owned(), ..Shards::default() });
    let maker = World::new();
    fs::create_dir(maker.path("remote")).unwrap();
    let remote = FaultyRemote::new(&maker.path("remote"), Access::Write);
    let maker = maker.with_remote(remote.clone());
    maker.run(&[words("one two three")]);

    let mut world = World::new().with_remote(remote.with(Access::Read, Fault::Nothing));
    world.trusted.push(SigningKey::generate("ci").unwrap().trusted());
    let parts = [words("one two four")];
    let ran = watched(&world, &parts, |_, run| {
        for name in ["0", "1"] {
            world.run_as(&worker(&world, run, name, None), &parts, &mut |_| {});
        }
    });
    assert_eq!(ran.summary.outcome, Outcome::Done, "{:?}", ran.events);
    let n_records = |event: &Event| match event {
        Event::RemoteUntrusted { n_records, .. } => Some(*n_records),
        _ => None,
    };
    assert_eq!(ran.events.iter().filter_map(n_records).collect::<Vec<_>>(), [2], "{:?}", ran.events);
}
