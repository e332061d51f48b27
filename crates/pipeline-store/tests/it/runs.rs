//! The history of runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pipeline_core::{Device, Digest, Event, EventRecord, Key, Outcome, RunId, StageReport};
use pipeline_store::{CollectOptions, Needed, RunFolder, RunOrigin, RunState, Store, StoreError};

use crate::fixture::{Fixture, flip_bit};

fn started(run: &RunFolder) -> EventRecord {
    let event = Event::RunStarted {
        run: run.id().clone(),
        spec: "demo".into(),
        stages: Vec::new(),
        graph: Vec::new(),
        version: "0.1.0".into(),
        device: Device::Cpu,
        cards: Vec::new(),
        n_jobs: 1,
        n_threads: 1,
    };
    EventRecord { at_ms: 5, event }
}

fn reused(stage: &str) -> EventRecord {
    let digest = Digest::of(stage.as_bytes());
    let stage = stage.parse().unwrap();
    let event = Event::StageReused { stage, key: Key(digest), artifact: digest, report: StageReport::default() };
    EventRecord { at_ms: 6, event }
}

fn finished(outcome: Outcome, n_stages: usize) -> EventRecord {
    let metrics = BTreeMap::from([("mean_recall".to_owned(), 0.25)]);
    let metrics = (0..n_stages).map(|idx| (format!("stage-{idx}").parse().unwrap(), metrics.clone())).collect();
    EventRecord { at_ms: 7, event: Event::RunFinished { outcome, seconds: 2.5, metrics, remote: None } }
}

#[test]
fn runs_are_listed_with_how_they_stand_newest_last() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    // More metrics than fit into the first look at the end of the file.
    let outcomes = [(Outcome::Failed, 1), (Outcome::Interrupted, 0), (Outcome::Done, 2000)];
    for (idx, (outcome, n_stages)) in outcomes.into_iter().enumerate() {
        let mut run = store.runs().start(idx as u64 * 1000, "demo", &RunOrigin::default()).unwrap();
        run.append_event(&started(&run)).unwrap();
        run.append_event(&finished(outcome, n_stages)).unwrap();
    }
    let mut died = store.runs().start(4000, "other", &RunOrigin::default()).unwrap();
    died.append_event(&started(&died)).unwrap();
    drop(died);
    let running = store.runs().start(5000, "other", &RunOrigin::default()).unwrap();

    let runs = fixture.another_handle().runs().list().unwrap();
    let states: Vec<_> = runs.iter().map(|run| run.state).collect();
    let (failed, interrupted) = (RunState::Failed, RunState::Interrupted);
    assert_eq!(states, [failed, interrupted, RunState::Done, RunState::Died, RunState::Running]);
    assert_eq!(runs[2].metrics.len(), 2000);
    assert_eq!(runs[2].metrics[&"stage-7".parse().unwrap()]["mean_recall"], 0.25);
    assert_eq!((runs[2].seconds, runs[4].seconds), (Some(2.5), None));
    assert_eq!((runs[0].spec.as_str(), runs[4].spec.as_str()), ("demo", "other"));
    assert_eq!((&runs[4].id, runs[4].started_ms), (running.id(), 5000));
    assert!(running.id().0.starts_with("19700101T000005Z-"));
}

#[test]
fn runs_of_one_instant_have_different_ids() {
    let fixture = Fixture::new();
    let runs: Vec<_> = (0..50).map(|_| fixture.store.runs().start(0, "demo", &RunOrigin::default()).unwrap()).collect();
    let ids: std::collections::BTreeSet<_> = runs.iter().map(RunFolder::id).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn the_folder_holds_the_spec_the_metrics_and_an_event_a_line() {
    let fixture = Fixture::new();
    let mut run = fixture.store.runs().start(0, "demo", &RunOrigin::default()).unwrap();
    let events = run.folder().join("events.jsonl");
    run.write_spec("name: demo\n").unwrap();
    run.write_metrics(&BTreeMap::from([("evaluate".parse().unwrap(), BTreeMap::from([("r".into(), 1.0)]))])).unwrap();
    let written = [started(&run), reused("a"), reused("b"), finished(Outcome::Done, 1)];
    for (event, n_lines) in written.iter().zip([1, 1, 1, 4]) {
        run.append_event(event).unwrap();
        assert_eq!(fs::read_to_string(&events).unwrap().lines().count(), n_lines);
    }
    assert_eq!(fs::read_to_string(run.folder().join("spec.yaml")).unwrap(), "name: demo\n");
    let metrics = fs::read_to_string(run.folder().join("metrics.json")).unwrap();
    assert_eq!(metrics, "{\n  \"evaluate\": {\n    \"r\": 1.0\n  }\n}\n");

    assert_eq!(fixture.store.runs().events(run.id()).unwrap(), written);
    assert_eq!(fixture.store.runs().list().unwrap()[0].state, RunState::Done);
}

#[test]
fn a_kill_can_cut_the_last_line() {
    let fixture = Fixture::new();
    let mut run = fixture.store.runs().start(0, "demo", &RunOrigin::default()).unwrap();
    let written = started(&run);
    run.append_event(&written).unwrap();
    append(&run.folder().join("events.jsonl"), "{\"at_ms\":9,\"ev");
    let id = run.id().clone();
    drop(run);
    assert_eq!(fixture.store.runs().events(&id).unwrap(), [written]);
    assert_eq!(fixture.store.runs().list().unwrap()[0].state, RunState::Died);
}

fn append(path: &Path, text: &str) {
    std::io::Write::write_all(&mut fs::File::options().append(true).open(path).unwrap(), text.as_bytes()).unwrap();
}

/// Three runs that have ended, with their specs and metrics written.
fn three_runs(fixture: &Fixture) -> [RunId; 3] {
    [1000, 2000, 3000].map(|at_ms| {
        let mut run = fixture.store.runs().start(at_ms, "demo", &RunOrigin::default()).unwrap();
        run.append_event(&started(&run)).unwrap();
        run.write_spec("name: demo\n").unwrap();
        run.write_metrics(&BTreeMap::new()).unwrap();
        run.append_event(&finished(Outcome::Done, 1)).unwrap();
        run.id().clone()
    })
}

fn states(store: &Store) -> Vec<RunState> {
    store.runs().list().unwrap().iter().map(|run| run.state).collect()
}

/// Damages the second of three runs, and compares the reported problem.
fn check_damage(damage: impl Fn(&Path), problem: &str) {
    let fixture = Fixture::new();
    let ids = three_runs(&fixture);
    let folder = fixture.store.artifacts().join("runs").join(&ids[1].0);
    damage(&folder);
    let runs = fixture.store.runs().list().unwrap();
    let of = |id: &RunId| runs.iter().find(|run| run.id == *id).unwrap();
    assert_eq!([of(&ids[0]).state, of(&ids[2]).state], [RunState::Done; 2], "{problem}");
    assert_eq!((of(&ids[1]).state, of(&ids[1]).metrics.len()), (RunState::Damaged, 0), "{problem}");
    let told = of(&ids[1]).problem.as_deref().unwrap();
    assert!(told.contains(problem), "{told}");
    assert_eq!(runs[2].id, ids[2], "what follows stays the last");
    fixture.store.stats().unwrap();
    fixture.store.collect(&CollectOptions::default()).unwrap();
}

#[test]
fn what_was_changed_after_a_run_ended_is_named_and_costs_that_run_only() {
    let flip = |name: &'static str| move |folder: &Path| flip_bit(&folder.join(name), 20 * 8);
    check_damage(flip("events.jsonl"), "`events.jsonl` was changed after the run ended");
    check_damage(|folder| append(&folder.join("events.jsonl"), "{}\n"), "`events.jsonl` was changed");
    check_damage(|folder| fs::remove_file(folder.join("events.jsonl")).unwrap(), "`events.jsonl` is gone");
    check_damage(|folder| fs::write(folder.join("metrics.json"), "{ }").unwrap(), "`metrics.json` was changed");
    check_damage(|folder| append(&folder.join("spec.yaml"), "#"), "`spec.yaml` was changed");
    check_damage(flip("seal.json"), "`seal.json` is damaged");
    check_damage(|folder| fs::write(folder.join("run.json"), "{").unwrap(), "`run.json` is damaged");
    let newer = r#"{"spec":"s","started_ms":1,"host":"h","pid":1,"number":2,"format":9}"#;
    check_damage(|folder| fs::write(folder.join("run.json"), newer).unwrap(), "newer version of `pipeline` (format 9)");
    for name in ["run.json", "events.jsonl", "seal.json"] {
        check_damage(
            |folder| {
                fs::remove_file(folder.join(name)).unwrap();
                fs::create_dir(folder.join(name)).unwrap();
            },
            if name == "events.jsonl" { "was changed after" } else { "is a folder and not a regular file" },
        );
    }
}

#[test]
fn a_changed_file_of_a_run_is_not_read() {
    let fixture = Fixture::new();
    let ids = three_runs(&fixture);
    let store = &fixture.store;
    let folder = store.artifacts().join("runs").join(&ids[0].0);
    assert_eq!(store.runs().attachment(&ids[0], "sweep.json").unwrap(), None);
    fs::write(folder.join("sweep.json"), "{}").unwrap();
    append(&folder.join("spec.yaml"), "# changed");
    for error in [store.runs().attachment(&ids[0], "sweep.json").unwrap_err(), store.runs().spec(&ids[0]).unwrap_err()]
    {
        assert!(matches!(error, StoreError::RunDamaged { .. }), "{error}");
    }
    flip_bit(&folder.join("events.jsonl"), 400);
    let error = store.runs().events(&ids[0]).unwrap_err();
    let expect = format!("run {} cannot be believed: `events.jsonl` was changed after the run ended", ids[0]);
    assert_eq!(error.to_string(), expect);
    assert_eq!(store.runs().events(&ids[1]).unwrap().len(), 2);
}

#[test]
fn runs_are_in_the_order_in_which_they_began_whatever_the_clock_says() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    // A run of an earlier version has no number.
    let old = store.artifacts().join("runs/20000101T000000Z-0000");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("run.json"), r#"{"spec":"old","started_ms":9000000000000,"host":"h","pid":1}"#).unwrap();
    let begin = |at_ms: u64| drop(store.runs().start(at_ms, "demo", &RunOrigin::default()).unwrap());
    begin(5_000_000);
    begin(1_000);
    // The counter is lost, damaged, or older than the last run.
    let counter = fixture.in_store("run-order");
    let before = fs::read(&counter).unwrap();
    fs::remove_file(&counter).unwrap();
    begin(900);
    flip_bit(&counter, 700);
    begin(800);
    fs::write(&counter, before).unwrap();
    fs::File::open(&counter).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    begin(700);
    let times: Vec<_> = store.runs().list().unwrap().iter().map(|run| run.started_ms).collect();
    assert_eq!(times, [9_000_000_000_000, 5_000_000, 1_000, 900, 800, 700]);
}

#[test]
fn runs_that_begin_at_once_have_different_numbers() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = fixture.another_handle();
                (0..20).for_each(|_| drop(store.runs().start(0, "demo", &RunOrigin::default()).unwrap()));
            });
        }
    });
    let numbers: std::collections::BTreeSet<_> =
        fixture.store.runs().list().unwrap().iter().map(|run| run.number).collect();
    assert_eq!(numbers, (1..=80).collect());
}

#[test]
fn the_seal_is_the_end_of_a_run() {
    let fixture = Fixture::new();
    let ids = three_runs(&fixture);
    let seal = fixture.store.artifacts().join("runs").join(&ids[2].0).join("seal.json");
    fs::remove_file(seal).unwrap();
    assert_eq!(states(&fixture.store), [RunState::Done, RunState::Done, RunState::Died]);
    assert_eq!(fixture.store.runs().events(&ids[2]).unwrap().len(), 2, "what is there can be read");
}

#[test]
fn a_run_whose_process_died_at_once_is_listed() {
    let fixture = Fixture::new();
    drop(fixture.store.runs().start(0, "demo", &RunOrigin::default()).unwrap());
    fs::create_dir(fixture.store.artifacts().join("runs/stranger")).unwrap();
    let runs = fixture.store.runs().list().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].state, runs[0].spec.as_str()), (RunState::Died, "demo"));
}

#[test]
fn a_run_that_has_lost_its_events_is_listed_and_stops_no_collection() {
    let fixture = Fixture::new();
    let run = fixture.store.runs().start(0, "demo", &RunOrigin::default()).unwrap();
    fixture.store.pin_run(run.id()).unwrap();
    fs::remove_file(run.folder().join("events.jsonl")).unwrap();
    assert_eq!(fixture.store.runs().list().unwrap()[0].state, RunState::Died);
    assert_eq!(fixture.store.runs().events(run.id()).unwrap(), []);
    fixture.store.collect(&CollectOptions::default()).unwrap();
    assert!(fixture.store.runs().events(&RunId("another".into())).is_err());
}

#[test]
fn what_lies_in_the_place_of_the_events_of_one_run_hides_no_other_run() {
    let fixture = Fixture::new();
    let [damaged, mut whole] =
        ["damaged", "whole"].map(|name| fixture.store.runs().start(0, name, &RunOrigin::default()).unwrap());
    whole.append_event(&finished(Outcome::Done, 1)).unwrap();
    let events = damaged.folder().join("events.jsonl");
    let states =
        || fixture.store.runs().list().unwrap().iter().map(|run| (run.spec.clone(), run.state)).collect::<Vec<_>>();
    let expect = states();
    fs::remove_file(&events).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &events).unwrap();
    assert_eq!(states().len(), expect.len());
    fs::remove_file(&events).unwrap();
    fs::create_dir(&events).unwrap();
    assert!(states().contains(&("whole".to_owned(), RunState::Done)), "{:?}", states());
}

#[test]
fn a_run_without_an_origin_is_a_no_op_if_its_events_say_so() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for does_something in [false, true] {
        let mut run = store.runs().start(0, "demo", &RunOrigin::default()).unwrap();
        run.append_event(&started(&run)).unwrap();
        run.append_event(&reused("a")).unwrap();
        if does_something {
            let event = Event::FilePublished { stage: "a".parse().unwrap(), file: "out".into(), path: "out".into() };
            run.append_event(&EventRecord { at_ms: 6, event }).unwrap();
        }
        run.append_event(&finished(Outcome::Done, 0)).unwrap();
        let sealed = run.folder().join("seal.json");
        let whole = fs::read_to_string(&sealed).unwrap();
        let content = whole.split_once("\"content\":").unwrap().1.strip_suffix("}\n").unwrap();
        // As earlier versions wrote it.
        let earlier = content.replace(&format!(",\"is_no_op\":{}", !does_something), "");
        assert_ne!(earlier, content);
        let digest = Digest::of(earlier.as_bytes());
        fs::write(&sealed, format!("{{\"blake3\":\"{digest}\",\"content\":{earlier}}}\n")).unwrap();
    }
    let runs = store.runs().list().unwrap();
    let found: Vec<_> = runs.iter().map(|run| (run.state, run.is_no_op, run.origin.command.len())).collect();
    assert_eq!(found, [(RunState::Done, true, 0), (RunState::Done, false, 0)]);
}

#[test]
fn a_folder_of_another_tool_among_the_runs_is_neither_listed_nor_needless() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    drop(store.runs().start(0, "demo", &RunOrigin::default()).unwrap());
    let runs = store.artifacts().join("runs");
    for (name, file, text) in [("exp1", "run.json", r#"{"lr": 1}"#), ("train", "weights.pt", "x")] {
        fs::create_dir(runs.join(name)).unwrap();
        fs::write(runs.join(name).join(file), text).unwrap();
    }
    // A copy of a run under another name is somebody's, too.
    let own = store.runs().list().unwrap().remove(0);
    fs::create_dir(runs.join("copy")).unwrap();
    fs::copy(runs.join(&own.id.0).join("run.json"), runs.join("copy/run.json")).unwrap();
    let listed = store.runs().list().unwrap();
    let names: Vec<&str> = listed.iter().map(|run| run.id.0.as_str()).collect();
    assert_eq!(names, [own.id.0.as_str(), "copy"]);
    let needed = store.needed_runs(&listed).unwrap();
    assert_eq!(needed.get(&listed[1].id), Some(&Needed::Foreign));
    assert_eq!(needed.get(&own.id), None);
}
