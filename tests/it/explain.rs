//! `status`, `why`, `graph`, `path` and the dry run.

use std::process::Command;

use crate::project::Project;

const CHAIN: &str = r#"name: chain
vars: { letters: "5" }
stages:
  head: { kind: command, params: { run: [sh, -c, 'head -c ${letters} "$SPEC_DIR/in.txt" > out'], outputs: [out], sources: [in.txt] } }
  middle: { kind: command, inputs: { from: head }, params: { run: [sh, -c, 'cp "$INPUT_FROM/out" out'], outputs: [out] } }
  tail: { kind: command, inputs: { from: middle }, params: { run: [sh, -c, 'cp "$INPUT_FROM/out" out'], outputs: [out] } }
  other: { kind: command, params: { run: [touch, out], outputs: [out] } }
"#;

fn settled() -> Project {
    let project = Project::with_spec(CHAIN);
    project.write("in.txt", "AAAAABBBBB");
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    project
}

#[test]
fn status_shows_a_decision_and_a_reason_for_each_stage() {
    let project = settled();
    let reply = project.run(&["status", "spec.yaml", "--check"]);
    assert_eq!((reply.code, reply.stderr.as_str()), (Some(0), "4 stages: all up to date"));
    project.write("in.txt", "CCCCC");
    let reply = project.run(&["status", "spec.yaml", "--check"]);
    assert_eq!(reply.code, Some(1));
    let expect = "\
stage decision last reason
head run [TIME] source.in.txt changed
other reuse [TIME] up to date
middle depends [TIME] on what `head` gives
tail depends [TIME] on what `middle` gives";
    let mut lines: Vec<_> = reply.stdout.lines().collect();
    let mut expect: Vec<_> = expect.lines().collect();
    lines.sort_unstable();
    expect.sort_unstable();
    assert_eq!(lines, expect);
    let expect =
        "4 stages: 1 to run, 2 depend on these, 1 up to date, about [TIME] by last time\ncompared with run [RUN]";
    assert_eq!(reply.stderr, expect);
    assert_eq!(project.run(&["status", "spec.yaml"]).code, Some(0), "without --check stale is no failure");
}

#[test]
fn status_counts_published_files_that_are_to_be_written_again() {
    let project = Project::with_spec(
        "stages:\n  a:\n    kind: command\n    params: { run: [touch, out], outputs: [out] }\n    publish: { out: \
        there.txt }\n",
    );
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    project.write("there.txt", "altered");
    let reply = project.run(&["status", "spec.yaml", "--check"]);
    let expect = "1 stage: none to run, 1 published file to write again";
    assert_eq!((reply.code, reply.stderr.as_str()), (Some(1), expect));
    assert!(reply.stdout.ends_with("`[FOLDER]/there.txt` is to be written again"), "{}", reply.stdout);
}

#[test]
fn why_names_the_root_cause_with_old_and_new_value() {
    let project = settled();
    let reply = project.run(&["why", "spec.yaml", "tail", "--set", "vars.letters='3'"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let expect = r#"`tail` runs if its inputs change; root cause: `head`: param.run …c","head -c 5 \"$SPEC_DIR/in.txt\" > ou… -> …c","head -c 3 \"$SPEC_DIR/in.txt\" > ou…
`tail` depends on what `middle` gives
`middle` depends on what `head` gives
param.run: ["sh","-c","head -c 5 \"$SPEC_DIR/in.txt\" > out"] -> ["sh","-c","head -c 3 \"$SPEC_DIR/in.txt\" > out"]
compared with run [RUN]
blast radius: 3 stages, about [TIME] by last time
`head`, `middle`, `tail`"#;
    assert_eq!(reply.stdout, expect);
}

/// Explains a stage of a settled chain after a change.
fn check_why(stage: &str, script: &str, expect: &str) {
    let project = settled();
    assert!(Command::new("sh").args(["-ec", script]).current_dir(project.path("")).status().unwrap().success());
    let reply = project.run(&["why", "spec.yaml", stage]);
    assert_eq!((reply.code, reply.stdout.as_str(), reply.stderr.as_str()), (Some(0), expect, ""));
}

#[test]
fn why_explains_lost_sources_bytes_and_published_files() {
    check_why("tail", "", "`tail` does not run: its result is remembered under [SHORT]");
    check_why("other", "echo more >> in.txt", "`other` does not run: its result is remembered under [SHORT]");
    check_why(
        "middle",
        "echo more >> in.txt",
        "`middle` runs if its inputs change; root cause: `head`: source.in.txt changed
`middle` depends on what `head` gives
source.in.txt: [SHORT] -> [SHORT]
compared with run [RUN]
blast radius: 3 stages, about [TIME] by last time
`head`, `middle`, `tail`",
    );
    check_why(
        "head",
        "rm -r artifacts/store-v1/objects artifacts/store-v1/trees; sed -i '/middle:/s/cp/cp -p/' spec.yaml",
        r#"`head` runs; root cause: `middle`: param.run …h","-c","cp \"$INPUT_FROM/out\" out"] -> …h","-c","cp -p \"$INPUT_FROM/out\" out"]
`head`: its files are gone and `middle` needs them
param.run: ["sh","-c","cp \"$INPUT_FROM/out\" out"] -> ["sh","-c","cp -p \"$INPUT_FROM/out\" out"]
compared with run [RUN]
blast radius: 3 stages, about [TIME] by last time
`head`, `middle`, `tail`"#,
    );
    check_why(
        "tail",
        "sed -i '/tail:/s/} }$/}, publish: { out: there.txt } }/' spec.yaml",
        "`tail` does not run: its result is remembered under [SHORT]
`[FOLDER]/there.txt` is missing or altered and is written again",
    );
}

#[test]
fn a_dry_run_shows_the_plan_and_runs_nothing() {
    let project = settled();
    project.write("in.txt", "CCCCC");
    let reply = project.run(&["run", "spec.yaml", "--dry-run"]);
    assert_eq!((reply.code, &reply.stdout), (Some(0), &project.run(&["status", "spec.yaml"]).stdout));
    let forced = project.run(&["run", "spec.yaml", "--dry-run", "--force", "other"]);
    assert!(forced.stdout.contains("other run [TIME] forced"), "{}", forced.stdout);
    assert_eq!(project.run(&["runs", "--json", "--all"]).stdout.matches("\"id\"").count(), 1, "a dry run is no run");
    let untouched = Project::with_spec(CHAIN);
    untouched.write("in.txt", "AAAAABBBBB");
    assert_eq!(untouched.run(&["run", "spec.yaml", "--dry-run"]).code, Some(0));
    assert!(!untouched.path("artifacts").exists(), "a dry run writes nothing");
}

#[test]
fn plans_are_one_json_object() {
    let project = settled();
    project.write("in.txt", "CCCCC");
    let output = project.command(&["status", "spec.yaml", "--json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&plan["n_run"], &plan["n_depends"], &plan["n_reuse"]), (&1.into(), &2.into(), &1.into()));
    let head = plan["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "head").unwrap();
    assert_eq!(head["decision"], "run");
    assert_eq!(head["why"]["changes"][0]["name"], "source.in.txt");
}

#[test]
fn path_leads_to_the_files_of_an_artifact() {
    let project = settled();
    let output = project.command(&["path", "spec.yaml", "tail"]).output().unwrap();
    let folder = String::from_utf8(output.stdout).unwrap();
    assert_eq!(std::fs::read_to_string(format!("{}/out", folder.trim_end())).unwrap(), "AAAAA");
    project.write("in.txt", "CCCCC");
    let reply = project.run(&["path", "spec.yaml", "tail"]);
    assert_eq!((reply.code, reply.stdout.as_str()), (Some(1), ""));
    assert!(reply.stderr.contains("help: `pipeline run"), "{}", reply.stderr);
}

#[test]
fn a_graph_has_four_languages() {
    let project = Project::with_spec(CHAIN);
    project.write("in.txt", "");
    for (format, expect) in [
        ("ascii", "| middle"),
        ("mermaid", "-- from -->"),
        ("dot", "\"head\" -> \"middle\" [label=\"from\"];"),
        ("json", "\"from\": \"middle\""),
    ] {
        let reply = project.run(&["graph", "spec.yaml", "--format", format]);
        assert_eq!(reply.code, Some(0));
        assert!(reply.stdout.contains(expect), "{format}: {}", reply.stdout);
    }
    let as_format = project.run(&["graph", "spec.yaml", "--format", "json"]);
    assert_eq!(project.run(&["graph", "spec.yaml", "--json"]), as_format);
}

#[test]
fn a_graph_shows_what_a_run_would_do_on_request() {
    let project = settled();
    project.write("in.txt", "CCCCC");
    for (format, expect) in [
        ("text", &["run", "depends", "up to date"][..]),
        ("mermaid", &["<br/>run: source.", ":::run", ":::depends", "<br/>up to date"]),
        ("dot", &["\\nrun: source.", "style=bold", "style=dashed", "\\nup to date"]),
        ("json", &["\"decision\": \"run\"", "\"reason\": \"up to date\""]),
    ] {
        let reply = project.run(&["graph", "spec.yaml", "--status", "--format", format]);
        assert_eq!(reply.code, Some(0));
        expect.iter().for_each(|expect| assert!(reply.stdout.contains(expect), "{format}: {}", reply.stdout));
    }
}

#[test]
fn comments_and_the_order_of_keys_change_nothing() {
    let project = settled();
    let mut lines: Vec<_> = CHAIN.lines().collect();
    let last = lines.pop().unwrap();
    lines.insert(3, last);
    project.write("spec.yaml", &format!("# a comment\n{}\n", lines.join("\n")));
    let reply = project.run(&["status", "spec.yaml", "--check"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
}

#[test]
fn two_specs_share_what_they_share() {
    let project = settled();
    project.write("second.yaml", "extends: spec.yaml\nstages: { other: { params: { run: [touch, out, more] } } }\n");
    let reply = project.run(&["run", "second.yaml"]);
    assert!(reply.stderr.contains("4 stages: 1 ran, 3 reused"), "{}", reply.stderr);
}

#[test]
fn why_names_the_arithmetic_of_a_result_on_request() {
    let project = settled();
    let why = project.run(&["why", "spec.yaml", "tail", "-v"]);
    assert!(why.stdout.contains("arithmetic fma") || why.stdout.contains("arithmetic plain"), "{why:?}");
    for (value, code) in [("same", 0), ("any", 0), ("", 0), ("fma", 2)] {
        let output = project.command(&["status", "spec.yaml"]).env("PIPELINE_NUMERICS", value).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{value}: {output:?}");
    }
    let run = project.command(&["run", "spec.yaml", "--json"]).env("PIPELINE_NUMERICS", "same").output().unwrap();
    assert!(!String::from_utf8(run.stdout).unwrap().contains("stage-started"), "results of its own class count");
}
