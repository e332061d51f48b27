//! `runs` as a table of experiments: labels, columns, filters, orders, origins, pruning; and runs of some stages only.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::notebook::notebook_with_features;
use crate::project::Project;

const STEPS: &str = r#"name: steps
stages:
  first: { kind: command, params: { run: [sh, -c, 'echo "$N" > out'], outputs: [out], env: { N: "1" } } }
  second: { kind: command, inputs: { from: first }, params: { run: [sh, -c, 'cat "$INPUT_FROM/out" > out'], outputs: [out] } }
  other: { kind: command, params: { run: [touch, out], outputs: [out] } }
"#;

fn steps() -> Project {
    Project::with_spec(STEPS)
}

fn ok(project: &Project, args: &[&str]) -> crate::project::Reply {
    let reply = project.run(args);
    assert_eq!(reply.code, Some(0), "{args:?}: {reply:?}");
    reply
}

fn json(project: &Project, args: &[&str]) -> Value {
    let output = project.command(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn set_n(value: u32) -> String {
    format!("first.params.env={{N: \"{value}\"}}")
}

#[test]
fn runs_stand_side_by_side_with_what_differs() {
    let project = notebook_with_features();
    for (epochs, name) in [("1", "short"), ("2", "longer")] {
        let set = format!("projection.params.epochs={epochs}");
        ok(&project, &["run", "spec.yaml", "--set", &set, "--name", name, "--tag", "epochs"]);
    }
    ok(&project, &["run", "spec.yaml", "--set", "projection.params.epochs=2"]);
    let listed = ok(&project, &["runs"]);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert!(lines[0].starts_with("run name when (UTC) spec result took epochs mean_recall recall_at_1"), "{listed:?}");
    assert_eq!(lines.len(), 3, "the run in which nothing ran is hidden: {listed:?}");
    assert!(lines[1].starts_with("1 short ") && lines[1].contains(" ok "), "{listed:?}");
    assert_eq!(listed.stderr, "1 run in which nothing ran is hidden; `--all` lists them");
    assert!(ok(&project, &["runs", "--all"]).stdout.contains(" no-op "));

    let runs = json(&project, &["runs", "--json"]);
    assert_eq!(runs[1]["params"]["projection.params.epochs"], 2);
    let recalls = [0, 1].map(|idx| runs[idx]["metrics"]["evaluate"]["mean_recall"].as_f64().unwrap());
    let threshold = format!("mean_recall>={}", recalls[0].max(recalls[1]));
    let best = if recalls[0] > recalls[1] { "short" } else { "longer" };
    let names = |args: &[&str]| -> Vec<String> {
        let runs = json(&project, &[&["runs", "--json"], args].concat());
        runs.as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap_or("-").to_owned()).collect()
    };
    assert_eq!(names(&["--filter", &threshold]), [best]);
    assert_eq!(names(&["--sort", "-mean_recall", "--limit", "1"]), [best]);
    assert_eq!(names(&["--sort", "mean_recall"])[1], best);
    assert_eq!(names(&["--filter", "projection.params.epochs<2"]), ["short"]);
    assert_eq!(names(&["--filter", "name=lo*", "--filter", "tag=epochs"]), ["longer"]);
    assert_eq!(names(&["--filter", "tag!=epochs", "--all"]), ["-"]);
    assert_eq!(names(&["--limit", "1"]), ["longer"]);

    let csv = ok(&project, &["runs", "--csv"]).stdout;
    let head = "id,number,name,started,spec,result,seconds,projection.params.epochs,mean_recall,recall_at_1";
    assert!(csv.starts_with(head), "{csv}");
    assert_eq!(csv.lines().count(), 3);
    let unknown = project.run(&["runs", "--sort", "mean_recal"]);
    assert_eq!((unknown.code, unknown.stderr.lines().nth(1)), (Some(2), Some("help: did you mean `mean_recall`?")));
}

#[test]
fn a_name_stands_for_a_run_wherever_one_is_named() {
    let project = steps();
    ok(&project, &["run", "spec.yaml", "--name", "base"]);
    ok(&project, &["run", "spec.yaml", "--set", &set_n(2)]);
    for args in [&["diff", "base", "last"][..], &["diff", "1", "2"], &["runs", "base"], &["report", "base"]] {
        ok(&project, args);
    }
    let relabelled = ok(&project, &["runs", "last", "--name", "base", "--note", "doubles N", "--tag", "good"]);
    assert_eq!(relabelled.stderr, "run [RUN] has name `base`, tag `good`, note `doubles N`");
    let several = project.run(&["diff", "base", "last"]);
    assert_eq!(several.code, Some(2));
    assert!(several.stderr.starts_with("error: 2 runs have the name `base`\nhelp: the newest are `"), "{several:?}");
    ok(&project, &["runs", "last", "--name", "", "--untag", "good"]);
    ok(&project, &["diff", "base", "last"]);
    let runs = json(&project, &["runs", "--json"]);
    assert_eq!((&runs[1]["name"], &runs[1]["note"]), (&Value::Null, &"doubles N".into()));
    assert_eq!(runs[1]["tags"], serde_json::json!([]));
    assert_eq!(project.run(&["runs", "last", "--untag", "good"]).code, Some(2));
    for name in ["last", "12", "a b", "a:1", "-x"] {
        assert_eq!(project.run(&["runs", "last", &format!("--name={name}")]).code, Some(2), "{name}");
    }
    let spec = project.run(&["runs", "last", "--name", "spec.yaml"]);
    assert_eq!(spec.code, Some(0));
    let both = project.run(&["report", "spec.yaml"]);
    assert!(both.stderr.starts_with("error: `spec.yaml` is a spec and the name of run [RUN]"), "{both:?}");
}

#[test]
fn damaged_labels_are_lost_alone_and_the_run_is_believed() {
    let project = steps();
    ok(&project, &["run", "spec.yaml", "--name", "base"]);
    let id = json(&project, &["runs", "--json"])[0]["id"].as_str().unwrap().to_owned();
    project.write(&format!("artifacts/runs/{id}/labels.json"), "{}");
    let listed = ok(&project, &["runs"]);
    assert!(
        listed.stderr.contains("name, note and tags of run [RUN] are lost: `labels.json` is damaged"),
        "{listed:?}"
    );
    assert!(listed.stdout.contains(" ok "));
    let named = ok(&project, &["runs", "last", "--name", "again"]);
    assert!(named.stderr.contains("name, note and tags of run [RUN] are lost"), "{named:?}");
    assert_eq!(json(&project, &["runs", "--json"])[0]["name"], "again");
}

/// Runs git in the project, without the configuration of this machine.
fn git(project: &Project, args: &[&str]) {
    let mut command = Command::new("git");
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
    command.args(identity).args(args).current_dir(project.path("."));
    command.env("HOME", project.path(".")).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_run_records_where_it_comes_from_and_executes_nothing_of_the_repository() {
    let project = steps();
    ok(&project, &["run", "spec.yaml"]);
    let first = &json(&project, &["runs", "--json"])[0];
    assert_eq!(first["commit"], Value::Null, "there is no repository");
    assert_eq!(first["command"], serde_json::json!(["pipeline", "run", "spec.yaml"]));
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert!(!first["host"].as_str().unwrap().is_empty());

    project.write(".gitignore", "artifacts\n");
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "first"]);
    let trap = format!("touch '{}'", project.path("trapped").display());
    git(&project, &["config", "core.fsmonitor", &trap]);
    for hook in ["post-index-change", "post-checkout", "pre-commit"] {
        project.write(&format!(".git/hooks/{hook}"), &format!("#!/bin/sh\n{trap}\n"));
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(project.path(&format!(".git/hooks/{hook}")), permissions).unwrap();
    }
    let commit_after = |n: u32| {
        ok(&project, &["run", "spec.yaml", "--set", &set_n(n)]);
        json(&project, &["runs", "--json"]).as_array().unwrap().last().unwrap()["commit"].clone()
    };
    let head = project.read(".git/refs/heads/main");
    assert_eq!(commit_after(2), serde_json::json!({ "id": head.trim(), "dirty": false }));
    project.write("untracked", "1");
    assert_eq!(commit_after(3)["dirty"], false, "untracked files do not count");
    project.write(".gitignore", "artifacts\nuntracked\n");
    assert_eq!(commit_after(4)["dirty"], true);
    let page = ok(&project, &["report", "last", "-o", "-"]).stdout;
    assert!(page.contains(&head[..12]) && page.contains(" with uncommitted changes"));
    assert!(page.contains("pipeline run spec.yaml --set "));

    git(&project, &["config", "filter.trap.clean", &trap]);
    project.write(".gitattributes", "* filter=trap\n");
    assert_eq!(commit_after(5), serde_json::json!({ "id": head.trim(), "dirty": null }));
    assert!(!project.path("trapped").exists(), "a program of the repository was executed");
}

#[test]
fn pruning_says_what_it_removes_and_spares_what_is_needed() {
    let project = steps();
    for n in 1..=6 {
        ok(&project, &["run", "spec.yaml", "--set", &set_n(n)]);
    }
    ok(&project, &["run", "spec.yaml", "--set", &set_n(6)]);
    ok(&project, &["runs", "1", "--pin"]);
    ok(&project, &["runs", "2", "--note", "to be kept"]);
    assert_eq!(project.run(&["runs", "--prune"]).code, Some(2), "which runs is not said");
    let announced = ok(&project, &["runs", "--prune", "--keep", "2"]);
    let said = "would remove 3 runs\nspares 1 run: pinned\nspares 1 run: with a name, a note or a tag";
    assert!(announced.stdout.ends_with(said), "{announced:?}");
    assert_eq!(json(&project, &["runs", "--json", "--all"]).as_array().unwrap().len(), 7, "nothing was removed");
    let last = ok(&project, &["runs", "--prune", "--keep", "0"]).stdout;
    assert!(last.contains("spares 1 run: the last of a spec or of its sweeps"), "{last}");
    assert!(ok(&project, &["runs", "--prune", "--older-than", "1h"]).stdout.contains("would remove 0 runs"));
    let removed = json(&project, &["runs", "--prune", "--keep", "2", "--yes", "--json"]);
    assert_eq!((removed["removed"].as_array().unwrap().len(), &removed["dry_run"]), (3, &false.into()));
    let runs = json(&project, &["runs", "--json", "--all"]);
    let numbers: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 5, 6]);
    // The results of removed runs are cached, and numbers do not return.
    assert!(ok(&project, &["run", "spec.yaml", "--set", &set_n(3)]).stderr.contains("nothing ran"));
    assert_eq!(json(&project, &["runs", "--json", "--all"])[4]["number"], 8);
}

#[test]
fn named_stages_run_with_those_that_they_need_and_others_keep_their_results() {
    let project = steps();
    let reply = ok(&project, &["run", "spec.yaml", "second"]);
    assert!(reply.stderr.contains("2 stages: 2 ran"), "{reply:?}");
    let whole = ok(&project, &["run", "spec.yaml"]);
    assert!(whole.stderr.contains("3 stages: 1 ran, 2 reused"), "{whole:?}");
    ok(&project, &["run", "spec.yaml", "first"]);
    assert!(ok(&project, &["status", "spec.yaml", "--check"]).stdout.contains("other reuse"));
    ok(&project, &["cache", "gc"]);
    assert_eq!(project.run(&["path", "spec.yaml", "other"]).code, Some(0), "its result is still the last one");
    assert!(ok(&project, &["run", "spec.yaml"]).stderr.contains("nothing ran"));

    let all = ok(&project, &["run", "spec.yaml", "--force"]);
    assert!(all.stderr.contains("3 stages: 3 ran"), "{all:?}");
    let some = ok(&project, &["run", "spec.yaml", "second", "--force"]);
    assert!(some.stderr.contains("2 stages: 2 ran"), "{some:?}");
    let unknown = project.run(&["run", "spec.yaml", "secnd"]);
    assert_eq!((unknown.code, unknown.stderr.contains("did you mean `second`?")), (Some(2), true), "{unknown:?}");
    let outside = project.run(&["run", "spec.yaml", "second", "--force", "other"]);
    assert!(outside.stderr.contains("`other` is forced, and no stage that is to run needs it"), "{outside:?}");
    assert_eq!(outside.code, Some(2));
}
