//! Files of artifacts appear where the spec publishes them.

use std::fs;
use std::sync::Arc;

use pipeline_core::{Event, Outcome, Reader, RunReason};

use crate::world::{World, graph, part, write};

#[test]
fn a_published_name_that_is_not_in_the_artifact_fails_with_the_names_that_are() {
    let world = World::new();
    let stage = part("a").work(|context| write(context, "a"));
    let wrong = [stage.clone().publish("out.text", world.path("out.txt")), part("b").input("a")];
    for n_ran in [1, 0] {
        let ran = world.run(&wrong);
        assert_eq!(ran.errors(), "a: cannot publish `out.text`: the artifact has no such file (it has `out.txt`)\n");
        assert_eq!((ran.summary.n_ran, ran.skipped().as_str()), (n_ran, "b"));
    }
    // The result itself was good: with the right name nothing is recomputed.
    world.expect(&[stage.publish("out.txt", world.path("out.txt")), part("b").input("a")], "b");
    assert_eq!(world.read("out.txt"), "a");
}

#[test]
fn a_published_file_that_is_as_it_was_is_not_written_again_for_a_lost_record() {
    let world = World::new();
    let parts = [part("a").work(|context| write(context, "a")).publish("out.txt", world.path("out.txt"))];
    world.expect(&parts, "a");
    fs::remove_dir_all(world.path("artifacts/store-v1/actions")).unwrap();
    assert!(world.run_unchanged(&parts).is_none());
    let ran = world.expect(&parts, "a");
    assert_eq!(ran.n_events(|event| matches!(event, Event::FilePublished { .. })), 0);
    world.expect(&parts, "");
    world.write("out.txt", "b");
    world.expect(&parts, "");
    assert_eq!(world.read("out.txt"), "a");
}

#[test]
fn a_published_file_whose_bytes_are_gone_is_computed_again() {
    let world = World::new();
    let path = world.path("deep/below/out.txt");
    let parts = [
        part("a").work(|context| write(context, "from a")),
        part("b").input("a").param("keep", 4).publish("out.txt", path.clone()),
    ];
    let ran = world.expect(&parts, "a b");
    let published =
        Event::FilePublished { stage: "b".parse().unwrap(), file: "out.txt".into(), path: path.display().to_string() };
    assert!(ran.events.contains(&published));
    for object in world.objects() {
        fs::remove_file(object).unwrap();
    }
    world.expect(&parts, "");
    fs::remove_file(&path).unwrap();
    let ran = world.expect(&parts, "a b");
    assert_eq!(ran.why("b"), Some(RunReason::Demanded { reader: Reader::Path(path.display().to_string()) }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "from");
}

#[test]
fn a_path_that_cannot_be_written_fails_the_stage() {
    let world = World::new();
    world.write("file", "");
    let parts = [part("a").work(|context| write(context, "a")).publish("out.txt", world.path("file/out.txt"))];
    let ran = world.run(&parts);
    assert_eq!(ran.failed(), "a");
    assert!(ran.errors().contains("file"), "{}", ran.errors());
}

#[test]
fn bytes_that_could_not_be_published_are_kept_for_the_next_run() {
    let world = World::new();
    let parts =
        || [part("a").work(|context| write(context, "mine")).dropped().publish("out.txt", world.path("out.txt"))];
    world.write("out.txt", "of somebody else");
    assert_eq!(world.run(&parts()).failed(), "a");
    let graph = graph(&parts(), &Arc::default());
    let again = pipeline_engine::run(&graph, &world.store(), &world.spec(), &world.options, &world.cancel, &mut |_| {});
    assert_eq!(again.unwrap_err().to_string(), "stage `a` cannot publish `out.txt`");
    world.write("out.txt", "");
    world.expect(&parts(), "");
    assert_eq!(world.read("out.txt"), "mine");
}

#[test]
fn a_file_of_somebody_else_stops_no_stage_that_has_its_inputs_and_is_told_before_any_work() {
    let world = World::new();
    let chain = |text: &'static str| {
        [
            part("a")
                .param("text", text)
                .work(move |context| write(context, text))
                .publish("out.txt", world.path("out.txt")),
            part("b").input("a"),
        ]
    };
    world.write("out.txt", "of somebody else");
    let ran = world.run(&chain("mine"));
    assert!(ran.errors().contains("is not a file that this program has written"), "{}", ran.errors());
    assert_eq!((ran.summary.n_ran, ran.skipped().as_str()), (2, ""));
    let is_warning =
        |event: &Event| matches!(event, Event::StageWarning { message, .. } if message.contains("--overwrite"));
    let is_start = |event: &Event| matches!(event, Event::StageStarted { .. });
    let first = |is: &dyn Fn(&Event) -> bool| ran.events.iter().position(is).unwrap();
    assert!(first(&is_warning) < first(&is_start));
    assert_eq!(ran.summary.outcome, Outcome::Failed);
    // Now the result is known, and nothing is begun.
    assert!(world.run_unchanged(&chain("mine")).is_none());
    let graph = graph(&chain("mine"), &Arc::default());
    let begun = pipeline_engine::run(&graph, &world.store(), &world.spec(), &world.options, &world.cancel, &mut |_| {});
    let error = begun.unwrap_err();
    assert_eq!(error.to_string(), "stage `a` cannot publish `out.txt`");
    assert_eq!(world.read("out.txt"), "of somebody else");
    // The same file is no obstacle: a new store does not know that an earlier one has written it.
    world.write("out.txt", "mine");
    world.expect(&chain("mine"), "");
}
