//! A stage that changes its inputs leaves no wrong result behind, and is named.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Barrier};

use pipeline_core::Event;

use crate::world::{Doing, Part, Ran, World, forced, part, read_inputs, write};

/// Changes a file in place, like a program that opens it.
fn change(file: &Path) {
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    fs::File::options().append(true).open(file).unwrap().write_all(b"EVIL").unwrap();
}

fn input<'a>(context: &'a Doing<'_>) -> &'a Path {
    context.inputs["a"].folder().unwrap()
}

/// `a`, and two stages that read it at the same time: `writer` changes it while `reader` reads.
fn parts(writer: fn(&Path), writes_in_later_runs: bool) -> [Part; 3] {
    let (read, written) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let meet = [(Arc::clone(&read), Arc::clone(&written)), (read, written)];
    let [of_writer, of_reader] = meet;
    let writer =
        part("writer").input("a").param("again", writes_in_later_runs).running_programs().work(move |context| {
            of_writer.0.wait();
            writer(input(context));
            of_writer.1.wait();
            write(context, "done")
        });
    let reader = part("reader").input("a").running_programs().work(move |context| {
        of_reader.0.wait();
        of_reader.1.wait();
        write(context, &read_inputs(context)?)
    });
    [part("a").work(|context| write(context, "good")), writer, reader]
}

fn finished(ran: &Ran) -> String {
    let stage = |event: &Event| match event {
        Event::StageFinished { stage, .. } => Some(stage.to_string()),
        _ => None,
    };
    ran.events.iter().filter_map(stage).collect::<Vec<_>>().join(" ")
}

#[test]
fn nothing_is_remembered_of_stages_whose_input_was_changed_meanwhile_and_the_next_run_heals() {
    let mut world = World::new();
    world.options.keep_going = true;
    let ran = world.run(&parts(|folder| change(&folder.join("out.txt")), false));
    assert_eq!(finished(&ran), "a");
    let errors = ran.errors();
    for stage in ["writer", "reader"] {
        let expect = format!("{stage}: `out.txt` of its input `a` was changed while it ran, by `reader` or `writer`");
        assert!(errors.contains(&expect), "{errors}");
    }
    assert!(errors.contains("The next run computes `a` again"), "{errors}");
    assert_eq!(fs::read_dir(world.path("artifacts/store-v1/quarantine")).unwrap().count(), 1);

    let innocent = [
        part("a").work(|context| write(context, "good")),
        part("reader").input("a").running_programs().work(|context| write(context, &read_inputs(context)?)),
    ];
    world.expect(&innocent, "a reader");
    assert!(fs::read_dir(world.path("artifacts/store-v1/lent")).unwrap().next().is_none());
}

#[test]
fn a_stage_alone_with_its_input_is_named_as_the_one_that_changed_it_also_when_it_fails() {
    let world = World::new();
    for fails in [false, true] {
        let writer = part("b").input("a").param("fails", fails).running_programs().work(move |context| {
            change(&input(context).join("out.txt"));
            if fails { Err(pipeline_core::StageError::new("it cannot go on")) } else { write(context, "done") }
        });
        let ran = world.run(&[part("a").work(|context| write(context, "good")), writer]);
        assert_eq!(ran.failed(), "b");
        assert!(ran.errors().starts_with("b: it changed `out.txt` of its input `a` ("), "{}", ran.errors());
    }
}

#[test]
fn what_a_program_puts_into_the_folder_of_its_input_no_other_stage_sees() {
    let world = World::new();
    // It also replaces a file.
    let replace = |folder: &Path| {
        fs::write(folder.join("index"), "beside").unwrap();
        fs::remove_file(folder.join("out.txt")).unwrap();
        fs::write(folder.join("out.txt"), "EVIL").unwrap();
    };
    let ran = world.run(&parts(replace, false));
    assert_eq!(ran.errors(), "");
    let folder = world.path("artifacts/store-v1/trees");
    let files = fs::read_dir(folder).unwrap().flat_map(|tree| fs::read_dir(tree.unwrap().path()).unwrap());
    let texts: Vec<_> = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert_eq!(texts, ["good"]);
    let ran = world.run(&[part("a").work(|context| write(context, "good")), part("last").input("reader"), {
        part("reader").input("a").running_programs()
    }]);
    assert_eq!(ran.log, "last");
}

#[test]
fn the_folder_of_an_input_has_the_same_name_in_every_run() {
    let mut world = World::new();
    let print = |context: &Doing<'_>| write(context, &input(context).display().to_string());
    let parts = [part("a").work(|context| write(context, "good")), part("b").input("a").running_programs().work(print)];
    world.expect(&parts, "a b");
    world.options.plan = forced(&["b"]);
    let ran = world.run(&parts);
    let is_unchanged = |event: &Event| matches!(event, Event::StageFinished { unchanged: true, .. });
    assert_eq!(ran.n_events(is_unchanged), 1);
}
