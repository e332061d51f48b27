//! Bytes that stages derive from a source: made once for all, and never remembered under the digest of other content.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipeline_core::{Derived, Manifest, StageError};

use crate::world::{Doing, Part, World, files_below, forced, part, write};

/// A stage that writes what it derives from its source; `before` is called while it does.
fn reader(id: &str, source: &Path, n_made: &Arc<AtomicUsize>, before: fn(&Path)) -> Part {
    let (path, n_made) = (source.to_owned(), Arc::clone(n_made));
    part(id).param("id", id).source(source.to_owned()).work(move |context: &Doing<'_>| {
        let digest = context.sources.values().next().unwrap();
        let mut manifest = Manifest::new("test/index", 1);
        manifest.source("file", digest);
        let fits = |bytes: &[u8]| bytes != b"UNFIT";
        let derived = Derived { manifest: &manifest, source: &path, digest, fits: &fits };
        let make = || {
            n_made.fetch_add(1, Ordering::Relaxed);
            let content = fs::read(&path).unwrap();
            before(&path);
            Ok::<_, StageError>(content.to_ascii_uppercase())
        };
        let bytes = context.host.derived(&derived, true, &make)?.unwrap();
        write(context, str::from_utf8(&bytes).unwrap())
    })
}

fn objects_with(world: &World, content: &str) -> Vec<PathBuf> {
    let objects = world.objects().into_iter();
    objects.filter(|object| fs::read(object).unwrap() == content.as_bytes()).collect()
}

#[test]
fn what_is_derived_is_made_once_for_all_stages_and_runs_until_its_source_changes() {
    let (mut world, n_made) = (World::new(), Arc::default());
    world.options.n_jobs.cpu = 2;
    let source = world.write("in.txt", "rows");
    // The second stage waits where it meets the first.
    let parts = |last: &str| ["a", "b", last].map(|id| reader(id, &source, &n_made, |_| {}));
    let ran = world.run(&parts("c")[..2]);
    assert_eq!((ran.errors().as_str(), n_made.load(Ordering::Relaxed)), ("", 1));
    world.run(&parts("c"));
    assert_eq!(n_made.load(Ordering::Relaxed), 1);

    // Damage counts as absence.
    objects_with(&world, "ROWS").iter().for_each(|object| world.flip_bit(object));
    let ran = world.run(&parts("d"));
    assert_eq!((ran.errors().as_str(), n_made.load(Ordering::Relaxed)), ("", 2));

    world.write("in.txt", "other rows");
    world.run(&parts("c")[2..]);
    assert_eq!((n_made.load(Ordering::Relaxed), objects_with(&world, "OTHER ROWS").len()), (3, 1));
}

#[test]
fn nothing_is_remembered_of_a_source_that_changed_meanwhile() {
    let (world, n_made) = (World::new(), Arc::default());
    let source = world.write("in.txt", "rows");
    let ran = world.run(&[reader("a", &source, &n_made, |path| fs::write(path, "changed").unwrap())]);
    assert!(ran.errors().contains("`a` read it (run again)"), "{}", ran.errors());
    assert_eq!(objects_with(&world, "ROWS").len(), 0);
}

/// The record of what was derived of a source.
fn record(world: &World) -> PathBuf {
    let mut records = files_below(&world.path("artifacts/store-v1/actions")).into_iter();
    records.find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("test/index"))).unwrap()
}

/// A file with a bit flipped, here and there, cut, and longer.
fn damaged(path: &Path, step: usize) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let flipped = (0..bytes.len()).step_by(step).map(|idx| {
        let mut bytes = bytes.clone();
        bytes[idx] ^= 1 << (idx % 8);
        bytes
    });
    let cut = [0, 1, bytes.len() / 2, bytes.len() - 1].map(|n_bytes| bytes[..n_bytes].to_vec());
    flipped.chain(cut).chain([[bytes.as_slice(), b"more"].concat()]).collect()
}

#[test]
fn damage_of_every_kind_is_repaired_by_one_computation() {
    let (world, n_made) = (World::new(), Arc::<AtomicUsize>::default());
    let source = world.write("in.txt", "rows");
    let n_runs = AtomicUsize::new(0);
    // Each run has a stage that has not run, and gives what the source says.
    let n_made_by_a_run = || {
        let (n_before, id) = (n_made.load(Ordering::Relaxed), n_runs.fetch_add(1, Ordering::Relaxed));
        let ran = world.run(&[reader(&format!("s{id}"), &source, &n_made, |_| {})]);
        assert_eq!(ran.errors(), "");
        assert!(!objects_with(&world, "ROWS").is_empty());
        n_made.load(Ordering::Relaxed) - n_before
    };
    assert_eq!((n_made_by_a_run(), n_made_by_a_run()), (1, 0));
    for (path, step) in [(record(&world), 31), (objects_with(&world, "ROWS").remove(0), 1)] {
        for content in damaged(&path, step) {
            fs::remove_file(&path).unwrap();
            fs::write(&path, &content).unwrap();
            let made = (n_made_by_a_run(), n_made_by_a_run());
            assert_eq!(made, (1, 0), "{} as {}", path.display(), content.escape_ascii());
        }
        fs::remove_file(&path).unwrap();
        assert_eq!((n_made_by_a_run(), n_made_by_a_run()), (1, 0), "{} is gone", path.display());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!((n_made_by_a_run(), n_made_by_a_run()), (1, 0), "{} is a folder", path.display());
    }
}

#[test]
fn bytes_that_do_not_fit_or_are_damaged_when_they_are_made_anew_are_replaced() {
    let (mut world, n_made) = (World::new(), Arc::default());
    let source = world.write("in.txt", "unfit");
    let read = |world: &World, id| assert_eq!(world.run(&[reader(id, &source, &n_made, |_| {})]).errors(), "");
    // What does not fit is made anew each time: here the source itself is of that kind.
    read(&world, "a");
    read(&world, "b");
    assert_eq!(n_made.load(Ordering::Relaxed), 2);

    world.write("in.txt", "rows");
    read(&world, "c");
    objects_with(&world, "ROWS").iter().for_each(|object| world.flip_bit(object));
    world.options.plan = forced(&["c"]);
    read(&world, "c");
    world.options.plan = forced(&[]);
    assert_eq!(n_made.load(Ordering::Relaxed), 4);
    read(&world, "d");
    assert_eq!(n_made.load(Ordering::Relaxed), 4, "the damaged bytes did not stay");
}
