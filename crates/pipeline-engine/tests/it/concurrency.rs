//! Stages side by side: as many as requested, with the threads shared among them, and the same bytes for any number.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use pipeline_core::{Event, Lane, Numerics, Outcome};
use pipeline_engine::Decision;
use pipeline_store::{KeyLock, LockOutcome};

use crate::world::{Part, World, part, write};

#[test]
fn independent_stages_run_at_the_same_time() {
    let mut world = World::new();
    (world.options.n_jobs.cpu, world.options.n_threads) = (3, 6);
    let barrier = Arc::new(Barrier::new(3));
    let meeting = |id: &str| {
        let barrier = Arc::clone(&barrier);
        // Continues only when all three run at once, and each has its share of the threads.
        part(id).param("id", id).work(move |context| {
            barrier.wait();
            assert_eq!(context.n_threads, 2);
            write(context, "")
        })
    };
    let ran = world.run(&[meeting("a"), meeting("b"), meeting("c")]);
    assert_eq!(ran.summary.n_ran, 3, "{:#?}", ran.events);
}

#[test]
fn a_lane_has_its_own_number_of_jobs() {
    let mut world = World::new();
    (world.options.n_jobs.cpu, world.options.n_jobs.gpu) = (3, 1);
    let n_on_gpu = Arc::new(AtomicUsize::new(0));
    let on_gpu = |id: &str| {
        let n_on_gpu = Arc::clone(&n_on_gpu);
        part(id).param("id", id).lane(Lane::Gpu).work(move |context| {
            assert_eq!(n_on_gpu.fetch_add(1, Ordering::SeqCst), 0);
            thread::yield_now();
            n_on_gpu.fetch_sub(1, Ordering::SeqCst);
            write(context, "")
        })
    };
    // The three of the lane `cpu` meet one that waits for them in the other lane, so four run at once.
    let barrier = Arc::new(Barrier::new(4));
    let meeting = |id: &str, lane: Lane| {
        let barrier = Arc::clone(&barrier);
        part(id).param("id", id).lane(lane).work(move |context| {
            barrier.wait();
            write(context, "")
        })
    };
    let cpu = ["a", "b", "c"].map(|id| meeting(id, Lane::Cpu));
    let gpu = [on_gpu("g1"), on_gpu("g2"), on_gpu("g3"), on_gpu("g4"), meeting("m", Lane::Gpu)];
    let ran = world.run(&[&cpu[..], &gpu[..]].concat());
    assert_eq!(ran.summary.n_ran, 8, "{:#?}", ran.events);
}

#[test]
fn of_stages_that_fill_all_threads_one_works_at_a_time_beside_others() {
    let mut world = World::new();
    (world.options.n_jobs.cpu, world.options.n_threads) = (4, 8);
    let n_filling = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(2));
    // The one that `small` waits for runs beside it; the others have all threads once `small` is done.
    let large = |id: &str, meets: bool| {
        let (n_filling, barrier) = (Arc::clone(&n_filling), Arc::clone(&barrier));
        part(id).param("id", id).filling_threads().work(move |context| {
            assert_eq!(n_filling.fetch_add(1, Ordering::SeqCst), 0);
            if meets {
                barrier.wait();
            }
            assert_eq!(context.n_threads, if meets { 4 } else { 8 });
            n_filling.fetch_sub(1, Ordering::SeqCst);
            write(context, "")
        })
    };
    let small = {
        let barrier = Arc::clone(&barrier);
        part("small").work(move |context| {
            barrier.wait();
            write(context, "")
        })
    };
    let after = |part: Part| part.input("small");
    let parts = [small, large("a", true), after(large("b", false)), after(large("c", false))];
    let ran = world.run(&parts);
    assert_eq!(ran.summary.n_ran, 4, "{}", ran.errors());
}

#[test]
fn never_more_stages_run_than_allowed() {
    let mut world = World::new();
    world.options.n_jobs.cpu = 2;
    let n_running = Arc::new(AtomicUsize::new(0));
    let counting = |id: usize| {
        let n_running = Arc::clone(&n_running);
        part(&format!("s{id}")).param("id", id).work(move |context| {
            assert!(n_running.fetch_add(1, Ordering::SeqCst) < 2);
            let report = write(context, &id.to_string());
            n_running.fetch_sub(1, Ordering::SeqCst);
            report
        })
    };
    let parts: Vec<Part> = (0..20).map(counting).collect();
    let ran = world.run(&parts);
    assert_eq!(ran.summary.n_ran, 20, "{}", ran.errors());
}

#[test]
fn any_number_of_jobs_gives_the_same_artifacts() {
    let artifacts = |n_jobs: usize| {
        let mut world = World::new();
        world.options.n_jobs.cpu = n_jobs;
        world.write("in.txt", "the quick brown fox");
        let ran = world.run(&lattice(&world));
        let artifact = |event: &Event| match event {
            Event::StageFinished { stage, artifact, key, .. } => Some((stage.clone(), (*key, *artifact))),
            _ => None,
        };
        ran.events.iter().filter_map(artifact).collect::<BTreeMap<_, _>>()
    };
    let alone = artifacts(1);
    assert_eq!(alone.len(), 30);
    assert_eq!(artifacts(8), alone);
}

/// Thirty stages, each of which reads some of the earlier ones.
fn lattice(world: &World) -> Vec<Part> {
    let stage = |idx: usize| {
        let mut part = part(&format!("s{idx}")).param("keep", 5 + idx);
        if idx < 3 {
            part = part.source(world.path("in.txt"));
        }
        (0..idx)
            .filter(|input| idx.is_multiple_of(input + 2))
            .fold(part, |part, input| part.input(&format!("s{input}")))
    };
    (0..30).map(stage).collect()
}

#[test]
fn eight_runs_on_one_store_compute_every_stage_once() {
    let world = World::new();
    world.write("in.txt", "the quick brown fox");
    let parts = lattice(&world);
    let logs: Vec<String> = thread::scope(|scope| {
        let run = |run_idx: usize| {
            let (world, parts) = (&world, &parts);
            scope.spawn(move || {
                let mut spec = world.spec();
                spec.path = world.path(&format!("{run_idx}.yaml"));
                let ran = world.run_with(parts, &spec, &mut |_| {});
                assert_eq!(ran.summary.outcome, Outcome::Done, "{}", ran.errors());
                ran.log
            })
        };
        let runs: Vec<_> = (0..8).map(run).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let ran: Vec<&str> = logs.iter().flat_map(|log| log.split_whitespace()).collect();
    // Stages with equal manifests share a key, so there are fewer results than stages, and each is computed once.
    let distinct: std::collections::BTreeSet<&str> = ran.iter().copied().collect();
    assert_eq!(ran.len(), distinct.len(), "{logs:?}");
    assert_eq!(fs::read_dir(world.path("artifacts/runs")).unwrap().count(), 8);
}

/// The lock of the only stage in `parts`, as another process would hold it.
fn lock_elsewhere(world: &World, parts: &[Part]) -> KeyLock {
    let Decision::Run { key, .. } = world.plan(parts).unwrap().stages[0].decision else { panic!("it is not stale") };
    let LockOutcome::Acquired(lock) = world.store().workspace().lock(&key, "elsewhere", Numerics::Plain).unwrap()
    else {
        panic!("it is held")
    };
    lock
}

#[test]
fn a_key_is_taken_over_when_its_owner_gives_up() {
    let world = World::new();
    let parts = [part("a").work(|context| write(context, "a"))];
    let mut lock = Some(lock_elsewhere(&world, &parts));
    let ran = world.run_with(&parts, &world.spec(), &mut |record| {
        if let Event::StageWaiting { owner, .. } = &record.event {
            assert!(owner.contains("stage elsewhere"), "{owner}");
            lock = None;
        }
    });
    assert_eq!(ran.log, "a");
    assert_eq!(ran.n_events(|event| matches!(event, Event::StageWaiting { .. })), 1);
}

#[test]
fn a_stage_that_waits_holds_up_nothing_but_what_is_below_it() {
    let mut world = World::new();
    world.options.n_jobs.cpu = 1;
    let parts = [part("a").work(|context| write(context, "a")), part("b").input("a"), part("c").param("x", 1)];
    let mut lock = Some(lock_elsewhere(&world, &parts));
    let ran = world.run_with(&parts, &world.spec(), &mut |record| {
        if matches!(&record.event, Event::StageFinished { stage, .. } if stage.as_str() == "c") {
            lock = None;
        }
    });
    assert_eq!(ran.log, "c a b");
}

#[test]
fn a_run_that_only_waits_can_be_interrupted() {
    let world = World::new();
    let parts = [part("a").work(|context| write(context, "a"))];
    let _lock = lock_elsewhere(&world, &parts);
    let ran = world.run_with(&parts, &world.spec(), &mut |record| {
        if matches!(record.event, Event::StageWaiting { .. }) {
            world.cancel.cancel();
        }
    });
    assert_eq!((ran.log.as_str(), ran.summary.outcome), ("", Outcome::Interrupted));
    assert!(ran.summary.seconds < 2.0);
}

#[test]
fn progress_is_reported_but_not_at_every_row() {
    let world = World::new();
    let ran = world.run(&[part("a").work(|context| {
        for n_done in 1..=100_000 {
            context.host.progress(n_done, Some(100_000));
        }
        write(context, "")
    })]);
    let progress: Vec<u64> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StageProgress { n_done, .. } => Some(*n_done),
            _ => None,
        })
        .collect();
    assert_eq!((progress.first(), progress.last()), (Some(&1), Some(&100_000)));
    assert!(progress.len() < 100, "{}", progress.len());
    let recorded = fs::read_to_string(ran.summary.folder.join("events.jsonl")).unwrap();
    assert!(!recorded.contains("stage-progress"));
}
