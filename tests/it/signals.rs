//! Interrupts and readers that go away.

use std::io::Read;
use std::process::Stdio;

use crate::project::{Project, make_fifo, signal};

/// A stage that says that it runs and then waits for ever, and one that is done before.
fn waiting_project(trap: &str) -> Project {
    let project = Project::with_spec(&format!(
        r#"stages:
  quick: {{ kind: command, params: {{ run: [sh, -c, 'echo 1 > out'], outputs: [out] }} }}
  endless:
    kind: command
    inputs: {{ quick: quick }}
    params: {{ run: [sh, -c, '{trap} echo x > "$SPEC_DIR/started"; read go < "$SPEC_DIR/go"'], outputs: [out] }}
"#
    ));
    make_fifo(&project.path("started"));
    make_fifo(&project.path("go"));
    project
}

#[test]
fn an_interrupt_stops_the_run_and_keeps_what_is_done() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let project = waiting_project("");
        let mut run = project.start(&["run", "spec.yaml"]);
        assert_eq!(project.read("started"), "x\n");
        signal(name, run.id());
        run.until("stopping; finished shards are kept");
        assert_eq!(run.code(), Some(code));
        let status = project.run(&["status", "spec.yaml"]);
        assert!(status.stdout.contains("quick reuse"), "{status:?}");
        let runs = project.run(&["runs"]);
        assert!(runs.stdout.contains("interrupted"), "{runs:?}");
    }
}

#[test]
fn a_second_interrupt_ends_the_program_at_once() {
    let project = waiting_project("trap \"\" TERM;");
    let mut run = project.start(&["run", "spec.yaml"]);
    assert_eq!(project.read("started"), "x\n");
    signal("INT", run.id());
    run.until("stopping");
    signal("INT", run.id());
    assert_eq!(run.code(), Some(130));
    // The stage's own program heeds no signal and would stay behind.
    project.write("go", "x\n");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project =
        Project::with_spec("stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n");
    let mut child = project.command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
    let mut child = project.command(&["run", "spec.yaml", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(project.run(&["status", "spec.yaml", "--check"]).code == Some(0), "the run went on without a reader");
}
