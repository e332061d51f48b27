//! Garbage collection spares roots and the living.

use std::fs;
use std::time::{Duration, SystemTime};

use pipeline_core::{Event, EventRecord, StageReport, Tree};
use pipeline_store::{CollectOptions, Last, Record, RunOrigin, Store, path_of_sweeps};

use crate::fixture::{Fixture, last_of, put, record};

const EVERYTHING: CollectOptions =
    CollectOptions { max_bytes: None, max_age: None, keep_missing: None, dry_run: false };

fn commit(store: &Store, stage: &str, content: &[u8]) -> Record {
    let record = record(stage, 0, &put(store, &[("file", content)]));
    store.records().put(&record).unwrap();
    record
}

/// Makes a tree's objects look as if they were last used some time ago.
fn age(fixture: &Fixture, tree: &Tree, hours: u64) {
    for entry in tree.files.values() {
        let used = SystemTime::now() - Duration::from_secs(hours * 3600);
        fs::File::open(fixture.object(entry)).unwrap().set_modified(used).unwrap();
    }
}

#[test]
fn what_last_and_pinned_runs_have_stays_and_a_dry_run_tells_the_rest() {
    let mut fixture = Fixture::new();
    let store = &fixture.store;
    let records =
        ["last", "pinned", "garbage"].map(|stage| commit(store, stage, format!("bytes of {stage}").as_bytes()));
    let [last, pinned, garbage] = &records;
    put(store, &[("orphan", b"orphan")]);
    let spec = fixture.folder.path().join("a.yaml");
    store.specs().put_last(&spec, &last_of(&spec, &[last])).unwrap();
    let mut run = store.runs().start(0, "demo", &RunOrigin::default()).unwrap();
    let (stage, key, artifact) = ("pinned".parse().unwrap(), pinned.key, pinned.tree.digest());
    let event = Event::StageReused { stage, key, artifact, report: StageReport::default() };
    run.append_event(&EventRecord { at_ms: 0, event }).unwrap();
    store.pin_run(run.id()).unwrap();
    let id = run.id().clone();
    drop(run);
    fixture.reopen();

    let store = &fixture.store;
    let dry = store.collect(&CollectOptions { dry_run: true, ..EVERYTHING }).unwrap();
    assert_eq!(store.stats().unwrap().n_objects, 4);
    let wet = store.collect(&EVERYTHING).unwrap();
    assert_eq!(dry, wet);
    let stages: Vec<_> = wet.stages.iter().map(|(stage, gone)| (stage.as_str(), gone.n_files, gone.bytes)).collect();
    assert_eq!(stages, [("", 1, 6), ("garbage", 1, 16)]);
    assert_eq!((wet.freed_bytes, wet.kept_bytes), (22, 28));
    assert!(
        store.cas().has_bytes(&last.tree)
            && store.cas().has_bytes(&pinned.tree)
            && !store.cas().has_bytes(&garbage.tree)
    );
    assert!(store.records().get(&garbage.key).unwrap().is_some(), "the record outlives the bytes");

    store.runs().unpin(&id).unwrap();
    fixture.reopen();
    assert_eq!(fixture.store.collect(&EVERYTHING).unwrap().freed_bytes, 15);
}

#[test]
fn what_a_living_process_reads_wrote_or_looked_up_stays() {
    let mut fixture = Fixture::new();
    let [read, looked_up, garbage] =
        ["read", "looked-up", "garbage"].map(|stage| commit(&fixture.store, stage, stage.as_bytes()));
    for record in [&read, &looked_up, &garbage] {
        age(&fixture, &record.tree, 30);
    }
    // A process that only reads has no session; its open artifacts stay all the same.
    fixture.reopen();
    let reader = fixture.another_handle();
    let open = reader.cas().open(&read.tree).unwrap();
    age(&fixture, &read.tree, 30);
    let living = fixture.another_handle();
    let scratch = living.workspace().scratch().unwrap();
    assert!(living.cas().has_bytes(&looked_up.tree));
    let written = put(&living, &[("file", b"written")]);

    let dry = fixture.store.collect(&CollectOptions { dry_run: true, ..EVERYTHING }).unwrap();
    let wet = fixture.store.collect(&EVERYTHING).unwrap();
    assert_eq!(dry, wet);
    assert_eq!(wet.stages.keys().collect::<Vec<_>>(), ["garbage"]);
    assert!(scratch.folder().exists());
    assert!(living.cas().has_bytes(&written) && living.cas().has_bytes(&looked_up.tree));
    assert_eq!(fs::read(open.folder().join("file")).unwrap(), b"read");

    let folder = open.folder().to_owned();
    drop((open, scratch, living, reader));
    fixture.reopen();
    age(&fixture, &read.tree, 30);
    assert_eq!(fixture.store.collect(&EVERYTHING).unwrap().stages.len(), 3);
    assert!(!folder.exists());
}

#[test]
fn limits_take_the_longest_unused_first() {
    let mut fixture = Fixture::new();
    let records = ["a", "b", "c", "d"].map(|stage| commit(&fixture.store, stage, stage.repeat(100).as_bytes()));
    let set_ages = |fixture: &Fixture| {
        for (record, hours) in records.iter().zip([400, 100, 300, 200]) {
            age(fixture, &record.tree, hours);
        }
    };
    fixture.reopen();
    set_ages(&fixture);
    // Hours, since a use is recorded at most once an hour.
    let limits = |max_bytes, max_age| CollectOptions { max_bytes, max_age, dry_run: true, ..EVERYTHING };
    let names = |options: CollectOptions| {
        fixture.store.collect(&options).unwrap().stages.into_keys().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(limits(Some(400), None)), "");
    assert_eq!(names(limits(Some(399), None)), "a");
    assert_eq!(names(limits(Some(200), None)), "a c");
    assert_eq!(names(limits(None, Some(Duration::from_secs(250 * 3600)))), "a c");
    assert_eq!(names(limits(Some(100), Some(Duration::from_secs(350 * 3600)))), "a c d");
    assert_eq!(names(limits(None, None)), "a b c d");

    // Reading is use.
    drop(fixture.store.cas().open(&records[0].tree).unwrap());
    assert_eq!(names(limits(Some(300), None)), "c");
}

#[test]
fn the_results_of_a_sweep_stay_as_long_as_its_spec_is_there() {
    let mut fixture = Fixture::new();
    let record = commit(&fixture.store, "swept", b"swept");
    let spec = fixture.folder.path().join("a#b.yaml");
    let sweeps = path_of_sweeps(&spec);
    let last = Last { spec: sweeps.clone(), ..last_of(&spec, &[&record]) };
    fixture.store.specs().put_last(&sweeps, &last).unwrap();
    fixture.reopen();
    fixture.store.collect(&EVERYTHING).unwrap();
    assert!(fixture.store.cas().has_bytes(&record.tree));
    fs::remove_file(&spec).unwrap();
    fixture.store.collect(&EVERYTHING).unwrap();
    assert!(!fixture.store.cas().has_bytes(&record.tree));
}

#[test]
fn old_records_go_once_their_bytes_are_gone() {
    let mut fixture = Fixture::new();
    let [old, rooted] = ["old", "rooted"].map(|stage| commit(&fixture.store, stage, stage.as_bytes()));
    let spec = fixture.folder.path().join("a.yaml");
    fixture.store.specs().put_last(&spec, &last_of(&spec, &[&rooted])).unwrap();
    fixture.reopen();
    let options = CollectOptions { max_age: Some(Duration::from_secs(100)), ..EVERYTHING };
    assert_eq!(fixture.store.collect(&options).unwrap().n_records, 0);
    age(&fixture, &old.tree, 200);
    assert_eq!(fixture.store.collect(&options).unwrap().n_records, 1);
    assert_eq!(fixture.store.records().get(&old.key).unwrap(), None);
    assert!(fixture.store.records().get(&rooted.key).unwrap().is_some());
}

#[test]
fn a_collection_in_a_loop_beside_committing_threads_breaks_nothing() {
    let fixture = Fixture::new();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = |thread_idx: usize| {
            let store = fixture.another_handle();
            for idx in 0..40 {
                let content = format!("{}", idx * (thread_idx % 2 + 1));
                let tree = put(&store, &[("file", content.as_bytes())]);
                assert!(store.cas().has_bytes(&tree));
                let open = store.cas().open(&tree).unwrap();
                assert_eq!(fs::read_to_string(open.folder().join("file")).unwrap(), content);
            }
        };
        let workers: Vec<_> = (0..4).map(|thread_idx| scope.spawn(move || worker(thread_idx))).collect();
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                fixture.another_handle().collect(&EVERYTHING).unwrap();
            }
        });
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        outcomes.into_iter().for_each(|outcome| outcome.unwrap());
    });
    assert!(fixture.store.verify().unwrap().is_clean());
}

#[test]
fn a_collection_names_what_it_deletes_from_the_quarantine() {
    let fixture = Fixture::new();
    let report = fixture.folder.path().join("report.html");
    fixture.store.outside().write(&report, b"first", false).unwrap();
    fs::write(&report, "with a note of mine").unwrap();
    let kept = fixture.store.outside().write(&report, b"second", false).unwrap().unwrap();
    for dry_run in [true, false] {
        let collected = fixture.store.collect(&CollectOptions { dry_run, ..EVERYTHING }).unwrap();
        let named: Vec<_> = collected.quarantined.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
        assert_eq!(named, [(kept.file_name().unwrap().to_str().unwrap(), 19)]);
        assert_eq!((collected.quarantine_bytes, kept.exists()), (19, dry_run));
    }
}

#[test]
fn the_results_of_a_spec_stay_when_it_is_moved_together_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let at = |project: &str, name: &str| folder.path().join(project).join(name);
    fs::create_dir_all(at("project", "pipelines")).unwrap();
    let store = Store::open(&at("project", "artifacts")).unwrap();
    let [record, other] = ["plain", "other"].map(|stage| commit(&store, stage, stage.as_bytes()));
    let spec = at("project", "pipelines/a.yaml");
    store.specs().put_last(&spec, &last_of(&spec, &[&record])).unwrap();
    let sweeps = path_of_sweeps(&spec);
    let last = Last { spec: sweeps.clone(), ..last_of(&spec, &[&other]) };
    store.specs().put_last(&sweeps, &last).unwrap();
    drop(store);
    fs::rename(at("project", ""), at("moved", "")).unwrap();
    let store = Store::open(&at("moved", "artifacts")).unwrap();
    store.collect(&EVERYTHING).unwrap();
    assert!(store.cas().has_bytes(&record.tree) && store.cas().has_bytes(&other.tree));
    // Once it has run at its new place, the old memory of it holds nothing.
    let spec = at("moved", "pipelines/a.yaml");
    store.specs().put_last(&spec, &last_of(&spec, &[])).unwrap();
    drop(store);
    let store = Store::open(&at("moved", "artifacts")).unwrap();
    store.collect(&EVERYTHING).unwrap();
    assert!(!store.cas().has_bytes(&record.tree) && store.cas().has_bytes(&other.tree));
    fs::remove_file(&spec).unwrap();
    drop(store);
    let store = Store::open(&at("moved", "artifacts")).unwrap();
    store.collect(&EVERYTHING).unwrap();
    assert!(!store.cas().has_bytes(&other.tree));
}
