//! Inputs are verified file by file, when a stage first asks for one; damage that is found late is healed.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use pipeline_core::Event;
use pipeline_store::Access;

use crate::faulty::FaultyRemote;
use crate::world::{Part, Ran, Shards, World, part, write};

const WORDS: &str = "one two three four five six";

fn world() -> World {
    let mut world = World::new();
    world.options.n_jobs.cpu = 1;
    world
}

/// A stage with a shard for each word.
fn words() -> Part {
    part("a").param("words", WORDS).shards(Shards { words: WORDS.to_owned(), ..Shards::default() })
}

/// A stage with a shard for each of these files of `a`, which it reads one after the other.
fn reader(files: &str) -> Part {
    let shards = Shards {
        words: files.to_owned(),
        before: Some(Box::new(|file, context| {
            let word = fs::read_to_string(context.inputs["a"].file(file)?).unwrap();
            let place = WORDS.split(' ').position(|known| known.to_uppercase() == word).unwrap();
            assert_eq!(file, format!("{place}.txt"));
            Ok(())
        })),
        ..Shards::default()
    };
    part("b").input("a").param("files", files).shards(shards)
}

fn object(world: &World, content: &str) -> PathBuf {
    world.objects().into_iter().find(|object| fs::read(object).unwrap() == content.as_bytes()).unwrap()
}

/// The files of `a` that were laid out for readers.
fn laid_out(world: &World) -> Vec<String> {
    let trees = fs::read_dir(world.path("artifacts/store-v1/trees")).unwrap();
    let files = trees.flat_map(|tree| fs::read_dir(tree.unwrap().path()).unwrap());
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The numbers of shards that a stage reused and computed in the end.
fn shards(ran: &Ran, id: &str) -> (u64, u64) {
    let shards = |event: &Event| match event {
        Event::StageFinished { stage, n_shards_reused, n_shards_computed, .. } if stage.as_str() == id => {
            Some((*n_shards_reused, *n_shards_computed))
        }
        _ => None,
    };
    ran.events.iter().find_map(shards).unwrap()
}

#[test]
fn a_file_that_no_stage_asks_for_is_neither_read_nor_laid_out() {
    let world = world();
    world.expect(&[words()], "a");
    world.flip_bit(&object(&world, "THREE"));
    let ran = world.expect(&[words(), reader("1.txt 4.txt")], "b");
    assert_eq!((ran.warnings().as_str(), laid_out(&world)), ("", vec!["1.txt".to_owned(), "4.txt".to_owned()]));
}

#[test]
fn all_damage_is_healed_at_once_and_no_finished_shard_is_lost() {
    let world = world();
    world.expect(&[words()], "a");
    ["THREE", "FIVE"].iter().for_each(|word| world.flip_bit(&object(&world, word)));
    let ran = world.expect(&[words(), reader("0.txt 1.txt 2.txt 3.txt 4.txt 5.txt")], "b a b");
    assert_eq!((shards(&ran, "a"), shards(&ran, "b")), ((4, 2), (2, 4)));
    assert_eq!(
        ran.warnings(),
        "b: input `a`: 2 of the artifact's files are damaged: `2.txt`, `4.txt`; `a` is computed again\n"
    );
}

#[test]
fn a_file_that_is_gone_is_named_as_missing() {
    let world = world();
    world.expect(&[words()], "a");
    let lost = object(&world, "SIX");
    let reader = part("b").input("a").work(move |context| {
        // At the first start, it vanishes after the stage has begun.
        if context.inputs["a"].file("0.txt").is_ok() && laid_out_by(context).len() == 1 {
            fs::remove_file(&lost).unwrap();
        }
        let six = fs::read_to_string(context.inputs["a"].file("5.txt")?).unwrap();
        write(context, &six)
    });
    let ran = world.expect(&[words(), reader], "b a b");
    let expect = "b: input `a`: 1 of the artifact's files are not in the store: `5.txt`; `a` is computed again\n";
    assert_eq!(ran.warnings(), expect);
}

/// The files in the folder of `a`, which a stage sees.
fn laid_out_by(context: &pipeline_core::StageContext<'_>) -> Vec<PathBuf> {
    let first = context.inputs["a"].file("0.txt").unwrap();
    fs::read_dir(first.parent().unwrap()).unwrap().map(|file| file.unwrap().path()).collect()
}

#[test]
fn nothing_is_remembered_of_a_stage_that_goes_on_without_a_damaged_file() {
    let world = world();
    world.expect(&[words()], "a");
    world.flip_bit(&object(&world, "ONE"));
    let careless = part("b").input("a").work(|context| {
        let read = context.inputs["a"].file("0.txt").map(|file| fs::read_to_string(file).unwrap());
        write(context, &read.unwrap_or_else(|_| "nothing".into()))
    });
    world.expect(&[words(), careless], "b a b");
    object(&world, "ONE");
    assert!(world.objects().iter().all(|object| fs::read(object).unwrap() != b"nothing"));
}

#[test]
fn a_file_that_another_process_has_healed_meanwhile_costs_no_computation() {
    let world = world();
    world.expect(&[words()], "a");
    let damaged = object(&world, "TWO");
    world.flip_bit(&damaged);
    let is_healed = AtomicBool::new(false);
    let reader = part("b").input("a").work(move |context| {
        let file = context.inputs["a"].file("1.txt");
        if file.is_err() && !is_healed.swap(true, Ordering::Relaxed) {
            fs::write(&damaged, "TWO").unwrap();
        }
        write(context, &fs::read_to_string(file?).unwrap())
    });
    let ran = world.expect(&[words(), reader], "b b");
    assert_eq!(ran.warnings(), "");
}

#[test]
fn a_program_finds_all_files_verified_before_it_starts() {
    let world = world();
    world.expect(&[words()], "a");
    world.flip_bit(&object(&world, "SIX"));
    let program = part("b").input("a").running_programs().work(|context| {
        assert_eq!(fs::read_dir(context.inputs["a"].folder()?).unwrap().count(), 7);
        write(context, "")
    });
    world.expect(&[words(), program], "a b");
}

#[test]
fn only_the_files_that_are_opened_come_from_the_remote() {
    let near = world();
    fs::create_dir(near.path("remote")).unwrap();
    let remote = FaultyRemote::new(&near.path("remote"), Access::Write);
    let near = near.with_remote(remote.clone());
    near.run_with(&[words()], &near.spec(), &mut |_| {});

    let far = world().with_remote(remote.with(Access::Read, crate::faulty::Fault::Nothing));
    let ran = far.run_with(&[words(), reader("1.txt 4.txt")], &far.spec(), &mut |_| {});
    assert_eq!((ran.log.as_str(), ran.errors().as_str()), ("b", ""));
    let of_words = WORDS.split(' ').filter(|word| {
        let content = word.to_uppercase();
        far.objects().iter().any(|object| fs::read(object).unwrap() == content.as_bytes())
    });
    assert_eq!(of_words.collect::<Vec<_>>(), ["two", "five"]);
}
