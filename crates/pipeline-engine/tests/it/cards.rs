//! Several cards in one run: a stage holds one, its shards are computed on all that are free, with the same bytes.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pipeline_core::{ArtifactDigest, Device, Event, EventRecord, Key, Lane, Outcome, StageContext, StageError};
use pipeline_engine::{LostCards, SpecInfo};
use pipeline_store::{Machine, Provenance, PutMode};

use crate::world::{Part, Ran, Shards, World, files_below, part, write};

fn world(cards: &[u16]) -> World {
    let mut world = World::new();
    (world.options.n_jobs.cpu, world.options.n_jobs.gpu) = (2, cards.len());
    world.options.plan.device = Device::Cuda;
    world.options.cards = cards.to_vec();
    world
}

fn encoder(id: &str, words: &str, shards: Shards) -> Part {
    part(id).param("words", words).on_device().shards(Shards { words: words.to_owned(), ..shards })
}

fn artifact(ran: &Ran, id: &str) -> ArtifactDigest {
    let artifact = |event: &Event| match event {
        Event::StageFinished { stage, artifact, .. } if stage.as_str() == id => Some(*artifact),
        _ => None,
    };
    ran.events.iter().find_map(artifact).unwrap_or_else(|| panic!("{id} did not finish: {}", ran.errors()))
}

fn provenance(world: &World, ran: &Ran, id: &str) -> Provenance {
    let key = |event: &Event| match event {
        Event::StageFinished { stage, key, .. } if stage.as_str() == id => Some(*key),
        _ => None,
    };
    let key = ran.events.iter().find_map(key).unwrap();
    world.store().records().get(&key).unwrap().unwrap().provenance
}

#[test]
fn the_shards_of_a_stage_are_computed_on_all_cards_at_once_with_the_same_bytes() {
    let two = world(&[1, 3]);
    // Goes on only when both cards work.
    let barrier = Barrier::new(2);
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let cards = Arc::clone(&seen);
    let meet = move |_: &str, card: Option<u16>| {
        cards.lock().unwrap().insert(card);
        barrier.wait();
    };
    let on_card = Some(Box::new(meet) as Box<_>);
    let of_two = two.run(&[encoder("a", "one two three four", Shards { on_card, ..Shards::default() })]);
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from([Some(1), Some(3)]));
    assert_eq!(provenance(&two, &of_two, "a").cards, [1, 3]);
    let started = |event: &Event| matches!(event, Event::RunStarted { cards, .. } if *cards == [1, 3]);
    assert!(of_two.events.iter().any(started), "{:?}", of_two.events);

    let one = world(&[0]);
    let of_one = one.run(&[encoder("a", "one two three four", Shards::default())]);
    assert_eq!(artifact(&of_one, "a"), artifact(&of_two, "a"));
    assert_eq!(provenance(&one, &of_one, "a").cards, [0]);
}

#[test]
fn stages_hold_different_cards_and_a_stage_of_the_processor_none() {
    let world = world(&[0, 1]);
    let barrier = Arc::new(Barrier::new(2));
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let on_card = |id: &str| {
        let (barrier, seen) = (Arc::clone(&barrier), Arc::clone(&seen));
        part(id).param("id", id).lane(Lane::Gpu).work(move |context| {
            seen.lock().unwrap().insert(context.card);
            barrier.wait();
            write(context, "")
        })
    };
    let elsewhere = part("c").work(|context| {
        assert_eq!(context.card, None);
        write(context, "")
    });
    let ran = world.run(&[on_card("a"), on_card("b"), elsewhere]);
    assert_eq!(ran.summary.n_ran, 3, "{}", ran.errors());
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from([Some(0), Some(1)]));
    assert!(provenance(&world, &ran, "c").cards.is_empty());
}

#[test]
fn a_stage_of_the_lane_that_computes_on_no_card_keeps_its_own_workers() {
    let world = world(&[0]);
    let barrier = Barrier::new(3);
    let before = move |_: &str, _: &StageContext<'_>| {
        barrier.wait();
        Ok(())
    };
    let shards = Shards { words: "a b c".into(), n_workers: 3, before: Some(Box::new(before)), ..Shards::default() };
    let ran = world.run(&[part("a").lane(Lane::Gpu).shards(shards)]);
    assert_eq!(ran.summary.n_ran, 1, "{}", ran.errors());
}

#[test]
fn a_stage_gets_the_card_that_was_lent_to_another_one() {
    let world = world(&[0, 1]);
    let [is_lent, has_ended] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let until = |flag: &AtomicBool| {
        while !flag.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    };
    let left = Arc::new(Mutex::new(Vec::new()));
    let shards = {
        let ([is_lent, has_ended], left) = ([&is_lent, &has_ended].map(Arc::clone), Arc::clone(&left));
        let on_card = move |_: &str, card: Option<u16>| match card {
            // The card that the stage holds works on, until the other stage has ended.
            Some(0) => until(&has_ended),
            _ => {
                is_lent.store(true, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(5));
            }
        };
        let leave = move |card: Option<u16>| left.lock().unwrap().push(card);
        Shards { on_card: Some(Box::new(on_card)), leave: Some(Box::new(leave)), ..Shards::default() }
    };
    let words: Vec<String> = (0..400).map(|n| n.to_string()).collect();
    let before = part("b").work(move |context| {
        until(&is_lent);
        write(context, "")
    });
    let later = part("c").input("b").lane(Lane::Gpu).work({
        let left = Arc::clone(&left);
        move |context| {
            assert_eq!((context.card, left.lock().unwrap().as_slice()), (Some(1), &[Some(1)][..]));
            has_ended.store(true, Ordering::SeqCst);
            write(context, "")
        }
    });
    let ran = world.run(&[encoder("a", &words.join(" "), shards), before, later]);
    assert_eq!(ran.summary.n_ran, 3, "{}", ran.errors());
    assert_eq!(provenance(&world, &ran, "a").cards, [0, 1]);
    assert_eq!(provenance(&world, &ran, "c").cards, [1]);
}

#[test]
fn a_failure_on_a_lent_card_fails_the_stage() {
    let world = world(&[0, 1]);
    let before = |word: &str, _: &StageContext<'_>| match word {
        "slow" => {
            thread::sleep(Duration::from_millis(200));
            Ok(())
        }
        _ => Ok(()),
    };
    let shards = Shards { before: Some(Box::new(before)), ..Shards::default() };
    let ran = world.run(&[encoder("a", "slow stop one two three", shards)]);
    assert!(ran.errors().contains("stopped"), "{:?}", ran.events);
    let has_closed = |event: &Event| matches!(event, Event::ShardComputed { .. });
    assert!(!ran.events.iter().any(has_closed));
}

#[test]
fn a_helper_on_several_cards_leaves_when_others_compute_all_that_is_missing() {
    let world = world(&[0, 1]);
    let [n_slow, n_helped] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let both = |count: &AtomicUsize| {
        let began = Instant::now();
        while count.load(Ordering::SeqCst) < 2 {
            assert!(began.elapsed() < Duration::from_secs(30), "it waits in vain");
            thread::sleep(Duration::from_millis(1));
        }
    };
    let parts = || {
        ["a", "b"].map(|id| {
            let [n_slow, n_helped] = [&n_slow, &n_helped].map(Arc::clone);
            let before = move |word: &str, _: &StageContext<'_>| {
                if word.starts_with("slow") {
                    n_slow.fetch_add(1, Ordering::SeqCst);
                    both(&n_helped);
                } else {
                    // Until the other stage begins, this one has its card, too: most shards must be left for the helper.
                    thread::sleep(Duration::from_millis(10));
                }
                Ok(())
            };
            let shards = Shards { before: Some(Box::new(before)), ..Shards::default() };
            let words: Vec<String> = (0..40).map(|n| format!("{id}{n}")).collect();
            encoder(id, &format!("slow{id} {}", words.join(" ")), shards)
        })
    };
    let run = |name: &str, listen: &mut dyn FnMut(&EventRecord)| {
        let spec = SpecInfo { path: world.path(name), ..world.spec() };
        world.run_with(&parts(), &spec, listen)
    };
    let outcomes = thread::scope(|scope| {
        let leader = scope.spawn(|| run("first", &mut |_| {}));
        both(&n_slow);
        let helper = run("second", &mut |record| {
            let has_helped = matches!(record.event, Event::StageHelped { .. });
            n_helped.fetch_add(usize::from(has_helped), Ordering::SeqCst);
        });
        [leader.join().unwrap(), helper].map(|ran| ran.summary.outcome)
    });
    assert_eq!(outcomes, [Outcome::Done; 2]);
}

#[test]
fn a_panic_on_one_card_ends_the_work_on_all() {
    let world = world(&[0, 1]);
    let barrier = Barrier::new(2);
    let on_card = move |word: &str, _: Option<u16>| {
        if ["one", "two"].contains(&word) {
            barrier.wait();
        }
        assert_ne!(word, "one", "a bug");
        thread::sleep(Duration::from_millis(50));
    };
    let words: Vec<String> =
        ["one", "two"].into_iter().map(str::to_owned).chain((0..200).map(|n| n.to_string())).collect();
    let shards = Shards { on_card: Some(Box::new(on_card)), ..Shards::default() };
    let began = Instant::now();
    let ran = world.run(&[encoder("a", &words.join(" "), shards)]);
    assert_ne!(ran.summary.outcome, Outcome::Done);
    assert!(began.elapsed() < Duration::from_secs(5), "the other card has computed all the rest");
}

/// A stage on a card, which fails with an error where it has the card 0.
fn fails_on_the_first(id: &str) -> Part {
    part(id).param("id", id).lane(Lane::Gpu).work(|context| match context.card {
        Some(0) => Err(StageError::new("the card failed")),
        _ => write(context, ""),
    })
}

#[test]
fn a_card_that_is_lost_gets_no_further_stage() {
    let mut world = world(&[0, 1]);
    world.options.keep_going = true;
    world.options.n_jobs.gpu = 1;
    let n_looks = Arc::new(AtomicUsize::new(0));
    let looks = Arc::clone(&n_looks);
    world.options.lost = LostCards::new(move |card| {
        looks.fetch_add(1, Ordering::SeqCst);
        (card == Some(0)).then(|| "the first card is gone".to_owned())
    });
    let ran = world.run(&["a", "b", "c"].map(fails_on_the_first));
    assert_eq!((ran.summary.n_ran, n_looks.load(Ordering::SeqCst)), (2, 1), "{}", ran.errors());
    assert!(ran.errors().contains("the first card is gone"), "{}", ran.errors());
    // A later run of the same process, such as the next rung of a sweep.
    assert_eq!(world.run(&["a", "b", "d"].map(fails_on_the_first)).summary.n_ran, 2);
}

#[test]
fn where_no_card_is_left_stages_that_need_one_fail_with_its_cause_and_others_go_on() {
    let mut world = world(&[0]);
    world.options.keep_going = true;
    world.options.lost = LostCards::new(|_| Some("the only card is gone".to_owned()));
    let of_processor = part("c").work(|context| write(context, ""));
    let ran = world.run(&[fails_on_the_first("a"), fails_on_the_first("b"), of_processor]);
    assert_eq!((ran.summary.n_ran, ran.summary.outcome), (1, Outcome::Failed), "{}", ran.errors());
    assert!(ran.errors().contains("no card is left to compute on"), "{}", ran.errors());
}

#[test]
fn a_card_that_is_lost_while_it_is_lent_gets_no_further_shard() {
    let mut world = world(&[0, 1]);
    world.options.lost = LostCards::new(|card| (card == Some(1)).then(|| "gone".to_owned()));
    let barrier = Barrier::new(2);
    let fails = move |_: &str, _: &StageContext<'_>| {
        barrier.wait();
        Err(StageError::new("a card failed"))
    };
    let shards = Shards { before: Some(Box::new(fails)), ..Shards::default() };
    assert_eq!(world.run(&[encoder("a", "one two", shards)]).summary.n_ran, 0);
    let shards = Shards {
        before: Some(Box::new(|_: &str, _: &StageContext<'_>| {
            thread::sleep(Duration::from_millis(5));
            Ok(())
        })),
        ..Shards::default()
    };
    let ran = world.run(&[encoder("b", "one two three four five six", shards)]);
    assert_eq!(provenance(&world, &ran, "b").cards, [0]);
}

#[test]
fn a_result_names_the_cards_of_all_runs_that_computed_its_shards() {
    let mut world = world(&[2]);
    let first = world.run(&[encoder("a", "one stop", Shards::default())]);
    assert!(first.errors().contains("stopped"), "{}", first.errors());
    // Few records are read one by one, many as packed ones.
    let mut words: Vec<String> = (0..256).map(|idx| format!("word{idx}")).collect();
    for (card, word) in [(5, "one"), (7, "another")] {
        world.options.cards = vec![card];
        words.push(word.to_owned());
        let ran = world.run(&[encoder("a", &words.join(" "), Shards::default())]);
        let expected: &[u16] = if card == 5 { &[2, 5] } else { &[2, 5, 7] };
        assert_eq!(provenance(&world, &ran, "a").cards, expected, "{}", ran.errors());
    }
}

#[test]
fn a_result_names_other_machines_that_computed_its_shards() {
    let world = world(&[0]);
    world.run(&[encoder("a", "one", Shards::default())]);
    let shards = files_below(&world.path("artifacts/store-v1/actions"));
    let shards = shards.iter().filter(|path| fs::read_to_string(path).unwrap().contains("shard\""));
    let mut n_moved = 0;
    for path in shards {
        let [folder, name] = [path.parent().unwrap().file_name(), path.file_stem()].map(|part| part.unwrap().to_str());
        let key = Key(format!("{}{}", folder.unwrap(), name.unwrap()).parse().unwrap());
        let mut record = world.store().records().get_shard(&key).unwrap().unwrap();
        (record.provenance.host, record.provenance.cards) = ("node7".to_owned(), vec![3]);
        world.store().records().put_shard(&record, PutMode::Replace).unwrap();
        n_moved += 1;
    }
    assert_eq!(n_moved, 1);
    let ran = world.run(&[encoder("a", "one two", Shards::default())]);
    let Provenance { cards, others, .. } = provenance(&world, &ran, "a");
    assert_eq!((cards, others), (vec![0], vec![Machine { host: "node7".to_owned(), cards: vec![3] }]));
}
