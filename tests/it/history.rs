//! `runs`: the history of a store, a run shown again, pins, and their effect on collections.

use serde_json::Value;

use crate::project::{Project, Reply};

const CHAIN: &str = r#"name: chain
stages:
  head: { kind: command, params: { run: [sh, -c, 'echo hello; cat "$SPEC_DIR/in.txt" > out'], outputs: [out], sources: [in.txt] } }
  tail: { kind: command, inputs: { from: head }, params: { run: [cp, in, out], outputs: [out] } }
  other: { kind: command, params: { run: [touch, out], outputs: [out] } }
"#;

/// A chain whose second stage works.
fn chain() -> Project {
    let project = Project::with_spec(&CHAIN.replace("[cp, in, out]", r#"[sh, -c, 'cp "$INPUT_FROM/out" out']"#));
    project.write("in.txt", "one");
    project
}

fn json(project: &Project, args: &[&str]) -> Value {
    let output = project.command(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The ids of the runs, newest last.
fn ids(project: &Project) -> Vec<String> {
    let runs = json(project, &["runs", "--json", "--all"]);
    runs.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
}

/// Runs, and compares its output with the replay.
fn check_replay(project: &Project, args: &[&str]) {
    let ran = project.run(&[&["run", "spec.yaml"], args].concat());
    let shown = project.run(&["runs", "last"]);
    // Notes of `run` about its arguments are not events.
    let is_event = |line: &&str| !line.starts_with("note: `--set` changes");
    let stderr = ran.stderr.lines().filter(is_event).collect::<Vec<_>>().join("\n");
    assert_eq!(shown, Reply { code: Some(0), stderr, ..ran });
}

#[test]
fn a_run_is_shown_again_as_it_was_printed() {
    let project = chain();
    check_replay(&project, &[]);
    check_replay(&project, &[]);
    project.write("in.txt", "two");
    check_replay(&project, &["--force", "other", "--jobs", "1"]);
    project.write("spec.yaml", CHAIN);
    check_replay(&project, &["--keep-going"]);
}

#[test]
fn a_run_of_the_notebook_is_shown_with_its_result() {
    let project = crate::notebook::notebook();
    check_replay(&project, &["--jobs", "1"]);
    check_replay(&project, &["--set", "projection.params.seed=1"]);
}

#[test]
fn recorded_events_are_those_that_were_streamed() {
    let project = chain();
    let output = project.command(&["run", "spec.yaml", "--json"]).output().unwrap();
    let streamed = String::from_utf8(output.stdout).unwrap();
    let kept: Vec<_> = streamed.lines().filter(|line| !line.contains("\"event\":\"stage-progress\"")).collect();
    let output = project.command(&["runs", "last", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), kept);
}

#[test]
fn a_run_is_named_by_its_id_or_the_beginning_of_it() {
    let project = chain();
    let none = project.run(&["runs", "last"]);
    assert_eq!(none.code, Some(2), "{none:?}");
    project.run(&["run", "spec.yaml"]);
    project.run(&["run", "spec.yaml"]);
    let ids = ids(&project);
    let first = project.run(&["runs", &ids[0]]);
    assert!(first.stderr.contains("3 stages: 3 ran"), "{first:?}");
    let common = ids[0].chars().zip(ids[1].chars()).take_while(|(a, b)| a == b).count();
    assert_eq!(project.run(&["runs", &ids[0][..=common]]), first);
    let several = project.run(&["runs", &ids[0][..common]]);
    assert_eq!(several.code, Some(2));
    assert!(several.stderr.contains("is the beginning of 2 runs\nhelp: the newest are `2`, `1`"), "{}", several.stderr);
    let unknown = project.run(&["runs", "2001"]);
    assert_eq!(
        unknown.stderr,
        "error: there is no run `2001`\nhelp: the newest are `2` (chain), `1` (chain); `pipeline runs` lists all",
        "the ids are {ids:?}"
    );
    assert_eq!(unknown.code, Some(2));
}

#[test]
fn a_run_that_was_killed_is_shown_as_far_as_it_came() {
    let project = Project::with_spec(
        "stages:\n  a: { kind: command, params: { run: [sh, -c, 'echo $$; read go < \"$SPEC_DIR/go\"'], outputs: [out] \
        } }\n",
    );
    crate::project::make_fifo(&project.path("go"));
    let mut run = project.start(&["run", "spec.yaml"]);
    let line = run.until("| ");
    let shown = project.run(&["runs", "last"]);
    assert!(shown.stderr.ends_with("run [RUN] goes on"), "{shown:?}");
    run.kill();
    crate::project::wait_for_end(line.split_whitespace().last().unwrap().parse().unwrap());
    let shown = project.run(&["runs", "last"]);
    assert!(shown.stderr.contains("runs a new\n| a "), "{shown:?}");
    assert!(shown.stderr.ends_with("run [RUN] ended here without a word"), "{shown:?}");
}

#[test]
fn a_collection_spares_pinned_runs_and_does_what_its_dry_run_says() {
    let project = chain();
    for text in ["one", "two two", "three three"] {
        project.write("in.txt", text);
        assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    }
    let ids = ids(&project);
    let pinned = project.run(&["runs", &ids[0], "--pin"]);
    assert_eq!((pinned.code, pinned.stderr.as_str()), (Some(0), "run [RUN] is pinned"));
    assert_eq!(json(&project, &["runs", "--json"])[0]["pinned"], true);
    let listed = project.run(&["runs"]);
    assert_eq!(listed.stdout.matches(" yes").count(), 1, "{listed:?}");

    let announced = json(&project, &["cache", "gc", "--dry-run", "--json"]);
    assert_eq!(announced["freed_bytes"], "two two".len());
    // Both stages made the same file, which is stored once.
    assert_eq!(announced["stages"], serde_json::json!({ "tail": { "n_files": 1, "bytes": 7 } }));
    let table = project.run(&["cache", "gc", "--dry-run"]);
    let expect = "stage files size\ntail 1 7 B\nwould free 7 B, 14 B stay\n11 B for the last run of `[FOLDER]/spec.yaml`\n\
                  3 B for the pinned run [RUN] (`pipeline runs [RUN] --unpin`)";
    assert_eq!(table.stdout, expect);
    let mut freed = json(&project, &["cache", "gc", "--json"]);
    assert_eq!(freed["dry_run"].take(), false);
    let mut announced = announced;
    assert_eq!(announced["dry_run"].take(), true);
    assert_eq!(freed, announced);

    // The pinned run's results are there: nothing is computed, and the bytes can be read.
    project.write("in.txt", "one");
    assert!(project.run(&["run", "spec.yaml"]).stderr.contains("nothing ran"));
    assert_eq!(project.run(&["path", "spec.yaml", "tail"]).code, Some(0));
    assert_eq!(project.run(&["runs", &ids[0], "--unpin"]).stderr, "run [RUN] is not pinned");
    project.write("in.txt", "two two");
    let reply = project.run(&["run", "spec.yaml", "--force", "other"]);
    assert!(reply.stderr.contains("3 stages: 1 ran, 2 reused"), "the keys are still known: {reply:?}");
    assert_eq!(project.run(&["path", "spec.yaml", "tail"]).code, Some(1), "the bytes are not");
}
