//! `check`: a metric that fell fails, and what was not measured never passes.

use serde_json::Value;

use crate::notebook::{notebook, run};
use crate::project::Project;

/// Runs the check and gives its exit code and the verdict on the only metric.
fn verdict(project: &Project, more: &[&str]) -> (Option<i32>, String) {
    let output = project.command(&[&["check", "spec.yaml", "--json"], more].concat()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passed"], output.status.success());
    (output.status.code(), report["metrics"][0]["verdict"].as_str().unwrap().to_owned())
}

fn accepted() -> Project {
    let project = notebook();
    run(&project, &[]);
    let reply = project.run(&["check", "spec.yaml", "--accept", "--reason", "first result"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    project
}

/// Brings the spec with a changed value up to date and checks it.
fn check_with(project: &Project, change: &str, expect: (i32, &str)) {
    run(project, &["--set", change]);
    let (code, word) = verdict(project, &["--set", change]);
    assert_eq!((code, word.as_str()), (Some(expect.0), expect.1), "{change}");
}

#[test]
fn a_result_must_be_measured_and_accepted_before_it_can_pass() {
    let project = notebook();
    assert_eq!(verdict(&project, &[]), (Some(1), "unmeasured".to_owned()));
    let reply = project.run(&["check", "spec.yaml", "--accept"]);
    assert_eq!(reply.code, Some(1), "what is not measured cannot be accepted: {reply:?}");
    run(&project, &[]);
    assert_eq!(verdict(&project, &[]), (Some(1), "no-baseline".to_owned()));
    let reply = project.run(&["check", "spec.yaml"]);
    assert!(reply.stderr.contains("no accepted baseline"), "{}", reply.stderr);
    assert!(reply.stderr.contains("--accept"), "{}", reply.stderr);
}

#[test]
fn an_accepted_result_passes_and_says_who_accepted_it() {
    let project = accepted();
    assert_eq!(verdict(&project, &[]), (Some(0), "passed".to_owned()));
    let baseline: Value = serde_json::from_str(&project.read("baselines/notebook.json")).unwrap();
    assert_eq!((&baseline["accepted_by"], &baseline["reason"]), (&"tester".into(), &"first result".into()));
    assert_eq!(baseline["stages"]["evaluate"]["metrics"]["n_queries"], 188.0);
    let reply = project.run(&["check", "spec.yaml"]);
    let expect = "metric stage accepted current change verdict\nmean_recall evaluate 0.0727 0.0727 +0.0000 passed";
    assert_eq!(reply.stdout, expect);
}

#[test]
fn a_drop_beyond_the_tolerance_fails_and_other_data_is_not_comparable() {
    let project = accepted();
    // One epoch of training is not enough for the accepted 0.0727.
    check_with(&project, "projection.params.epochs=1", (1, "dropped"));
    check_with(&project, "projection.params.epochs=20", (0, "passed"));
    check_with(&project, "valid-images.params.max_samples=100", (5, "not-comparable"));
    // Other encoders or pixels of the same images are what a check compares.
    let (code, word) = {
        run(&project, &["--set", "valid-images.params.resize=bicubic"]);
        verdict(&project, &["--set", "valid-images.params.resize=bicubic"])
    };
    assert!(code != Some(5), "{word}");
}

#[test]
fn a_stale_or_missing_metric_is_never_a_pass() {
    let project = accepted();
    assert_eq!(verdict(&project, &["--set", "projection.params.temperature=0.5"]), (Some(1), "unmeasured".to_owned()));
    let spec = project.read("spec.yaml").replace("mean_recall:", "mean_recal:");
    project.write("spec.yaml", &spec);
    assert_eq!(verdict(&project, &[]), (Some(1), "unmeasured".to_owned()));
    project.write(
        "spec.yaml",
        &spec.replace("mean_recal: { max_drop: 0.002 }", "evaluate.mean_recall: { min_value: 0.5 }"),
    );
    assert_eq!(verdict(&project, &[]), (Some(1), "below-minimum".to_owned()));
}

#[test]
fn a_damaged_baseline_is_not_a_missing_one() {
    let project = accepted();
    project.write("baselines/notebook.json", "{");
    assert_eq!(project.run(&["check", "spec.yaml"]).code, Some(2));
    project.write("spec.yaml", &project.read("spec.yaml").replace("check: {", "# check: {"));
    let reply = project.run(&["check", "spec.yaml"]);
    assert_eq!(reply.code, Some(2), "a spec without `check` is no pass: {reply:?}");
}
