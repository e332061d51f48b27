//! Failures, panics, interruption, and sources that change under a stage.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pipeline_core::{Event, Outcome, StageError};
use pipeline_engine::Abandon;
use pipeline_store::RunState;

use crate::world::{Part, World, part, write};

fn two_branches() -> Vec<Part> {
    vec![
        part("bad").work(|_| Err(StageError::because("it broke", io::Error::other("the cause")).with_help("mend it"))),
        part("below").input("bad"),
        part("deeper").input("below"),
        part("good").work(|context| write(context, "good")),
        part("better").input("good"),
    ]
}

fn world() -> World {
    let mut world = World::new();
    world.options.n_jobs = 1;
    world
}

#[test]
fn a_failure_stops_the_run_and_names_its_causes() {
    let ran = world().run(&two_branches());
    assert_eq!(ran.log, "bad");
    assert_eq!(ran.errors(), "bad: it broke: the cause (mend it)\n");
    assert_eq!((ran.failed().as_str(), ran.skipped().as_str()), ("bad", "below deeper good better"));
    assert_eq!((ran.summary.outcome, ran.summary.has_bug), (Outcome::Failed, false));
    assert!(matches!(ran.events.last(), Some(Event::RunFinished { outcome: Outcome::Failed, .. })));
}

#[test]
fn with_keep_going_everything_that_is_not_below_a_failure_runs() {
    let mut world = world();
    world.options.keep_going = true;
    let ran = world.run(&two_branches());
    assert_eq!(ran.log, "bad good better");
    assert_eq!((ran.failed().as_str(), ran.skipped().as_str()), ("bad", "below deeper"));
    assert_eq!(ran.summary.outcome, Outcome::Failed);
    let because =
        |event: &Event| matches!(event, Event::StageSkipped { because: Some(stage), .. } if stage.as_str() == "bad");
    assert_eq!(ran.n_events(because), 2);
}

#[test]
fn a_failed_stage_leaves_nothing_in_the_store() {
    let world = world();
    let parts = [part("bad").work(|context| {
        write(context, "half")?;
        Err(StageError::new("no"))
    })];
    world.run(&parts);
    assert!(world.objects().is_empty());
    let scratch = fs::read_dir(world.path("artifacts/store-v1/scratch")).map_or(0, Iterator::count);
    assert_eq!(scratch, 0);
}

#[test]
fn a_panic_is_a_failure_that_says_it_is_a_bug() {
    let world = world();
    let ran = world.run(&[part("a").work(|_| panic!("index {} is out of bounds", 7)), part("b").input("a")]);
    assert_eq!(ran.errors(), "a: BUG: stage kind `test` panicked: index 7 is out of bounds\n");
    assert!(ran.summary.has_bug);
    assert_eq!(ran.skipped(), "b");
}

#[test]
fn what_was_done_before_a_failure_is_remembered() {
    let world = world();
    let source = world.write("in.txt", "x");
    let good = part("good").source(source);
    let bad = part("bad").input("good").work(|_| Err(StageError::new("no")));
    world.run(&[good.clone(), bad]);
    let ran = world.expect(&[good, part("bad").input("good")], "bad");
    assert_eq!(ran.why("bad"), Some(pipeline_core::RunReason::New));
}

#[test]
fn an_interrupted_run_ends_soon_and_goes_on_later() {
    let mut world = world();
    let cancel = world.cancel.clone();
    let waits = part("waits").input("first").work(move |context| {
        cancel.cancel();
        while !context.host.is_cancelled() {}
        Err(StageError::cancelled())
    });
    let first = part("first").work(|context| write(context, "1"));
    let ran = world.run(&[first.clone(), waits, part("last").input("waits")]);
    assert_eq!(ran.log, "first waits");
    assert_eq!((ran.summary.outcome, ran.skipped().as_str()), (Outcome::Interrupted, "waits last"));
    assert!(ran.summary.failed.is_empty());
    world.cancel = Default::default();
    world.expect(&[first, part("waits").input("first"), part("last").input("waits")], "waits last");
}

#[test]
fn a_program_that_dies_of_the_interruption_is_no_failure() {
    let world = world();
    let cancel = world.cancel.clone();
    let ran = world.run(&[part("a").work(move |_| {
        cancel.cancel();
        Err(StageError::new("killed by signal 2"))
    })]);
    assert_eq!((ran.summary.outcome, ran.skipped().as_str()), (Outcome::Interrupted, "a"));
}

#[test]
fn a_stage_that_does_not_stop_is_abandoned_once_the_history_is_written() {
    let mut world = world();
    let (cancel, is_released) = (world.cancel.clone(), Arc::new(AtomicBool::new(false)));
    let released = Arc::clone(&is_released);
    let deaf = part("deaf").work(move |context| {
        cancel.cancel();
        while !released.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        write(context, "late")
    });
    let (exit_release, artifacts) = (Arc::clone(&is_released), world.store());
    let exit = move || {
        let run = artifacts.runs().unwrap().pop().unwrap();
        assert_eq!(run.state, RunState::Interrupted);
        exit_release.store(true, Ordering::SeqCst);
    };
    world.options.abandon = Some(Abandon { after: Duration::from_millis(1), exit: Arc::new(exit) });
    let ran = world.run(&[deaf, part("below").input("deaf")]);
    assert!(is_released.load(Ordering::SeqCst));
    assert_eq!((ran.summary.outcome, ran.skipped().as_str()), (Outcome::Interrupted, "deaf below"));
}

#[test]
fn a_run_that_is_cancelled_at_the_start_runs_nothing() {
    let world = world();
    world.cancel.cancel();
    let ran = world.run(&two_branches());
    assert_eq!((ran.log.as_str(), ran.summary.outcome), ("", Outcome::Interrupted));
}

#[test]
fn a_source_that_changes_while_a_stage_reads_it_fails_the_stage() {
    let world = world();
    let source = world.write("rows.tsv", "old");
    let path = source.clone();
    let edited = part("a").source(source.clone()).work(move |context| {
        fs::write(&path, "new").unwrap();
        write(context, "of old and new")
    });
    let ran = world.run(&[edited]);
    assert!(ran.errors().ends_with("rows.tsv` changed while `a` read it (run again)\n"), "{}", ran.errors());
    assert!(world.objects().is_empty());
    world.expect(&[part("a").source(source)], "a");
}

#[test]
fn a_source_that_changes_before_its_stage_starts_is_not_read() {
    let world = world();
    let source = world.write("rows.tsv", "old");
    let path = source.clone();
    let slow = part("slow").work(move |context| {
        fs::write(&path, "new").unwrap();
        write(context, "")
    });
    let reader = part("reader").input("slow").source(source);
    let ran = world.run(&[slow.clone(), reader.clone()]);
    assert!(ran.errors().ends_with("rows.tsv` changed after the run began (run again)\n"), "{}", ran.errors());
    assert_eq!(ran.log, "slow");
    world.expect(&[slow, reader], "reader");
}
