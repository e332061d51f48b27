//! Stages that are recomputed and those that are reused.

use std::fs;

use pipeline_core::{Event, Reader, RunReason};
use pipeline_engine::{Decision, EngineError, SpecInfo};
use pipeline_store::path_of_overrides;

use crate::world::{Part, World, forced, part, read_inputs, write};

/// `a` and `b` read sources, `c` reads both, `d` reads `c`.
fn diamond(world: &World) -> Vec<Part> {
    vec![
        part("a").source(world.path("a.txt")),
        part("b").source(world.path("b.txt")).param("keep", 3),
        part("c").input("a").input("b"),
        part("d").input("c").param("keep", 2),
    ]
}

fn world_with_sources() -> World {
    let mut world = World::new();
    world.options.n_jobs.cpu = 1;
    world.write("a.txt", "one");
    world.write("b.txt", "two, and more");
    world
}

#[test]
fn only_the_changed_stage_and_what_is_below_it_runs() {
    let world = world_with_sources();
    let mut parts = diamond(&world);
    world.expect(&parts, "a b c d");
    world.expect(&parts, "");
    parts[3] = part("d").input("c").param("keep", 1);
    world.expect(&parts, "d");
    world.write("a.txt", "ONE");
    world.expect(&parts, "a c d");
    world.write("b.txt", "two, and less");
    world.expect(&parts, "b");
    // `c` changes, but not the part that `d` keeps; a stage below `d` would be reused.
    parts.push(part("e").input("d"));
    world.expect(&parts, "e");
    world.write("b.txt", "TWO");
    let ran = world.expect(&parts, "b c d");
    assert_eq!(ran.summary.n_reused, 2);
}

#[test]
fn a_moved_source_makes_nothing_stale() {
    let world = world_with_sources();
    world.expect(&diamond(&world), "a b c d");
    fs::create_dir(world.path("elsewhere")).unwrap();
    for file in ["a.txt", "b.txt"] {
        fs::rename(world.path(file), world.path("elsewhere").join(file)).unwrap();
    }
    let mut parts = diamond(&world);
    parts[0] = part("a").source(world.path("elsewhere/a.txt"));
    parts[1] = part("b").source(world.path("elsewhere/b.txt")).param("keep", 3);
    world.expect(&parts, "");
}

#[test]
fn two_specs_share_what_they_share() {
    let world = world_with_sources();
    let parts = diamond(&world);
    world.expect(&parts, "a b c d");
    let mut other = world.spec();
    other.path = world.path("other.yaml");
    let renamed = [part("x").source(world.path("a.txt")), part("y").input("x").param("keep", 1)];
    let ran = world.run_with(&renamed, &other, &mut |_| {});
    assert_eq!(ran.log, "y");
    assert_eq!(ran.why("y"), Some(RunReason::New));
}

#[test]
fn a_forced_stage_runs_and_the_wave_stops_when_its_bytes_are_the_same() {
    let mut world = world_with_sources();
    let parts = diamond(&world);
    world.expect(&parts, "a b c d");
    world.options.plan = forced(&["a", "d"]);
    let ran = world.expect(&parts, "a d");
    assert_eq!(ran.why("a"), Some(RunReason::Forced));
}

#[test]
fn lost_bytes_are_computed_again_only_for_who_must_read_them() {
    let world = world_with_sources();
    let mut parts = diamond(&world);
    world.expect(&parts, "a b c d");
    for object in world.objects() {
        fs::remove_file(object).unwrap();
    }
    world.expect(&parts, "");
    parts[3] = part("d").input("c").param("keep", 4);
    let ran = world.expect(&parts, "a b c d");
    assert_eq!(ran.why("c"), Some(RunReason::Demanded { reader: Reader::Stage("d".parse().unwrap()) }));
    assert_eq!(ran.why("a"), Some(RunReason::Demanded { reader: Reader::Stage("c".parse().unwrap()) }));
}

#[test]
fn a_lost_or_damaged_record_is_noticed_and_made_anew() {
    let world = world_with_sources();
    let parts = diamond(&world);
    world.expect(&parts, "a b c d");
    fs::remove_dir_all(world.path("artifacts/store-v1/actions")).unwrap();
    world.expect(&parts, "a b c d");
    world.expect(&parts, "");

    let key = world.store().specs().last(&world.spec().path).unwrap().stages[&"b".parse().unwrap()].key.to_string();
    let record = world.path(&format!("artifacts/store-v1/actions/{}/{}.json", &key[..2], &key[2..]));
    let document = fs::read(&record).unwrap();
    let damages: [&dyn Fn(); 5] = [
        &|| world.flip_bit(&record),
        &|| fs::write(&record, "").unwrap(),
        &|| fs::remove_file(&record).unwrap(),
        &|| fs::remove_file(&record).and_then(|()| fs::create_dir(&record)).unwrap(),
        // The record of another key, intact by itself.
        &|| fs::write(&record, String::from_utf8_lossy(&document).replace("\"b\"", "\"x\"")).unwrap(),
    ];
    for (idx, damage) in damages.iter().enumerate() {
        damage();
        assert!(world.run_unchanged(&parts).is_none(), "damage {idx}");
        let ran = world.expect(&parts, "b");
        assert_eq!(ran.why("b"), Some(RunReason::RecordLost), "damage {idx}");
        world.expect(&parts, "");
    }
    // Touched and intact: read, and nothing runs.
    fs::write(&record, fs::read(&record).unwrap()).unwrap();
    assert!(world.run_unchanged(&parts).is_none());
    world.expect(&parts, "");
}

#[test]
fn a_store_that_forgot_what_the_spec_had_last_still_knows_the_results() {
    let world = world_with_sources();
    world.expect(&diamond(&world), "a b c d");
    fs::remove_dir_all(world.path("artifacts/last")).unwrap();
    world.expect(&diamond(&world), "");
}

#[test]
fn a_stage_that_gives_other_bytes_when_demanded_takes_what_is_below_it_along() {
    let world = World::new();
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let unsteady = part("a").work(move |context| {
        let n_before = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        write(context, &n_before.to_string())
    });
    let cut_off = part("z").input("a").param("keep", 0);
    let mut parts = vec![unsteady, part("b").input("a"), part("c").input("b"), cut_off, part("below-z").input("z")];
    world.run(&parts);
    for object in world.objects() {
        fs::remove_file(object).unwrap();
    }
    // `d` must read `a`, which is gone and comes back different. So `b`, `c` and `z`, settled by then, are not up to
    // date. The result of `z` is the same, and `below-z` stays reused.
    parts.push(part("d").input("a").param("keep", 7));
    let ran = world.run_with(&parts, &world.spec(), &mut |_| {});
    let mut log: Vec<&str> = ran.log.split(' ').collect();
    log.sort_unstable();
    assert_eq!(log, ["a", "b", "c", "d", "z"], "{:#?}", ran.events);
    let read = |event: &Event| matches!(event, Event::StageStarted { stage, .. } if stage.as_str() == "a");
    assert_eq!(ran.n_events(read), 1);
    world.expect(&parts, "");
}

#[test]
fn damaged_inputs_are_computed_again_before_they_are_read() {
    let world = world_with_sources();
    let mut parts = diamond(&world);
    world.expect(&parts, "a b c d");
    for object in world.objects() {
        world.flip_bit(&object);
    }
    parts.push(part("e").input("d").input("b").work(|context| write(context, &read_inputs(context)?)));
    let ran = world.run(&parts);
    assert_eq!(ran.summary.n_ran, 5, "{:#?}", ran.events);
    assert!(ran.warnings().contains("e: input `b`"), "{}", ran.warnings());
    let open = world.store();
    let planned = world.plan(&parts).unwrap();
    let Decision::Reuse { key, .. } = &planned.stages[4].decision else { panic!("{planned:#?}") };
    let tree = open.records().get(key).unwrap().unwrap().tree;
    assert_eq!(fs::read_to_string(open.cas().open(&tree).unwrap().folder().join("out.txt")).unwrap(), "twoon");
}

#[test]
fn a_missing_source_stops_the_run_before_any_work() {
    let world = World::new();
    let parts = [part("a").work(|context| write(context, "a")), part("b").source(world.path("nowhere.txt"))];
    let error = world.plan(&parts).unwrap_err();
    let EngineError::Source { stage, source } = &error else { panic!("{error:?}") };
    assert_eq!((stage.as_str(), source.to_string().as_str()), ("b", "there is no `nowhere.txt`"));
    let below = [parts[0].clone(), parts[1].clone().input("a")];
    assert!(world.plan(&below).is_err(), "it must run whatever its input will be");
    assert!(world.objects().is_empty());
}

#[test]
fn a_source_that_is_gone_is_remembered_through_several_runs_with_other_overrides() {
    let mut world = World::new();
    world.options.n_jobs.cpu = 1;
    let [gone, there] = ["gone.txt", "there.txt"].map(|name| world.write(name, "text"));
    let parts = |keep: usize| [part("a").source(gone.clone()), part("b").source(there.clone()).param("keep", keep)];
    world.expect(&parts(3), "a b");
    fs::remove_file(&gone).unwrap();
    let spec = SpecInfo { path: path_of_overrides(&world.spec().path, ["b.params.keep=2"]), ..world.spec() };
    for log in ["b", ""] {
        let ran = world.run_with(&parts(2), &spec, &mut |_| {});
        assert_eq!((ran.log.as_str(), ran.warnings().contains("its remembered result is used")), (log, true));
    }
}

#[test]
fn a_stage_that_could_never_work_stops_the_run_before_any_work() {
    let world = World::new();
    let parts = |fault: Option<&str>| {
        let below = part("b").input("a");
        [
            part("a").work(|context| write(context, "a")),
            fault.map_or(below.clone(), |fault| below.param("fault", fault)),
        ]
    };
    let error = world.plan(&parts(Some("1"))).unwrap_err();
    let EngineError::CannotRun { stage, source } = &error else { panic!("{error:?}") };
    assert_eq!((stage.as_str(), source.to_string().as_str()), ("b", "its fault is 1"));
    assert!(world.objects().is_empty());
    // Stages whose facts are those of one that has been checked are not checked again.
    let mut alike = parts(Some("1"));
    alike[0] = alike[0].clone().param("facts", "same");
    alike[1] = alike[1].clone().param("facts", "same");
    assert!(world.plan(&alike).is_ok());
    world.expect(&parts(None), "a b");
}

#[test]
fn a_plan_writes_nothing() {
    let world = world_with_sources();
    world.plan(&diamond(&world)).unwrap();
    assert!(!world.path("artifacts/runs").exists());
    assert!(!world.path("artifacts/last").exists());
}

#[test]
fn an_unknown_forced_stage_is_named() {
    let mut world = world_with_sources();
    world.options.plan = forced(&["nobody"]);
    let error = world.plan(&diamond(&world)).unwrap_err();
    assert_eq!(error.to_string(), "the spec has no stage `nobody`");
}

#[test]
fn the_run_leaves_its_spec_events_and_metrics() {
    let world = World::new();
    let measured = |value: f64| {
        part("evaluate").param("value", value).work(move |context| {
            let mut report = write(context, "rankings")?;
            report.metrics.insert("mean_recall".into(), value);
            report.metrics.insert("loss".into(), f64::NAN);
            Ok(report)
        })
    };
    let parts = [measured(0.5), part("other").work(|context| write(context, ""))];
    let ran = world.run(&parts);
    assert!(ran.warnings().contains("metric `loss` is NaN"), "{}", ran.warnings());
    let again = world.expect(&parts, "");
    for ran in [ran, again] {
        let read = |file: &str| fs::read_to_string(ran.summary.folder.join(file)).unwrap();
        assert_eq!(read("spec.yaml"), "name: spec\n");
        let metrics: serde_json::Value = serde_json::from_str(&read("metrics.json")).unwrap();
        assert_eq!(metrics, serde_json::json!({"evaluate": {"mean_recall": 0.5}}));
        let recorded: Vec<Event> = read("events.jsonl")
            .lines()
            .map(|line| serde_json::from_str::<pipeline_core::EventRecord>(line).unwrap().event)
            .collect();
        assert_eq!(recorded, ran.events);
    }
}
