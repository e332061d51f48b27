//! Interrupts and readers that go away.

use std::io::Read;
use std::process::Stdio;

use crate::project::{Project, make_fifo, signal, wait_for_end};

/// A stage that prints that it runs and then waits for ever, and one that finishes before it.
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
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
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

/// A stage whose program ignores all signals, and has started another one in a session of its own; with their process
/// ids.
fn stubborn_run() -> (Project, crate::project::Started, [u32; 2]) {
    let project = Project::with_spec(
        r#"stages:
  endless:
    kind: command
    params:
      outputs: [out]
      run:
        - sh
        - -c
        - |
          trap "" TERM HUP INT QUIT
          setsid sh -c 'echo $$ > "$SPEC_DIR/daemon"; read go < "$SPEC_DIR/go"' > /dev/null 2>&1 &
          echo $$ > "$SPEC_DIR/started"; read go < "$SPEC_DIR/go"
"#,
    );
    ["started", "daemon", "go"].iter().for_each(|name| make_fifo(&project.path(name)));
    let run = project.start(&["run", "spec.yaml"]);
    let number = |name: &str| project.read(name).trim().parse().unwrap();
    let processes = [number("daemon"), number("started")];
    (project, run, processes)
}

#[test]
fn a_second_interrupt_ends_the_program_and_all_that_it_runs_at_once() {
    let (_project, mut run, processes) = stubborn_run();
    signal("INT", run.id());
    run.until("stopping");
    signal("INT", run.id());
    assert_eq!(run.code(), Some(130));
    processes.iter().for_each(|process| wait_for_end(*process));
}

#[test]
fn an_interrupted_run_leaves_nothing_that_goes_on() {
    let (_project, run, processes) = stubborn_run();
    signal("HUP", run.id());
    assert_eq!(run.code(), Some(129));
    processes.iter().for_each(|process| wait_for_end(*process));
}

#[test]
fn a_killed_run_leaves_nothing_that_goes_on() {
    let (_project, mut run, processes) = stubborn_run();
    run.kill();
    processes.iter().for_each(|process| wait_for_end(*process));
}

#[test]
fn a_hangup_does_not_end_a_run_under_nohup() {
    let project = waiting_project("");
    let run = |program: &str| {
        let mut command = std::process::Command::new("nohup");
        command.arg(program).args(["run", "spec.yaml"]).current_dir(project.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut run = run(env!("CARGO_BIN_EXE_pipeline"));
    assert_eq!(project.read("started"), "x\n");
    signal("HUP", run.id());
    project.write("go", "x\n");
    // The program leaves no output, so the stage fails: it ended by itself.
    assert_eq!(run.wait().unwrap().code(), Some(3));
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
