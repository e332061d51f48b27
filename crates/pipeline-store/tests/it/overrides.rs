//! What the store remembers of runs with overrides: the last used counts, and what is let go leaves nothing behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pipeline_core::{Digest, RunId, StageId};
use pipeline_store::{CollectOptions, Last, LastSource, LastSources, Needed, RunOrigin, Store, path_of_overrides};

use crate::fixture::Fixture;

/// The last sources of a run whose one source has this content.
fn sources(content: &str) -> BTreeMap<StageId, LastSources> {
    let source = LastSource { name: "path".into(), path: "/in".into(), digest: Digest::of(content.as_bytes()) };
    BTreeMap::from([("a".parse().unwrap(), LastSources { looked_for: vec!["/in".into()], sources: vec![source] })])
}

/// A spec and two sets of overrides of it, which ran one after the other; their runs.
fn two_sets(fixture: &Fixture) -> (PathBuf, [PathBuf; 2], [RunId; 2]) {
    let spec = fixture.folder.path().join("a.yaml");
    fs::write(&spec, "stages: {}").unwrap();
    let sets = ["x=1", "x=2"].map(|set| path_of_overrides(&spec, [set]));
    let store = &fixture.store;
    let runs = sets.each_ref().map(|set| {
        let run = store.runs().start(0, "demo", &RunOrigin::default()).unwrap().id().clone();
        store.specs().put_last(set, &Last::of_run(run.clone(), set, 1, BTreeMap::new())).unwrap();
        store.specs().put_sources(set, &sources(&set.to_string_lossy())).unwrap();
        run
    });
    (spec, sets, runs)
}

fn needed_last(store: &Store) -> Vec<RunId> {
    let needed = store.needed_runs(&store.runs().list().unwrap()).unwrap();
    needed.into_iter().filter(|(_, why)| *why == Needed::Last).map(|(run, _)| run).collect()
}

#[test]
fn the_last_use_decides_which_run_is_the_last_and_whose_sources_count() {
    let fixture = Fixture::new();
    let (spec, [first, second], runs) = two_sets(&fixture);
    let specs = fixture.store.specs();
    let other = path_of_overrides(&spec, ["x=3"]);
    let seen = || {
        let last = specs.newest_last(&other).unwrap().run;
        assert_eq!(needed_last(&fixture.store), std::slice::from_ref(&last), "pruning spares what a report shows");
        (last, specs.nearest_sources(&other))
    };
    assert_eq!(seen(), (runs[1].clone(), specs.sources(&second)));
    // A run with nothing to do writes nothing.
    specs.use_last(&first);
    assert_eq!(seen(), (runs[0].clone(), specs.sources(&first)));
    assert_ne!(specs.sources(&first), specs.sources(&second));
}

/// Makes all last results look as if they were last used some time ago.
fn age(fixture: &Fixture, days: u64) {
    let used = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    for entry in fs::read_dir(fixture.store.artifacts().join("last")).unwrap() {
        fs::File::open(entry.unwrap().path()).unwrap().set_modified(used).unwrap();
    }
}

fn n_files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count()
}

#[test]
fn overrides_that_are_let_go_leave_no_file_and_the_spec_keeps_its_sources() {
    let fixture = Fixture::new();
    let (spec, ..) = two_sets(&fixture);
    let store = &fixture.store;
    store.specs().put_last(&spec, &Last::of_run(RunId("r".into()), &spec, 1, BTreeMap::new())).unwrap();
    store.specs().put_sources(&spec, &sources("plain")).unwrap();
    assert_eq!(n_files(&fixture.in_store("sources")), 3);
    age(&fixture, 31);
    store.collect(&CollectOptions::default()).unwrap();
    assert_eq!(n_files(&fixture.in_store("sources")), 1);
    fs::remove_file(&spec).unwrap();
    store.collect(&CollectOptions::default()).unwrap();
    assert_eq!((n_files(&store.artifacts().join("last")), store.specs().sources(&spec)), (0, sources("plain")));
}
