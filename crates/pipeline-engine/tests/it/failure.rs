//! Failures, panics, interruption, and sources that change under a stage.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

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
    world.options.n_jobs.cpu = 1;
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
        let run = artifacts.runs().list().unwrap().pop().unwrap();
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
fn a_source_that_changes_before_its_stage_begins_is_taken_as_it_is_then() {
    let world = world();
    let source = world.write("rows.tsv", "old");
    let path = source.clone();
    let slow = part("slow").work(move |context| {
        fs::write(&path, "new").unwrap();
        write(context, "")
    });
    let reader = part("reader").input("slow").source(source.clone()).publish("out.txt", world.path("out.txt"));
    world.expect(&[slow.clone(), reader.clone()], "slow reader");
    assert_eq!(world.read("out.txt"), "new");
    world.expect(&[slow.clone(), reader.clone()], "");

    // The result may be that of an earlier run.
    let idle = part("slow").param("again", 1).work(|context| write(context, "other"));
    fs::write(&source, "old").unwrap();
    world.expect(&[slow.clone().param("again", 2), reader.clone()], "slow");
    assert_eq!(world.read("out.txt"), "new");
    world.expect(&[idle, reader], "slow reader");
}

#[test]
fn a_source_that_is_edited_while_its_stage_waits_in_line_is_taken_as_it_is_then() {
    let mut world = world();
    world.options.n_jobs.cpu = 1;
    let source = world.write("rows.tsv", "old");
    let path = source.clone();
    let first = part("first").work(move |context| {
        fs::write(&path, "new").unwrap();
        write(context, "")
    });
    let second = part("second").source(source).publish("out.txt", world.path("out.txt"));
    let parts = [first, second];
    let spec = pipeline_engine::SpecInfo { circumstances: None, ..world.spec() };
    let ran = world.run_with(&parts, &spec, &mut |_| {});
    assert_eq!((ran.log.as_str(), world.read("out.txt").as_str()), ("first second", "new"));
    world.expect(&parts, "");
}

#[test]
fn work_is_kept_when_only_the_times_or_links_of_a_source_changed_meanwhile() {
    for meddle in [
        |path: &Path| fs::File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap(),
        |path: &Path| fs::hard_link(path, path.with_extension("backup")).unwrap(),
        |path: &Path| fs::write(path, "rows").unwrap(),
        |path: &Path| {
            fs::write(path.with_extension("new"), "rows").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
    ] {
        let world = world();
        let source = world.write("rows.tsv", "rows");
        let path = source.clone();
        let reader = part("a").source(source).work(move |context| {
            meddle(&path);
            write(context, "of rows")
        });
        world.expect(std::slice::from_ref(&reader), "a");
        world.expect(&[reader], "");
    }
}

#[test]
fn a_source_that_is_gone_stops_only_a_stage_that_must_read_it() {
    let mut world = world();
    let [raw, other] = ["raw.tsv", "other.tsv"].map(|name| world.write(name, name));
    let features = part("features").source(raw.clone()).source(other.clone());
    let train = part("train").input("features");
    world.expect(&[features.clone(), train.clone()], "features train");
    fs::remove_file(&raw).unwrap();

    let ran = world.expect(&[features.clone(), train.clone()], "");
    assert!(ran.warnings().starts_with("features: "), "{}", ran.warnings());
    assert!(ran.warnings().contains("no `raw.tsv`"), "{}", ran.warnings());
    world.expect(&[features.clone(), train.clone().param("keep", 3)], "train");
    // Also remembered after a run in which it was missing.
    world.expect(&[features.clone(), train.clone().param("keep", 4)], "train");

    // Another param, another changed source, or another name needs the missing source.
    let must_read = |world: &World, features: Part| world.plan(&[features, train.clone()]).unwrap_err().to_string();
    assert_eq!(must_read(&world, features.clone().param("keep", 2)), "the sources of stage `features` cannot be used");
    let elsewhere = part("features").source(world.path("raw2.tsv")).source(other.clone());
    assert_eq!(must_read(&world, elsewhere), "the sources of stage `features` cannot be used");
    fs::write(&other, "edited").unwrap();
    assert_eq!(must_read(&world, features.clone()), "the sources of stage `features` cannot be used");

    world.options.keep_going = true;
    let ran = world.run_with(&[features, train, part("apart")], &world.spec(), &mut |_| {});
    assert_eq!((ran.failed().as_str(), ran.skipped().as_str(), ran.log.as_str()), ("features", "train", "apart"));
    assert!(ran.errors().ends_with("there is no `raw.tsv` (put it there)\n"), "{}", ran.errors());
}
