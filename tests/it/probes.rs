//! Eleven behaviours of a chain `in.txt -> a.txt -> b.txt -> c.txt` that users of build tools miss.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use crate::project::{Project, make_fifo, wait_for_end};

/// The chain. Each stage records that it ran; the second can be made to wait, and `version` changes its command.
fn chain(project: &Project, version: u32) {
    project.write(
        "spec.yaml",
        &format!(
            r#"stages:
  s1:
    kind: command
    params:
      run: [sh, -c, 'echo 1 >> "$SPEC_DIR/runs.log"; head -c 5 "$SPEC_DIR/in.txt" > a.txt']
      outputs: [a.txt]
      sources: [in.txt]
    publish: {{ a.txt: a.txt }}
  s2:
    kind: command
    inputs: {{ a: s1 }}
    params:
      run:
        - sh
        - -c
        - |
          echo 2 >> "$SPEC_DIR/runs.log"
          if [ -p "$SPEC_DIR/started" ]; then
            printf junk > b.txt; echo $$ > "$SPEC_DIR/started"; read go < "$SPEC_DIR/go"
          fi
          cp "$INPUT_A/a.txt" b.txt; : {version}
      outputs: [b.txt]
    publish: {{ b.txt: b.txt }}
  s3:
    kind: command
    inputs: {{ b: s2 }}
    params: {{ run: [sh, -c, 'echo 3 >> "$SPEC_DIR/runs.log"; cp "$INPUT_B/b.txt" c.txt'], outputs: [c.txt] }}
    publish: {{ c.txt: c.txt }}
"#
        ),
    );
}

fn new_chain() -> Project {
    let project = Project::new();
    project.write("in.txt", "AAAAAtail1\n");
    chain(&project, 1);
    project
}

/// A chain that has run once.
fn settled_chain() -> Project {
    let project = new_chain();
    check(&project, "123");
    project
}

/// Runs the chain: exactly these stages run, and all published files are right.
fn check(project: &Project, expect: &str) {
    project.write("runs.log", "");
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert_eq!(stages_run(project), expect, "{reply:?}");
    check_files(project);
}

fn stages_run(project: &Project) -> String {
    project.read("runs.log").split_whitespace().collect()
}

fn check_files(project: &Project) {
    let expect = &project.read("in.txt")[..5];
    for name in ["a.txt", "b.txt", "c.txt"] {
        assert_eq!(project.read(name), expect, "{name}");
    }
}

#[test]
fn nothing_changed_and_nothing_runs() {
    let project = settled_chain();
    check(&project, "");
}

#[test]
fn a_touched_input_runs_nothing() {
    let project = settled_chain();
    let file = fs::File::options().write(true).open(project.path("in.txt")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    check(&project, "");
}

#[test]
fn an_output_that_stays_equal_stops_the_wave() {
    let project = settled_chain();
    project.write("in.txt", "AAAAAtail2\n");
    check(&project, "1");
}

#[test]
fn a_changed_input_runs_everything_and_its_return_nothing() {
    let project = settled_chain();
    project.write("in.txt", "BBBBBtail1\n");
    check(&project, "123");
    project.write("in.txt", "AAAAAtail1\n");
    check(&project, "");
}

#[test]
fn a_changed_command_with_the_same_output_runs_alone() {
    let project = settled_chain();
    chain(&project, 2);
    check(&project, "2");
}

#[test]
fn a_deleted_intermediate_is_restored() {
    let project = settled_chain();
    project.remove("b.txt");
    check(&project, "");
}

#[test]
fn deleted_outputs_are_restored() {
    let project = settled_chain();
    ["a.txt", "b.txt", "c.txt"].iter().for_each(|name| project.remove(name));
    check(&project, "");
}

#[test]
fn an_altered_output_is_repaired() {
    let project = settled_chain();
    project.remove("b.txt");
    project.write("b.txt", "junk!");
    check(&project, "");
}

#[test]
fn a_corrupt_cached_file_is_noticed_and_computed_again() {
    let project = settled_chain();
    let n_flipped = flip_a_bit_in_all_files(&project.path("artifacts/store-v1/objects"));
    assert!(n_flipped > 0);
    ["a.txt", "b.txt", "c.txt"].iter().for_each(|name| project.remove(name));
    project.write("runs.log", "");
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(reply.stderr.contains("warning"), "{reply:?}");
    assert!(stages_run(&project).contains('1'), "{reply:?}");
    check_files(&project);
    assert_eq!(project.run(&["cache", "verify"]).code, Some(0));
}

/// Flips a bit in the middle of every file and keeps its length, times and mode, like a bad disk.
fn flip_a_bit_in_all_files(folder: &Path) -> usize {
    let mut n_flipped = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            n_flipped += flip_a_bit_in_all_files(&path);
            continue;
        }
        let metadata = fs::metadata(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
        fs::set_permissions(&path, metadata.permissions()).unwrap();
        n_flipped += 1;
    }
    n_flipped
}

/// Makes the second stage wait in its middle.
fn hold_second_stage(project: &Project) {
    make_fifo(&project.path("started"));
    make_fifo(&project.path("go"));
}

#[test]
fn after_a_kill_in_the_middle_only_the_rest_runs() {
    let project = new_chain();
    hold_second_stage(&project);
    let mut run = project.start(&["run", "spec.yaml"]);
    let stage: u32 = project.read("started").trim().parse().unwrap();
    run.kill();
    wait_for_end(stage);
    project.remove("started");
    check(&project, "23");
    check(&project, "");
}

#[test]
fn two_runs_at_once_share_the_work() {
    let project = new_chain();
    hold_second_stage(&project);
    let first = project.start(&["run", "spec.yaml"]);
    assert!(!project.read("started").is_empty());
    let mut second = project.start(&["run", "spec.yaml"]);
    let line = second.until("waits");
    assert!(line.contains("s2") && line.contains(&first.id().to_string()), "{line}");
    project.write("go", "\n");
    assert_eq!((first.code(), second.code()), (Some(0), Some(0)));
    assert_eq!(stages_run(&project), "123");
    check_files(&project);
}
