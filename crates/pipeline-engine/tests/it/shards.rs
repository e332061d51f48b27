//! Shards: remembered one by one, shared between artifacts, resumed after a failure.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc;

use pipeline_core::{Event, Manifest, StageContext, StageError, StageReport};

use crate::world::{Part, Ran, World, forced, part, read_inputs, write};

/// Encodes each word as a shard of its own and fails at the word `stop`.
fn encode(context: &StageContext<'_>, words: &str) -> Result<StageReport, StageError> {
    for (word_idx, word) in words.split(' ').enumerate() {
        let mut manifest = Manifest::new("encode", 1);
        manifest.param("word", word);
        let shard = context.host.shard(&format!("{word_idx}.txt"), &manifest, &mut |path| {
            if word == "stop" {
                return Err(StageError::new("stopped"));
            }
            fs::write(path, word.to_uppercase()).unwrap();
            Ok(StageReport { n_rows: Some(word.len() as u64), ..StageReport::default() })
        })?;
        assert_eq!(shard.report.n_rows, Some(word.len() as u64));
        context.host.progress(word_idx as u64, None);
    }
    write(context, "index")
}

fn encoder(id: &str, words: &'static str) -> Part {
    part(id).param("words", words).work(move |context| encode(context, words))
}

/// How many shards a stage reused and computed.
fn shards(ran: &Ran, id: &str) -> (u64, u64) {
    let shards = |event: &Event| match event {
        Event::StageFinished { stage, n_shards_reused, n_shards_computed, .. } if stage.as_str() == id => {
            Some((*n_shards_reused, *n_shards_computed))
        }
        _ => None,
    };
    ran.events.iter().find_map(shards).unwrap_or_else(|| panic!("{id} did not finish: {:#?}", ran.events))
}

fn world() -> World {
    let mut world = World::new();
    world.options.n_jobs = 1;
    world
}

#[test]
fn only_new_rows_are_computed() {
    let world = world();
    assert_eq!(shards(&world.run(&[encoder("a", "one two three")]), "a"), (0, 3));
    assert_eq!(shards(&world.run(&[encoder("a", "one zero two three")]), "a"), (3, 1));
}

#[test]
fn rows_of_reused_shards_are_not_counted_as_computed() {
    let mut world = world();
    world.options.n_threads = 3;
    let computed = |ran: &Ran| {
        let computed = |event: &Event| match event {
            Event::StageFinished { n_rows_computed, n_threads, .. } => Some((*n_rows_computed, *n_threads)),
            _ => None,
        };
        ran.events.iter().find_map(computed).unwrap()
    };
    // A word has as many rows as letters.
    assert_eq!(computed(&world.run(&[encoder("a", "one two three")])), (11, 3));
    assert_eq!(computed(&world.run(&[encoder("a", "one zero two three")])), (4, 3));
}

#[test]
fn a_forced_stage_computes_its_shards_too() {
    let mut world = world();
    world.run(&[encoder("a", "one two")]);
    world.options.plan = forced(&["a"]);
    assert_eq!(shards(&world.run(&[encoder("a", "one two")]), "a"), (0, 2));
}

#[test]
fn stages_and_specs_share_shards() {
    let world = world();
    let ran = world.run(&[encoder("a", "one two"), encoder("b", "two three")]);
    assert_eq!((shards(&ran, "a"), shards(&ran, "b")), ((0, 2), (1, 1)));
}

#[test]
fn the_artifact_holds_shards_and_files() {
    let world = world();
    let reader = part("b").input("a").work(|context| {
        let folder = &context.inputs["a"].folder;
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["0.txt", "1.txt", "out.txt"]);
        assert_eq!(fs::read_to_string(folder.join("1.txt")).unwrap(), "TWO");
        write(context, &read_inputs(context))
    });
    world.expect(&[encoder("a", "one two"), reader], "a b");
}

#[test]
fn finished_shards_survive_a_failure() {
    let world = world();
    let ran = world.run(&[encoder("a", "one two stop")]);
    assert_eq!(ran.errors(), "a: stopped\n");
    assert_eq!(shards(&world.run(&[encoder("a", "one two three")]), "a"), (2, 1));
}

#[test]
fn a_damaged_shard_is_the_only_one_computed_again() {
    let world = world();
    let encoder = encoder("a", "one two three");
    world.expect(std::slice::from_ref(&encoder), "a");
    let object = world.objects().into_iter().find(|object| fs::read(object).unwrap() == b"TWO").unwrap();
    world.flip_bit(&object);
    let reader = part("b").input("a").work(|context| {
        let folder = &context.inputs["a"].folder;
        assert_eq!(fs::read_to_string(folder.join("1.txt")).unwrap(), "TWO");
        write(context, "")
    });
    let ran = world.expect(&[encoder, reader], "a b");
    assert_eq!(shards(&ran, "a"), (2, 1));
    assert!(ran.warnings().contains("`1.txt`"), "{}", ran.warnings());
}

#[test]
fn a_name_that_is_taken_is_a_bug_of_the_stage() {
    let world = world();
    let clash = part("a").work(|context| {
        context.host.shard("out.txt", &Manifest::new("x", 1), &mut |path| {
            fs::write(path, "x").unwrap();
            Ok(StageReport::default())
        })?;
        write(context, "y")
    });
    let ran = world.run(&[clash]);
    assert_eq!(ran.errors(), "a: BUG: the artifact has a shard and another file named `out.txt`\n");
    assert!(ran.summary.has_bug);
}

#[test]
fn two_stages_at_once_compute_a_shared_shard_once() {
    let mut world = World::new();
    world.options.n_jobs = 2;
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    let n_computed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&n_computed);
    let work = std::sync::Arc::new(move |context: &StageContext<'_>| {
        context.host.shard("shard", &Manifest::new("x", 1), &mut |path| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            may_go_on.lock().unwrap().recv().unwrap();
            fs::write(path, "x").unwrap();
            Ok(StageReport::default())
        })?;
        Ok(StageReport::default())
    });
    let sharing = |id: &str| {
        let work = std::sync::Arc::clone(&work);
        part(id).param("id", id).work(move |context| work(context))
    };
    let ran = world.run_with(&[sharing("a"), sharing("b")], &world.spec(), &mut |record| {
        if matches!(record.event, Event::StageWaiting { .. }) {
            go_on.send(()).unwrap();
        }
    });
    assert_eq!(n_computed.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(ran.summary.n_ran, 2, "{:#?}", ran.events);
}
