//! Shards: remembered one by one, shared between artifacts, resumed after a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};

use pipeline_core::{Digest, Event, StageContext};
use pipeline_engine::{Decision, SpecInfo};

use crate::world::{Part, Ran, Shards, World, files_below, forced, part, read_inputs, write};

/// Encodes each word as a shard of its own and fails at the word `stop`.
fn encoder(id: &str, words: &str) -> Part {
    part(id).param("words", words).shards(Shards { words: words.to_owned(), ..Shards::default() })
}

/// The numbers of shards that a stage reused and computed.
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
    world.options.n_jobs.cpu = 1;
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
        let folder = context.inputs["a"].folder()?;
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["0.txt", "1.txt", "out.txt"]);
        assert_eq!(fs::read_to_string(folder.join("1.txt")).unwrap(), "TWO");
        write(context, &read_inputs(context)?)
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
        let folder = context.inputs["a"].folder()?;
        assert_eq!(fs::read_to_string(folder.join("1.txt")).unwrap(), "TWO");
        write(context, "")
    });
    let ran = world.expect(&[encoder, reader], "b a b");
    assert_eq!(shards(&ran, "a"), (2, 1));
    assert!(ran.warnings().contains("`1.txt`"), "{}", ran.warnings());
}

#[test]
fn a_name_that_is_taken_is_a_bug_of_the_stage() {
    let world = world();
    let clash = part("a").shards(Shards { words: "x".into(), name: Some("out.txt"), ..Shards::default() });
    let ran = world.run(&[clash]);
    assert_eq!(ran.errors(), "a: BUG: the artifact has a shard and another file named `out.txt`\n");
    assert!(ran.summary.has_bug);
}

#[test]
fn equal_rows_of_one_artifact_are_computed_once() {
    let world = world();
    let ran = world.run(&[encoder("a", "one two one one")]);
    assert_eq!(shards(&ran, "a"), (2, 2));
}

#[test]
fn a_plan_counts_the_shards_that_are_missing() {
    let mut world = world();
    world.options.plan.counts_shards = true;
    let count = |world: &World, parts: &[Part]| {
        let plan = world.plan(parts).unwrap();
        plan.stages[0].shards.map(|shards| (shards.n_missing, shards.n_shards))
    };
    assert_eq!(count(&world, &[encoder("a", "one two three")]), Some((3, 3)));
    world.run(&[encoder("a", "one two stop three")]);
    assert_eq!(count(&world, &[encoder("a", "one two three")]), Some((1, 3)));
    world.run(&[encoder("a", "one two three")]);
    assert_eq!(count(&world, &[encoder("a", "one two three")]), None, "it is up to date");
    assert_eq!(count(&world, &[part("b")]), None, "it has no shards");
    world.options.plan.forced = ["a".parse().unwrap()].into();
    assert_eq!(count(&world, &[encoder("a", "one two three")]), Some((3, 3)));
}

#[test]
fn many_records_are_packed_and_only_those_that_were_touched_are_read_again() {
    let mut world = world();
    world.options.plan.counts_shards = true;
    let mut words: Vec<String> = (0..256).map(|idx| format!("word{idx}")).collect();
    let encoder = |words: &[String]| [encoder("a", &words.join(" "))];
    world.run(&encoder(&words));
    let packed: Vec<_> = fs::read_dir(world.path("artifacts/store-v1/shards")).unwrap().collect();
    assert_eq!(packed.len(), 1);

    let is_shard = |path: &&PathBuf| fs::read_to_string(path).unwrap().contains("shard");
    let records = files_below(&world.path("artifacts/store-v1/actions"));
    let shards_of = records.iter().filter(is_shard).collect::<Vec<_>>();
    fs::remove_file(shards_of[0]).unwrap();
    world.flip_bit(shards_of[1]);
    words.push("more".to_owned());
    let count = |words: &[String]| {
        let shards = world.plan(&encoder(words)).unwrap().stages[0].shards.unwrap();
        (shards.n_missing, shards.n_shards)
    };
    assert_eq!(count(&words), (3, 257), "a packed record stands for no record that is lost or damaged");
    for path in packed {
        fs::write(path.unwrap().path(), b"damaged").unwrap();
    }
    assert_eq!(count(&words), (3, 257), "nor is one needed");
    assert_eq!(shards(&world.run(&encoder(&words)), "a"), (254, 3));
    words.push("another".to_owned());
    assert_eq!(count(&words), (1, 258));
    assert_eq!(shards(&world.run(&encoder(&words)), "a"), (257, 1));
}

/// Words that are cut into folders of 600, more than lie side by side.
fn very_many() -> Vec<String> {
    let ends_folder = |word: &String| {
        let rows = Digest::of(Digest::of(word.as_bytes()).as_bytes());
        u16::from_le_bytes([rows.as_bytes()[0], rows.as_bytes()[1]]).is_multiple_of(512)
    };
    let words = || (0..).map(|idx| format!("word{idx}"));
    let others: Vec<String> = words().filter(|word| !ends_folder(word)).take(199).collect();
    let end = words().find(ends_folder).unwrap();
    others.into_iter().chain([end]).cycle().take(4800).collect()
}

#[test]
fn very_many_shards_lie_in_folders_and_a_changed_one_rewrites_the_tree_of_its_folder() {
    let world = world();
    let encode = |words: &[String]| encoder("a", &words.join(" "));
    let record = |world: &World| {
        let plan = world.plan(&[encode(&very_many())]).unwrap();
        let Decision::Reuse { key, .. } = plan.stages[0].decision else { panic!("it is up to date") };
        world.store().records().get(&key).unwrap().unwrap()
    };
    let mut words = very_many();
    assert_eq!(shards(&world.run(&[encode(&words)]), "a"), (4600, 200));
    let before = record(&world);
    assert_eq!((before.tree.files.len(), before.tree.trees.len(), before.tree.n_files()), (1, 8, 4801));
    let json = serde_json::to_string(&before.tree).unwrap();
    assert!(json.len() < 3000, "{json}");

    words[700] = "other".to_owned();
    let n_objects = world.objects().len();
    let ran = world.run(&[encode(&words)]);
    assert_eq!(shards(&ran, "a"), (4799, 1));
    assert_eq!(world.objects().len(), n_objects + 2, "the shard and the tree of its folder");

    let reader = || {
        part("b").input("a").work(|context| {
            let input = &context.inputs["a"];
            let word = fs::read_to_string(input.file("part-00001/100.txt")?).unwrap();
            assert_eq!(word, very_many()[700].to_uppercase());
            assert_eq!(input.files(&["part-00007/599.txt", "out.txt"])?.len(), 2);
            let largest = fs::read_dir(input.folder()?).unwrap().map(|entry| entry.unwrap().path());
            let n_entries = |folder: PathBuf| fs::read_dir(folder).unwrap().count();
            assert_eq!(largest.filter(|path| path.is_dir()).map(n_entries).max(), Some(600));
            write(context, "")
        })
    };
    world.expect(&[encode(&very_many()), reader()], "b");
    // A sub-tree that is damaged or lost is made anew from the shards, which stay.
    let path = |object: Digest| {
        let hex = object.hex();
        world.path(&format!("artifacts/store-v1/objects/{}/{}", &hex[..2], &hex[2..]))
    };
    world.flip_bit(&path(before.tree.trees["part-00001"].tree));
    fs::remove_file(path(before.tree.trees["part-00002"].tree)).unwrap();
    let again = [encode(&very_many()), reader().param("round", 2)];
    let ran = world.expect(&again, "a b");
    assert_eq!(shards(&ran, "a"), (4800, 0));
    world.flip_bit(&path(before.tree.trees["part-00001"].tree));
    let ran = world.expect(&[encode(&very_many()), reader().param("round", 3)], "a b");
    assert_eq!(shards(&ran, "a"), (4800, 0));
    assert_eq!(record(&world).tree, before.tree);
}

#[test]
fn two_stages_at_once_compute_a_shared_shard_once() {
    let mut world = World::new();
    world.options.n_jobs.cpu = 2;
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Arc::new(Mutex::new(may_go_on));
    let n_computed = Arc::new(AtomicUsize::new(0));
    let sharing = |id: &str| {
        let (may_go_on, count) = (Arc::clone(&may_go_on), Arc::clone(&n_computed));
        let before = move |_: &str, _: &StageContext<'_>| {
            count.fetch_add(1, Ordering::Relaxed);
            may_go_on.lock().unwrap().recv().unwrap();
            Ok(())
        };
        let shards = Shards { words: "shared".into(), before: Some(Box::new(before)), ..Shards::default() };
        part(id).param("id", id).shards(shards)
    };
    let ran = world.run_with(&[sharing("a"), sharing("b")], &world.spec(), &mut |record| {
        if matches!(record.event, Event::StageWaiting { .. }) {
            go_on.send(()).unwrap();
        }
    });
    assert_eq!(n_computed.load(Ordering::Relaxed), 1);
    assert_eq!(ran.summary.n_ran, 2, "{:#?}", ran.events);
}

/// A run that another one helps: `before` is called for every word, with the name of the run that computes it.
fn side_by_side(words: &str, before: impl Fn(&str, &str) + Send + Sync + 'static) -> (World, Vec<Ran>) {
    let world = world();
    let before = Arc::new(before);
    let run = |name: &'static str| {
        let before = Arc::clone(&before);
        let before = move |word: &str, _: &StageContext<'_>| {
            before(name, word);
            Ok(())
        };
        let shards = Shards { words: words.to_owned(), before: Some(Box::new(before)), ..Shards::default() };
        let spec = SpecInfo { path: world.path(name), ..world.spec() };
        // Other options, as in another process.
        world.run_with(&[part("a").shards(shards)], &spec, &mut |_| {})
    };
    let ran = std::thread::scope(|scope| {
        let runs = ["first", "second"].map(|name| scope.spawn(move || run(name)));
        runs.map(|run| run.join().unwrap()).into_iter().collect()
    });
    (world, ran)
}

#[test]
fn a_second_run_helps_the_first_and_no_shard_is_computed_twice() {
    let computed = Arc::new(Mutex::new(BTreeMap::<String, BTreeSet<&'static str>>::new()));
    let seen = Arc::clone(&computed);
    let both = Arc::new(Barrier::new(2));
    let met = Mutex::new(BTreeSet::new());
    let words: Vec<String> = (0..12).map(|idx| format!("word{idx}")).collect();
    let (_, ran) = side_by_side(&words.join(" "), move |run, word| {
        let run = if run == "first" { "first" } else { "second" };
        assert!(seen.lock().unwrap().entry(word.to_owned()).or_default().insert(run), "{word} twice by {run}");
        // Neither continues before the other has a shard, too: they work side by side.
        if met.lock().unwrap().insert(run) {
            both.wait();
        }
    });
    let computed = computed.lock().unwrap();
    assert_eq!(computed.len(), 12);
    assert!(computed.values().all(|by| by.len() == 1), "{computed:?}");
    let led: Vec<(u64, u64)> = ran
        .iter()
        .filter_map(|ran| {
            let is_finished = |event: &Event| matches!(event, Event::StageFinished { .. });
            ran.events.iter().any(is_finished).then(|| shards(ran, "a"))
        })
        .collect();
    let helped: Vec<u64> = ran
        .iter()
        .filter_map(|ran| {
            ran.events.iter().find_map(|event| match event {
                Event::StageHelped { n_shards_computed, .. } => Some(*n_shards_computed),
                _ => None,
            })
        })
        .collect();
    // Both runs are in one process, so neither counts as another.
    let [(n_reused, n_computed)] = led[..] else { panic!("one run leads: {led:?}") };
    assert_eq!((n_reused + n_computed, helped), (12, vec![n_reused]));
    assert!(ran.iter().all(|ran| ran.summary.outcome == pipeline_core::Outcome::Done));
}

#[test]
fn a_helper_that_fails_leaves_it_to_the_run_that_leads_to_say_so() {
    let (_, ran) = side_by_side("one two stop", |_, _| {});
    let errors: Vec<String> = ran.iter().map(Ran::errors).collect();
    assert!(errors.iter().all(|errors| errors == "a: stopped\n"), "{errors:?}");
}
