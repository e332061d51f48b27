//! Bytes that stages derive from a source: made once for all, and never remembered under the digest of other content.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipeline_core::{Derived, Manifest, StageError};

use crate::world::{Doing, Part, World, part, write};

/// A stage that writes what it derives from its source; `before` is called while it does.
fn reader(id: &str, source: &Path, n_made: &Arc<AtomicUsize>, before: fn(&Path)) -> Part {
    let (path, n_made) = (source.to_owned(), Arc::clone(n_made));
    part(id).param("id", id).source(source.to_owned()).work(move |context: &Doing<'_>| {
        let digest = context.sources.values().next().unwrap();
        let mut manifest = Manifest::new("test/index", 1);
        manifest.source("file", digest);
        let derived = Derived { manifest: &manifest, source: &path, digest };
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
