//! Runs of one spec with different overrides: array tasks, trials in two shells, and the spec as it is.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::project::{Project, Reply};

const SPEC: &str = r#"name: steps
stages:
  first: { kind: command, params: { run: [sh, -c, 'echo "$N" > out'], outputs: [out], env: { N: "1" } } }
  second: { kind: command, inputs: { from: first }, params: { run: [sh, -c, 'cat "$INPUT_FROM/out" > out'], outputs: [out] } }
"#;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn ok(project: &Project, args: &[&str]) -> Reply {
    let reply = project.run(args);
    assert_eq!(reply.code, Some(0), "{args:?}: {reply:?}");
    reply
}

fn set_n(value: u32) -> String {
    format!("first.params.env={{N: \"{value}\"}}")
}

/// The files with the last results of the spec, those of overrides last.
fn remembered(project: &Project) -> Vec<PathBuf> {
    let files = fs::read_dir(project.path("artifacts/last")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|file| (file.file_name().unwrap().len(), file.clone()));
    files
}

#[test]
fn array_tasks_do_not_forget_each_other_and_a_collection_spares_them_all() {
    let project = Project::with_spec(SPEC);
    ok(&project, &["run", "spec.yaml"]);
    let tasks: Vec<_> = (2..5).map(|n| project.start(&["run", "spec.yaml", "--set", &set_n(n)])).collect();
    tasks.into_iter().for_each(|task| assert_eq!(task.code(), Some(0)));
    assert_eq!(remembered(&project).len(), 4);
    ok(&project, &["cache", "gc"]);
    for n in 2..5 {
        let set = set_n(n);
        assert!(ok(&project, &["run", "spec.yaml", "--set", &set]).stderr.contains("nothing ran"), "task {n}");
        ok(&project, &["path", "spec.yaml", "second", "--set", &set]);
    }
    assert!(ok(&project, &["run", "spec.yaml"]).stderr.contains("nothing ran"));
    ok(&project, &["status", "spec.yaml", "--check"]);
    ok(&project, &["path", "spec.yaml", "second"]);
}

#[test]
fn what_never_ran_with_these_overrides_is_compared_with_the_last_run_with_any() {
    let project = Project::with_spec(SPEC);
    ok(&project, &["run", "spec.yaml", "--set", &set_n(2)]);
    let why = |args: &[&str]| ok(&project, &[&["why", "spec.yaml", "first"], args].concat()).stdout;
    assert!(why(&[]).contains(r#"param.env.N: "2" -> "1""#), "{}", why(&[]));
    ok(&project, &["run", "spec.yaml"]);
    ok(&project, &["run", "spec.yaml", "--set", &set_n(3)]);
    project.write("spec.yaml", &SPEC.replace("echo", "echo new"));
    for why in [why(&[]), why(&["--set", &set_n(2)])] {
        assert!(why.contains("param.run") && !why.contains("param.env"), "each has its own last run: {why}");
    }
}

#[test]
fn results_with_overrides_are_let_go_thirty_days_after_their_last_use() {
    let project = Project::with_spec(SPEC);
    for n in 2..4 {
        ok(&project, &["run", "spec.yaml", "--set", &set_n(n)]);
    }
    ok(&project, &["run", "spec.yaml"]);
    let aged = |file: &PathBuf, days: u32| {
        File::options().write(true).open(file).unwrap().set_modified(SystemTime::now() - days * DAY).unwrap();
    };
    let files = remembered(&project);
    [(0, 400), (1, 29), (2, 31)].iter().for_each(|(idx, days)| aged(&files[*idx], *days));
    let gc = ok(&project, &["cache", "gc", "--keep-missing", "1h"]);
    assert!(!gc.stdout.contains("let go"), "no spec is gone: {gc:?}");
    assert_eq!(remembered(&project), files[..2], "the spec itself and the younger one stay");
    ok(&project, &["path", "spec.yaml", "second"]);
    let is_there = |n| project.run(&["path", "spec.yaml", "second", "--set", &set_n(n)]).code == Some(0);
    assert_eq!((2..4).filter(|n| is_there(*n)).count(), 1);
}
