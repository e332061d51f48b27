//! `check`: a metric that fell fails, and an unmeasured one never passes.

use serde_json::Value;

use crate::notebook::{notebook_with_features, run};
use crate::project::Project;

/// Runs the check and returns its exit code and the verdict on the only metric.
fn verdict(project: &Project, more: &[&str]) -> (Option<i32>, String) {
    let output = project.command(&[&["check", "spec.yaml", "--json"], more].concat()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["passed"], output.status.success());
    (output.status.code(), report["metrics"][0]["verdict"].as_str().unwrap().to_owned())
}

fn accepted() -> Project {
    let project = notebook_with_features();
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
    let project = notebook_with_features();
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
fn who_accepts_is_known_without_variables_of_the_login() {
    let project = accepted();
    let accept = |git_config: &str| {
        let mut command = project.command(&["check", "spec.yaml", "--accept", "--reason", "again"]);
        command.env_remove("USER").env("HOME", project.path("")).envs([("GIT_CONFIG_COUNT", "1")]);
        command.envs([("GIT_CONFIG_KEY_0", git_config), ("GIT_CONFIG_VALUE_0", "Li Wei")]);
        assert!(command.status().unwrap().success());
        let baseline: Value = serde_json::from_str(&project.read("baselines/notebook.json")).unwrap();
        baseline["accepted_by"].as_str().unwrap().to_owned()
    };
    if std::process::Command::new("git").arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert_eq!(accept("user.name"), "Li Wei");
    }
    assert!(!["", "unknown", "Li Wei"].contains(&accept("user.other").as_str()));
}

#[test]
fn a_drop_beyond_the_tolerance_fails_and_other_data_is_not_comparable() {
    let project = accepted();
    // One epoch of training is not enough for the accepted 0.0727.
    check_with(&project, "projection.params.epochs=1", (1, "dropped"));
    check_with(&project, "projection.params.epochs=20", (0, "passed"));
    check_with(&project, "valid-images.params.max_samples=100", (5, "not-comparable"));
    // Checks compare other encoders or pixels of the same images.
    let both = ["train-images", "valid-images"].map(|stage| format!("{stage}.params.resize=bicubic"));
    let bicubic = ["--set", both[0].as_str(), "--set", both[1].as_str()];
    run(&project, &bicubic);
    let (code, word) = verdict(&project, &bicubic);
    assert!(code != Some(5), "{word}");
}

#[test]
fn a_stale_or_missing_metric_is_never_a_pass() {
    let project = accepted();
    assert_eq!(verdict(&project, &["--set", "projection.params.temperature=0.5"]), (Some(1), "unmeasured".to_owned()));
    let report = || project.run(&["report", "spec.yaml", "-o", "out/report.html"]);
    assert!(!report().stderr.contains("not up to date"), "{:?}", report());
    let fresh = project.read("spec.yaml");
    project.write("spec.yaml", &fresh.replace("projection_dim: 64", "projection_dim: 32"));
    assert!(report().stderr.contains("of `spec` 2 stages are not up to date"), "{:?}", report());
    project.write("spec.yaml", &fresh);
    let spec = project.read("spec.yaml").replace("mean_recall:", "mean_recal:");
    project.write("spec.yaml", &spec);
    assert_eq!(verdict(&project, &[]), (Some(1), "unmeasured".to_owned()));
    // Another run would bring no such metric.
    project.write("spec.yaml", &spec.replace("mean_recal:", "accuracy_of_labels:"));
    let reply = project.run(&["check", "spec.yaml"]);
    assert!(reply.stderr.contains("the stages measure `") && !reply.stderr.contains("pipeline run"), "{reply:?}");
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
    project.write("baselines/notebook.json", "{\n<<<<<<< HEAD\n=======\n>>>>>>> other\n}");
    let reply = project.run(&["check", "spec.yaml"]);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains("has the marks of a conflict in git, from line 2 on"), "{reply:?}");
    project.write("spec.yaml", &project.read("spec.yaml").replace("check: {", "# check: {"));
    let reply = project.run(&["check", "spec.yaml"]);
    assert_eq!(reply.code, Some(2), "a spec without `check` is no pass: {reply:?}");
}

const PAIRED: &str = "check: { mean_recall: { max_drop: 0.002, paired: { alpha: 0.05 } } }";

/// An accepted result whose check is paired, and its baseline.
fn paired() -> (Project, Value) {
    let project = accepted();
    let spec = project.read("spec.yaml").replace("check: { mean_recall: { max_drop: 0.002 } }", PAIRED);
    project.write("spec.yaml", &spec);
    let baseline = serde_json::from_str(&project.read("baselines/notebook.json")).unwrap();
    (project, baseline)
}

/// Improves the accepted result: this many more queries had their image first.
fn with_more_hits(project: &Project, baseline: &Value, n_more: usize) {
    let mut baseline = baseline.clone();
    let evaluate = &mut baseline["stages"]["evaluate"];
    let ranks = evaluate["per_query"]["ranks"].as_array_mut().unwrap();
    let misses = ranks.iter_mut().filter(|rank| rank.as_u64().unwrap() > 10);
    misses.take(n_more).for_each(|rank| *rank = 1.into());
    let mean_recall = evaluate["metrics"]["mean_recall"].as_f64().unwrap() + n_more as f64 / 188.0;
    evaluate["metrics"]["mean_recall"] = mean_recall.into();
    project.write("baselines/notebook.json", &baseline.to_string());
}

#[test]
fn a_paired_check_passes_on_noise_and_fails_on_a_real_drop() {
    let (project, baseline) = paired();
    assert_eq!(verdict(&project, &[]), (Some(0), "passed".to_owned()));
    // Two queries of 188: MeanRecall falls by 0.0106, but each query might equally have gone the other way, p = 1/4.
    with_more_hits(&project, &baseline, 2);
    let reply = project.run(&["check", "spec.yaml"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(reply.stderr.contains("fell by 0.010638, 0.002 is allowed, but that may be chance: p = 0.2"), "{reply:?}");
    with_more_hits(&project, &baseline, 12);
    let reply = project.run(&["check", "spec.yaml"]);
    assert_eq!(reply.code, Some(1), "{reply:?}");
    assert!(reply.stderr.contains("fell by 0.063830, 0.002 is allowed, and that is no chance: p = 0.0"), "{reply:?}");
}

#[test]
fn a_paired_check_without_its_pairs_is_no_pass() {
    let (project, baseline) = paired();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut baseline = baseline.clone();
        change(&mut baseline);
        project.write("baselines/notebook.json", &baseline.to_string());
    };
    let digest = baseline["stages"]["evaluate"]["artifact"].clone();
    with(&|baseline| baseline["stages"]["evaluate"]["per_query"]["ids"] = digest.clone());
    assert_eq!(verdict(&project, &[]), (Some(5), "not-comparable".to_owned()));
    with(&|baseline| {
        baseline["version"] = 1.into();
        baseline["stages"]["evaluate"].as_object_mut().unwrap().remove("per_query");
    });
    assert_eq!(verdict(&project, &[]), (Some(1), "no-baseline".to_owned()));
    let spec = project.read("spec.yaml");
    project.write("spec.yaml", &spec.replace(", paired: { alpha: 0.05 }", ""));
    assert_eq!(verdict(&project, &[]), (Some(0), "passed".to_owned()), "a baseline of version 1 is read");
    with(&|baseline| baseline["version"] = 3.into());
    assert_eq!(project.run(&["check", "spec.yaml"]).code, Some(2));
    with(&|_| ());
    project.write("spec.yaml", &spec.replace("mean_recall:", "map:"));
    let reply = project.run(&["check", "spec.yaml"]);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains("`map` cannot be paired"), "{}", reply.stderr);
}

/// Lets the accepted loss and median rank be this much lower than they are, so that both have risen since.
fn with_lower_accepted(project: &Project, by: f64) {
    let mut baseline: Value = serde_json::from_str(&project.read("baselines/notebook.json")).unwrap();
    for (stage, metric) in [("evaluate", "median_rank"), ("projection", "loss")] {
        let value = &mut baseline["stages"][stage]["metrics"][metric];
        *value = (value.as_f64().unwrap() - by).into();
    }
    project.write("baselines/notebook.json", &baseline.to_string());
}

#[test]
fn where_lower_is_better_a_rise_fails_and_a_drop_passes() {
    let project = notebook_with_features();
    let spec = project.read("spec.yaml");
    let with_check = |check: &str| {
        let (stages, _) = spec.split_once("check:").unwrap();
        project.write("spec.yaml", &format!("{stages}check: {{ {check} }}\n"));
    };
    with_check("median_rank: { max_rise: 1 }, projection.loss: { max_rise: 0.1, max_value: 1000 }");
    run(&project, &[]);
    assert_eq!(project.run(&["check", "spec.yaml", "--accept"]).code, Some(0));
    for (lower_by, code) in [(0.05, 0), (5.0, 1), (-10.0, 0)] {
        with_lower_accepted(&project, lower_by);
        let reply = project.run(&["check", "spec.yaml"]);
        assert_eq!(reply.code, Some(code), "{reply:?}");
        let n_rose = reply.stdout.matches("FAILED: rose").count();
        assert_eq!(n_rose, if code == 0 { 0 } else { 2 }, "{reply:?}");
        assert_eq!(reply.stderr.contains("`median_rank`: rose by 5.050000, 1 is allowed"), code == 1, "{reply:?}");
    }
    with_check("median_rank: { max_value: 1 }");
    assert_eq!(verdict(&project, &[]), (Some(1), "above-maximum".to_owned()));

    for (metric, limit, value, instead) in [
        ("median_rank", "max_drop", "1.5", "max_rise"),
        ("projection.loss", "max_drop", "0.1", "max_rise"),
        ("valid-text.unknown_tokens", "min_value", "3", "max_value"),
        ("mean_recall", "max_rise", "0.1", "max_drop"),
        ("evaluate.mrr", "max_value", "0.9", "min_value"),
    ] {
        with_check(&format!("{metric}: {{ {limit}: {value} }}"));
        let help = match limit {
            "max_drop" | "max_rise" => format!("help: write `{instead}: {value}`"),
            _ => format!("help: `{instead}` bounds them"),
        };
        for command in ["validate", "check"] {
            let reply = project.run(&[command, "spec.yaml"]);
            assert_eq!(reply.code, Some(2), "{reply:?}");
            let expect = format!("`{limit}` of `{metric}` would fail what is better");
            assert!(reply.stderr.contains(&expect) && reply.stderr.contains("spec.yaml:"), "{reply:?}");
            assert!(reply.stderr.contains(&help), "{reply:?}");
        }
    }
}

#[test]
fn a_linked_baseline_is_no_reason_to_replace_a_file_of_somebody_else() {
    let project = accepted();
    let accept = |more: &[&str]| project.run(&[&["check", "spec.yaml", "--accept"], more].concat()).code;
    project.write("theirs.json", &project.read("baselines/notebook.json").replace("first result", "of theirs"));
    project.remove("baselines/notebook.json");
    std::os::unix::fs::symlink("../theirs.json", project.path("baselines/notebook.json")).unwrap();
    assert_eq!(accept(&[]), Some(2));
    assert!(project.read("theirs.json").contains("of theirs"));
    // On demand it is replaced, and from then on it is ours.
    assert_eq!((accept(&["--force"]), accept(&["--reason", "again"])), (Some(0), Some(0)));
    assert!(project.read("theirs.json").contains("again"));
    assert!(project.path("baselines/notebook.json").is_symlink());
    assert!(!project.path("artifacts/store-v1/quarantine").exists());
}

#[test]
fn two_specs_of_one_name_share_no_baseline() {
    let project = accepted();
    let spec = project.read("spec.yaml");
    let before = project.read("baselines/notebook.json");
    assert!(before.contains("\"file\": \"../spec.yaml\""), "{before}");
    project.write("copy.yaml", &spec);
    assert_eq!(project.run(&["run", "copy.yaml"]).code, Some(0));
    let reply = project.run(&["check", "copy.yaml"]);
    assert_eq!(reply.code, Some(1), "{reply:?}");
    for part in ["nothing was accepted yet", "is the baseline of `[FOLDER]/spec.yaml`", "another `name`"] {
        assert!(reply.stderr.contains(part), "{reply:?}");
    }
    let reply = project.run(&["check", "copy.yaml", "--accept", "--force"]);
    assert_eq!((reply.code, project.read("baselines/notebook.json")), (Some(2), before.clone()), "{reply:?}");
    assert!(reply.stderr.contains("help: give one of the two specs another `name`"), "{reply:?}");
    assert_eq!(project.run(&["check", "spec.yaml"]).code, Some(0));

    // A name that loses a character leads to the same file, too.
    for (name, file) in [("note/book", "note_book"), ("note:book", "note_book")] {
        let path = format!("{}.yaml", name.replace('/', "1").replace(':', "2"));
        project.write(&path, &spec.replace("name: notebook", &format!("name: {name}")));
        assert_eq!(project.run(&["run", &path]).code, Some(0));
        let code = project.run(&["check", &path, "--accept"]).code;
        assert_eq!(code, Some(if name.contains('/') { 0 } else { 2 }));
        assert!(project.path(&format!("baselines/{file}.json")).exists());
    }
    // An original of another name needs the baseline no more.
    project.write("spec.yaml", &spec.replace("name: notebook", "name: original"));
    assert_eq!(project.run(&["check", "copy.yaml", "--accept"]).code, Some(0));
    project.write("baselines/notebook.json", &before);
    // A spec that was renamed keeps its baseline, and so does one whose baseline does not say of which it is.
    project.remove("spec.yaml");
    assert_eq!(project.run(&["check", "copy.yaml"]).code, Some(0));
    project.write("spec.yaml", &spec);
    project.write("baselines/notebook.json", &before.replace("\"file\": \"../spec.yaml\",", ""));
    assert_eq!(project.run(&["check", "copy.yaml"]).code, Some(0));
}

#[test]
fn a_baseline_holds_one_line_of_ranks() {
    let (project, baseline) = paired();
    let ranks = baseline["stages"]["evaluate"]["per_query"]["ranks"].as_array().unwrap();
    let text = project.read("baselines/notebook.json");
    assert_eq!((ranks.len(), text.lines().filter(|line| line.contains("\"ranks\": [")).count()), (188, 1));
    let n_hits = ranks.iter().filter(|rank| (1..=10).contains(&rank.as_u64().unwrap())).count();
    assert_eq!(baseline["stages"]["evaluate"]["metrics"]["recall_at_10"], n_hits as f64 / 188.0);
    assert_eq!(baseline["version"], 2);
}

#[test]
fn verdicts_are_written_for_ci_and_for_reviewers() {
    let (project, baseline) = paired();
    let args = ["check", "spec.yaml", "--junit", "out/junit.xml", "--markdown", "out/check.md"];
    assert_eq!(project.run(&args).code, Some(0));
    let junit = project.read("out/junit.xml");
    assert!(junit.contains("<testsuite name=\"notebook\" tests=\"1\" failures=\"0\" errors=\"0\">"), "{junit}");
    assert!(junit.contains("<testcase classname=\"notebook.evaluate\" name=\"mean_recall\"/>"), "{junit}");
    with_more_hits(&project, &baseline, 12);
    assert_eq!(project.run(&args).code, Some(1));
    let (junit, markdown) = (project.read("out/junit.xml"), project.read("out/check.md"));
    assert!(junit.contains("failures=\"1\"") && junit.contains("<failure type=\"FAILED: dropped\""), "{junit}");
    assert!(junit.contains("message=\"fell by 0.063830"), "{junit}");
    assert!(markdown.starts_with("### `pipeline check` of notebook: **FAILED**"), "{markdown}");
    assert!(markdown.contains("| mean_recall | evaluate | 0.1365 | 0.0727 | -0.0638 |"), "{markdown}");
    assert!(markdown.contains("by tester: first result."), "{markdown}");
    run(&project, &["--set", "valid-images.params.max_samples=100"]);
    let other = [&args[..], &["--set", "valid-images.params.max_samples=100"]].concat();
    assert_eq!(project.run(&other).code, Some(5));
    let junit = project.read("out/junit.xml");
    assert!(junit.contains("errors=\"1\"") && junit.contains("<error type=\"not comparable\""), "{junit}");
    assert!(project.read("out/check.md").starts_with("### `pipeline check` of notebook: not comparable"));
}
