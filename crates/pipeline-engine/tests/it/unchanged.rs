//! A no-op run is reported without a plan, with the same events as with one.

use std::fs;

use pipeline_core::{Event, Outcome};

use crate::world::{Part, Ran, World, forced, part, write};

fn chain(world: &World, text: &str) -> Vec<Part> {
    let source = world.write("in.txt", text);
    vec![
        part("a").source(source).param("keep", 3),
        part("b").input("a").publish("out.txt", world.path("published.txt")),
        part("c").input("b").dropped(),
    ]
}

/// The events without everything that differs between two runs.
fn comparable(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    for event in &mut events {
        match event {
            Event::RunStarted { run, .. } => run.0.clear(),
            Event::RunFinished { seconds, .. } => *seconds = 0.0,
            _ => {}
        }
    }
    events
}

fn settled(world: &World, parts: &[Part]) -> Ran {
    world.expect(parts, "a b c");
    world.expect(parts, "")
}

#[test]
fn it_tells_what_a_planned_run_tells_and_leaves_the_same_history() {
    let world = World::new();
    let parts = chain(&world, "one two");
    let planned = settled(&world, &parts);
    let unchanged = world.run_unchanged(&parts).unwrap();
    assert_eq!(comparable(&unchanged), comparable(&planned.events));

    let runs = world.store().runs().list().unwrap();
    let last = runs.last().unwrap();
    assert_eq!(world.store().runs().events(&last.id).unwrap().len(), unchanged.len());
    let folder = world.path("artifacts/runs").join(&last.id.0);
    assert_eq!(fs::read_to_string(folder.join("spec.yaml")).unwrap(), "name: spec\n");
    assert!(folder.join("metrics.json").exists());
}

/// A reused result still rests on its stage's warnings, with or without a plan, and whatever runs below it.
#[test]
fn the_warnings_of_a_reused_stage_come_with_it() {
    let world = World::new();
    let warns = || {
        part("a").work(|context| {
            (0..150).for_each(|number| context.host.warn(format!("row {number} is odd")));
            write(context, "a")
        })
    };
    let kept = |events: &[Event]| {
        let warnings = events.iter().find_map(|event| match event {
            Event::StageReused { report, .. } if !report.warnings.is_empty() => Some(report.warnings.clone()),
            _ => None,
        });
        let warnings = warnings.unwrap();
        (warnings.len(), warnings[0].clone(), warnings[100].clone())
    };
    let expect = (101, "row 0 is odd".to_owned(), "there were more than 100 warnings".to_owned());
    assert_eq!(world.expect(&[warns()], "a").warnings().lines().count(), 150);
    assert_eq!(kept(&world.expect(&[warns()], "").events), expect);
    assert_eq!(kept(&world.run_unchanged(&[warns()]).unwrap()), expect);
    assert_eq!(kept(&world.expect(&[warns(), part("b").input("a")], "b").events), expect);
}

#[test]
fn a_touched_source_of_the_same_content_has_not_changed() {
    let world = World::new();
    let parts = chain(&world, "one two");
    settled(&world, &parts);
    world.write("in.txt", "one two");
    assert!(world.run_unchanged(&parts).is_some());
}

#[test]
fn whatever_changes_asks_for_a_plan() {
    let world = World::new();
    let parts = chain(&world, "one two");
    settled(&world, &parts);
    let check = |change: &dyn Fn(), restore: &dyn Fn()| {
        change();
        assert!(world.run_unchanged(&parts).is_none());
        restore();
        world.run(&parts);
        assert!(world.run_unchanged(&parts).is_some());
    };
    let write = |text: &'static str| move |world: &World| _ = world.write("in.txt", text);
    check(&|| write("two one")(&world), &|| write("one two")(&world));
    check(&|| fs::remove_file(world.path("in.txt")).unwrap(), &|| write("one two")(&world));
    check(&|| fs::remove_file(world.path("published.txt")).unwrap(), &|| {});
    check(&|| _ = world.write("published.txt", "one!"), &|| {});

    let mut others = parts.clone();
    others[1] = others[1].clone().version(2);
    assert!(world.run_unchanged(&others).is_none());
    let mut forcing = World::new();
    let parts = chain(&forcing, "one two");
    settled(&forcing, &parts);
    forcing.options.plan = forced(&["a"]);
    assert!(forcing.run_unchanged(&parts).is_none());
}

#[test]
fn a_run_that_failed_in_between_is_not_forgotten() {
    let world = World::new();
    let parts = chain(&world, "one two");
    settled(&world, &parts);
    let mut failing = parts.clone();
    failing[2] = part("c").input("b").dropped().param("keep", "no number");
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run(&failing)));
    assert!(failed.is_ok_and(|ran| ran.summary.outcome == Outcome::Failed));
    // The stages' results were written by that run, and only a plan can compare them with the previous ones.
    assert!(world.run_unchanged(&parts).is_none());
    world.expect(&parts, "");
    assert!(world.run_unchanged(&parts).is_some());
}
