//! The history of runs.

use std::collections::BTreeMap;
use std::fs;

use pipeline_core::{Device, Digest, Event, EventRecord, Key, Outcome, RunId, StageReport};
use pipeline_store::{CollectOptions, RunFolder, RunState};

use crate::fixture::Fixture;

fn started(run: &RunFolder) -> EventRecord {
    let event = Event::RunStarted {
        run: run.id().clone(),
        spec: "demo".into(),
        stages: Vec::new(),
        version: "0.1.0".into(),
        device: Device::Cpu,
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
    EventRecord { at_ms: 7, event: Event::RunFinished { outcome, seconds: 2.5, metrics } }
}

#[test]
fn runs_are_listed_with_how_they_stand_newest_last() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    // More metrics than fit into the first look at the end of the file.
    let outcomes = [(Outcome::Failed, 1), (Outcome::Interrupted, 0), (Outcome::Done, 2000)];
    for (idx, (outcome, n_stages)) in outcomes.into_iter().enumerate() {
        let mut run = store.start_run(idx as u64 * 1000, "demo").unwrap();
        run.append_event(&started(&run)).unwrap();
        run.append_event(&finished(outcome, n_stages)).unwrap();
    }
    let mut died = store.start_run(4000, "other").unwrap();
    died.append_event(&started(&died)).unwrap();
    drop(died);
    let running = store.start_run(5000, "other").unwrap();

    let runs = fixture.another_handle().runs().unwrap();
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
    let runs: Vec<_> = (0..50).map(|_| fixture.store.start_run(0, "demo").unwrap()).collect();
    let ids: std::collections::BTreeSet<_> = runs.iter().map(RunFolder::id).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn the_folder_holds_the_spec_the_metrics_and_an_event_a_line() {
    let fixture = Fixture::new();
    let mut run = fixture.store.start_run(0, "demo").unwrap();
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

    // A kill can cut the last line.
    let mut text = fs::read_to_string(&events).unwrap();
    text.push_str("{\"at_ms\":9,\"ev");
    fs::write(&events, text).unwrap();
    assert_eq!(fixture.store.run_events(run.id()).unwrap(), written);
    assert_eq!(fixture.store.runs().unwrap()[0].state, RunState::Done);
}

#[test]
fn a_run_whose_process_died_at_once_is_listed() {
    let fixture = Fixture::new();
    drop(fixture.store.start_run(0, "demo").unwrap());
    fs::create_dir(fixture.store.artifacts().join("runs/stranger")).unwrap();
    let runs = fixture.store.runs().unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].state, runs[0].spec.as_str()), (RunState::Died, "demo"));
}

#[test]
fn a_run_that_has_lost_its_events_is_listed_and_stops_no_collection() {
    let fixture = Fixture::new();
    let run = fixture.store.start_run(0, "demo").unwrap();
    fixture.store.pin_run(run.id(), true).unwrap();
    fs::remove_file(run.folder().join("events.jsonl")).unwrap();
    assert_eq!(fixture.store.runs().unwrap()[0].state, RunState::Died);
    assert_eq!(fixture.store.run_events(run.id()).unwrap(), []);
    fixture.store.collect(&CollectOptions::default()).unwrap();
    assert!(fixture.store.run_events(&RunId("another".into())).is_err());
}

#[test]
fn what_lies_in_the_place_of_the_events_of_one_run_hides_no_other_run() {
    let fixture = Fixture::new();
    let [damaged, mut whole] = ["damaged", "whole"].map(|name| fixture.store.start_run(0, name).unwrap());
    whole.append_event(&finished(Outcome::Done, 1)).unwrap();
    let events = damaged.folder().join("events.jsonl");
    let states = || fixture.store.runs().unwrap().iter().map(|run| (run.spec.clone(), run.state)).collect::<Vec<_>>();
    let expect = states();
    fs::remove_file(&events).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &events).unwrap();
    assert_eq!(states().len(), expect.len());
    fs::remove_file(&events).unwrap();
    fs::create_dir(&events).unwrap();
    assert!(states().contains(&("whole".to_owned(), RunState::Done)), "{:?}", states());
}
