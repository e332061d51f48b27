//! `sweep`: common stages are computed once, and the table shows the results of the points.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::notebook::{notebook, notebook_with_features, run};
use crate::project::Project;
use crate::recorded::{self, Recorded, all_runs};

/// Stages that none of the axes below changes.
const SHARED: [&str; 8] = [
    "train-queries",
    "valid-queries",
    "train-images",
    "valid-images",
    "train-text",
    "valid-text",
    "train-features",
    "valid-features",
];

/// The notebook with a grid of temperature × epochs.
pub fn swept_notebook() -> Project {
    swept(notebook_with_features())
}

fn swept(project: Project) -> Project {
    let axes = "sweep: { projection.params.temperature: [0.05, 0.07], projection.params.epochs: [1, 2] }\n";
    project.write("spec.yaml", &(project.read("spec.yaml") + axes));
    project
}

/// Sweeps, expects this exit code, and returns the JSON.
fn sweep(project: &Project, more: &[&str], code: i32) -> Value {
    let output = project.command(&[&["sweep", "spec.yaml", "--json"], more].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The recorded events of a sweep, given its JSON.
fn events_of(project: &Project, report: &Value) -> Recorded {
    Recorded::from_lines(&project.read(&format!("artifacts/runs/{}/events.jsonl", report["run"].as_str().unwrap())))
}

/// A program for each value of `x`; it fails for 2.
pub fn programs() -> Project {
    let project = Project::with_spec(
        r#"vars: { x: 1 }
stages:
  first: { kind: command, params: { run: [sh, -c, 'echo first > first.txt'], outputs: [first.txt] }, retain: false }
  middle:
    kind: command
    inputs: { first: first }
    params: { run: [sh, -c, 'test ${x} != 2 && cat "$INPUT_FIRST/first.txt" > middle.txt && echo ${x} >> middle.txt'], outputs: [middle.txt] }
    publish: { middle.txt: middle.txt }
  last:
    kind: command
    inputs: { middle: middle }
    params: { run: [sh, -c, 'cp "$INPUT_MIDDLE/middle.txt" last.txt'], outputs: [last.txt] }
sweep: { vars.x: [1, 2, 3] }
"#,
    );
    project.write("middle.txt", "from before\n");
    project
}

#[test]
fn what_points_share_is_computed_once_and_every_head_once() {
    let project = notebook();
    let axes = [
        "--axis=projection.params.temperature=[0.03, 0.05, 0.07, 0.1]",
        "--axis=projection.params.normalize=[true, false]",
        "--axis=projection.params.weight_decay=[0, 1e-4, 1e-3]",
    ];
    let report = sweep(&project, &axes, 0);
    assert_eq!(report["points"].as_array().unwrap().len(), 24);
    let [sweep_run] = all_runs(&project).try_into().unwrap();
    let started: Vec<&str> = sweep_run
        .events
        .iter()
        .filter(|event| event["event"] == "stage-started")
        .map(|event| event["stage"].as_str().unwrap())
        .collect();
    for stage in SHARED {
        assert_eq!(started.iter().filter(|name| **name == stage).count(), 1, "{stage} in {started:?}");
    }
    assert_eq!(started.len(), SHARED.len() + 2 * 24);
    assert_eq!(started.iter().collect::<BTreeSet<_>>().len(), started.len());
    assert!(started.contains(&"evaluate.temperature-0.03.normalize-false.weight_decay-0.001"), "{started:?}");
}

#[test]
fn a_second_sweep_and_a_run_of_any_point_compute_nothing() {
    let project = swept_notebook();
    let first = sweep(&project, &[], 0);
    let again = sweep(&project, &[], 0);
    assert_eq!(first["points"], again["points"]);
    for point in first["points"].as_array().unwrap() {
        let overrides = point["overrides"].as_object().unwrap();
        let settings: Vec<String> = overrides.iter().map(|(key, value)| format!("--set={key}={value}")).collect();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let ran = recorded::run(&project, &settings);
        assert_eq!(ran.started(), BTreeSet::new(), "{point}");
        let finished = ran.events.last().unwrap();
        assert_eq!(finished["metrics"]["evaluate"], point["metrics"]["evaluate"]);
    }
    let n_started: u64 = all_runs(&project).iter().map(Recorded::n_started).sum();
    assert_eq!(n_started, 8, "what the first sweep started: the features were there");
    let added = sweep(&project, &["--axis=projection.params.epochs=[1, 2, 3]"], 0);
    assert_eq!(
        (added["points"].as_array().unwrap().len(), events_of(&project, &added).n_started()),
        (6, 4),
        "two heads and their evaluations"
    );
}

#[test]
fn a_killed_sweep_is_finished_by_the_next_one() {
    let project = swept(notebook());
    let mut started = project.start(&["sweep", "spec.yaml", "--jobs", "1"]);
    started.until("average loss");
    started.kill();
    let interrupted = all_runs(&project).pop().unwrap();
    assert!(!interrupted.finished().is_empty() && interrupted.finished().len() < 16, "{:?}", interrupted.finished());
    let report = sweep(&project, &[], 0);
    assert!(report["points"].as_array().unwrap().iter().all(|point| point["state"] == "done"), "{report}");
    let again = events_of(&project, &report);
    let twice: Vec<_> = interrupted.finished().intersection(&again.started()).cloned().collect();
    assert!(twice.is_empty(), "{twice:?} ran twice");
    assert!(again.n_started() as usize <= 16 - interrupted.finished().len(), "{:?}", again.started());
    let runs = project.run(&["runs", "--artifacts", "artifacts"]);
    assert!(runs.stdout.contains("died") && runs.stdout.contains(" ok, 4 points"), "{}", runs.stdout);
}

#[test]
fn points_beside_a_failed_one_finish_and_the_table_says_which_failed() {
    let project = programs();
    let reply = project.run(&["sweep", "spec.yaml", "--keep-going"]);
    assert_eq!(reply.code, Some(3), "{reply:?}");
    assert_eq!(reply.stdout, "point x\n1 1\n2 2 `middle` failed\n3 3", "{reply:?}");
    assert!(reply.stderr.contains("error: stage `middle.x-2` failed"), "{}", reply.stderr);
    assert!(
        reply.stderr.contains("3 points: 2 done, 1 failed; 7 stages: 5 ran, 1 failed, 1 skipped"),
        "{}",
        reply.stderr
    );
    let report = sweep(&project, &["--keep-going"], 3);
    let states: Vec<_> = report["points"].as_array().unwrap().iter().map(|point| point["state"].clone()).collect();
    assert_eq!(states, ["done", "failed", "done"]);
    assert_eq!(report["points"][1]["failed"], serde_json::json!(["middle"]));
}

#[test]
fn a_sweep_publishes_nothing_of_its_points_and_says_so_once() {
    let project = programs();
    let reply = project.run(&["sweep", "spec.yaml", "--axis", "vars.x=[1, 3]"]);
    assert_eq!((reply.code, reply.stderr.matches("note:").count()), (Some(0), 1), "{reply:?}");
    assert!(reply.stderr.contains("does not publish the files of `middle`"), "{}", reply.stderr);
    assert_eq!(project.read("middle.txt"), "from before\n");
    // A run of that point publishes where a person asks for it.
    let ran = recorded::run(&project, &["--set", "vars.x=3", "--publish", "--overwrite"]);
    assert_eq!((ran.n_started(), project.read("middle.txt").as_str()), (0, "first\n3\n"));
}

#[test]
fn without_the_command_sweep_a_spec_is_as_it_stands() {
    let project = programs();
    let ran = recorded::run(&project, &["--overwrite"]);
    assert_eq!(ran.started(), ["first", "last", "middle"].map(str::to_owned).into());
    let status = recorded::json(&project, &["status", "spec.yaml", "--json"]);
    assert_eq!(status["stages"].as_array().unwrap().len(), 3);
    let reply = project.run(&["validate", "spec.yaml"]);
    assert_eq!(reply.stderr, "spec.yaml: 3 stages, 3 points, no mistakes");
    let dry = project.run(&["sweep", "spec.yaml", "--dry-run"]);
    let decisions: Vec<_> =
        dry.stdout.lines().skip(1).map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let expect = [
        "first depends",
        "middle.x-1 reuse",
        "middle.x-2 run",
        "middle.x-3 run",
        "last.x-1 reuse",
        "last.x-2 depends",
        "last.x-3 depends",
    ];
    let expect = expect.map(|line| line.replace("first depends", "first run"));
    assert_eq!(decisions, expect, "{dry:?}");
}

#[test]
fn points_that_differ_in_the_seed_only_are_one_row_with_mean_and_deviation() {
    let project = notebook_with_features();
    let spec = project.read("spec.yaml").replace(", init_from: \"${start}\"", "");
    project.write("spec.yaml", &spec);
    let axes = ["--axis", "projection.params.epochs=[1, 2]", "--axis", "projection.params.seed=[0, 1, 2]"];
    let report = sweep(&project, &axes, 0);
    let groups = report["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    let values: Vec<f64> =
        (0..3).map(|idx| report["points"][idx]["metrics"]["evaluate"]["mean_recall"].as_f64().unwrap()).collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    let sd = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    let spread = &groups[0]["metrics"]["evaluate"]["mean_recall"];
    // Sums in another order differ in the last bits.
    assert!(
        (spread["mean"].as_f64().unwrap() - mean).abs() < 1e-12 && (spread["sd"].as_f64().unwrap() - sd).abs() < 1e-12
    );
    assert_eq!((&spread["n"], &groups[1]["points"]), (&3.into(), &serde_json::json!([4, 5, 6])));

    let table = project.run(&[&["sweep", "spec.yaml"], &axes[..]].concat()).stdout;
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("epochs n mean_recall recall_at_1 recall_at_5 recall_at_10\n1 3 "), "{table}");
    assert!(table.contains(&format!(" {mean:.4} ± {sd:.4} ")) && table.matches("best").count() == 1, "{table}");
    let all = project.run(&[&["sweep", "spec.yaml", "--all"], &axes[..]].concat()).stdout;
    assert_eq!(all.lines().count(), 7 + 1 + 3, "{all}");
    assert!(all.starts_with("point epochs seed mean_recall "), "{all}");
}

#[test]
fn a_point_on_another_pool_is_marked_and_never_the_best() {
    let project = notebook_with_features();
    let axis = ["--axis", "valid-images.params.max_samples=[100, 500]"];
    let table = project.run(&[&["sweep", "spec.yaml"], &axis[..]].concat()).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with("1 100 ") && lines[1].ends_with(" best"), "{table}");
    assert!(lines[2].starts_with("2 500 ") && lines[2].ends_with(" another pool"), "{table}");
    let recall = |line: &str| line.split(' ').nth(2).unwrap().parse::<f64>().unwrap();
    assert!(recall(lines[2]) > recall(lines[1]), "a higher recall, which is no better: {table}");
    let report = sweep(&project, &axis, 0);
    assert_eq!((&report["best"], &report["points"][1]["measured_on"]), (&1.into(), &"another pool".into()));
    let report = sweep(&project, &["--axis", "evaluate.params.k=[[1, 5, 10], [5, 10]]"], 0);
    assert_eq!((&report["best"], &report["points"][1]["measured_on"]), (&1.into(), &"other k".into()));
}

#[test]
fn texts_found_for_images_stand_beside_images_found_for_texts() {
    let project = notebook_with_features();
    let table = project.run(&["sweep", "spec.yaml", "--axis", "evaluate.params.image_to_text=[false, true]"]).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].ends_with(" recall_at_10 i2t_mean_recall"), "{table}");
    assert!(lines[1].starts_with("1 false ") && lines[1].contains(" –"), "{table}");
    assert!(lines[2].starts_with("2 true ") && !lines[2].contains(" –"), "{table}");
}

#[test]
fn a_point_of_a_recorded_sweep_is_named_by_its_number() {
    let project = swept_notebook();
    let report = sweep(&project, &[], 0);
    run(&project, &[]);
    let run_id = report["run"].as_str().unwrap();
    let shown = recorded::json(&project, &["runs", &format!("{run_id}:2"), "--json", "--artifacts", "artifacts"]);
    assert_eq!(shown["overrides"], report["points"][1]["overrides"]);
    assert_eq!(shown["stages"]["evaluate"]["metrics"], report["points"][1]["metrics"]["evaluate"]);
    assert_eq!(shown["stages"]["projection"]["params"]["temperature"], 0.05);
    assert_eq!(shown["stages"]["projection"]["params"]["epochs"], 2);
    assert_eq!(shown["stages"].as_object().unwrap().len(), 10);
    let again = project.run(&["runs", run_id, "--artifacts", "artifacts"]);
    assert!(again.stdout.starts_with("point temperature epochs mean_recall "), "{}", again.stdout);
    for (name, expect) in [
        (format!("{run_id}:5"), "has no point `5`"),
        ("last:1".to_owned(), "is not a sweep"),
        ("nothing:1".to_owned(), "there is no run `nothing`"),
    ] {
        let reply = project.run(&["runs", &name, "--artifacts", "artifacts"]);
        assert_eq!(reply.code, Some(2), "{reply:?}");
        assert!(reply.stderr.contains(expect), "{}", reply.stderr);
    }
}

#[test]
fn points_of_a_sweep_are_compared_query_by_query() {
    let project = swept_notebook();
    let run_id = sweep(&project, &[], 0)["run"].as_str().unwrap().to_owned();
    let compared = recorded::json(&project, &["diff", "last:1", "last:3", "--json", "--artifacts", "artifacts"]);
    assert_eq!(compared["earlier"], format!("{run_id}:1"));
    let measured = compared["measured"].as_array().unwrap();
    let evaluation = measured.iter().find(|compared| compared["later"] == "evaluate").unwrap();
    assert_eq!((&evaluation["incomparable"], &evaluation["untested"]), (&Value::Null, &Value::Null));
    assert_eq!(evaluation["metrics"][0]["metric"], "mean_recall");
    assert!(evaluation["metrics"][0]["verdict"].is_string(), "{evaluation}");
    let changed: Vec<_> =
        compared["stages"].as_array().unwrap().iter().filter(|stage| stage["state"] != "same").collect();
    assert!(changed.iter().any(|stage| stage["stage"] == "projection"), "{changed:?}");
    let one =
        recorded::json(&project, &["diff", "last:1:evaluate", "last:3:evaluate", "--json", "--artifacts", "artifacts"]);
    assert_eq!(one["measured"].as_array().unwrap().len(), 1);
    let reply = project.run(&["diff", "last:1", "last:9", "--artifacts", "artifacts"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("has no point `9`"), "{}", reply.stderr);
}

/// Sweeps with these options and expects that nothing is done and this is reported.
pub fn refused(project: &Project, more: &[&str], expect: &[&str]) {
    let reply = project.run(&[&["sweep", "spec.yaml"], more].concat());
    assert_eq!(reply.code, Some(2), "{reply:?}");
    for text in expect {
        assert!(reply.stderr.contains(text), "`{text}` in {}", reply.stderr);
    }
    assert!(!project.path("artifacts/runs").exists());
}

#[test]
fn every_point_is_checked_before_anything_runs() {
    let project = notebook_with_features();
    refused(&project, &[], &["has no `sweep`", "--axis"]);
    refused(
        &project,
        &["--axis", "projection.params.seed=[0, 1]", "--axis", "projection.params.temperature=[0.07, -1]"],
        &["point 2 (seed=0, temperature=-1) cannot be built", "--axis:1:38", "must be a number above 0"],
    );
    refused(&project, &["--axis", "projection.params.sed=[0]"], &["unknown param `sed`", "did you mean `seed`?"]);
    refused(
        &project,
        &["--axis", "projection.params.seed=[1]", "--set", "projection.params.seed=2"],
        &["`projection.params.seed` is both set and swept", "--axis projection.params.seed=[VALUE]"],
    );
    refused(
        &project,
        &["--axis", "vars.data=[a]", "--force", "projektion"],
        &["no stage `projektion`", "`projection`"],
    );
    project.write("spec.yaml", &(project.read("spec.yaml") + "sweep:\n  evaluate.params.similarity: [cosine, dott]\n"));
    refused(&project, &[], &["point 2 (similarity=dott)", "spec.yaml:22:40", "did you mean `dot`?"]);
    assert_eq!(project.run(&["validate", "spec.yaml"]).code, Some(2));
}

#[test]
fn an_axis_that_changes_nothing_is_refused() {
    let project = programs();
    project.write("spec.yaml", &project.read("spec.yaml").replace("vars: { x: 1 }", "vars: { x: 1, y: 1 }"));
    refused(&project, &["--axis", "vars.y=[1, 2]"], &["sweep axis `vars.y` changes no stage"]);
}

#[test]
fn every_file_in_pipelines_is_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines").canonicalize().unwrap();
    let is_spec = |file: &std::path::PathBuf| file.extension().is_some_and(|extension| extension == "yaml");
    let files: Vec<_> = recorded::files_below(&folder).into_iter().filter(is_spec).collect();
    assert!(files.len() >= 8, "{files:?}");
    let project = Project::new();
    for file in files {
        let reply = project.run(&["validate", folder.join(&file).to_str().unwrap()]);
        assert_eq!(reply.code, Some(0), "{reply:?}");
        let is_experiment = file.starts_with("experiments") && !file.ends_with("base.yaml");
        assert_eq!(reply.stderr.contains(" points, "), is_experiment, "{reply:?}");
    }
}
