//! `diff`: the differences between two runs, and their significance.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::notebook::{notebook_with_features, run};
use crate::project::Project;

/// The JSON of a comparison, and the exit code.
fn diff(project: &Project, runs: &[&str]) -> (Option<i32>, Value) {
    let output = project.command(&[&["diff", "--json"], runs].concat()).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

/// A metric of the first stage with metrics, the evaluation.
fn metric<'a>(report: &'a Value, name: &str) -> &'a Value {
    let metrics = report["measured"][0]["metrics"].as_array().unwrap();
    metrics.iter().find(|metric| metric["metric"] == name).unwrap()
}

#[test]
fn a_run_that_computed_nothing_new_is_the_same() {
    let project = notebook_with_features();
    run(&project, &[]);
    run(&project, &[]);
    let reply = project.run(&["diff", "last~1", "last"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    assert!(reply.stdout.contains("10 stages the same"), "{}", reply.stdout);
    let expect =
        "mean_recall 0.0727 0.0727 +0.0000 +0.0000 … +0.0000 0 up, 0 down, p = 1.0000 no evidence of a difference";
    assert!(reply.stdout.contains(expect), "{}", reply.stdout);
}

#[test]
fn means_over_other_ranks_are_left_out_and_reported() {
    let project = notebook_with_features();
    run(&project, &[]);
    run(&project, &["--set", "evaluate.params.k=[1, 10]"]);
    let reply = project.run(&["diff", "last~1", "last"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let note = "`evaluate`: `mean_recall` is a mean over k = [1, 5, 10] and [1, 10], so it is not compared";
    assert!(reply.stderr.contains(note), "{reply:?}");
    assert!(!reply.stdout.contains("\nmean_recall ") && reply.stdout.contains("\nrecall_at_10 "), "{reply:?}");
    let (_, report) = diff(&project, &["last~1", "last"]);
    assert!(report["measured"][0]["left_out"].is_string(), "{report}");
    assert_eq!(metric(&report, "recall_at_1")["verdict"], "no-evidence");
}

#[test]
fn differences_are_shown_from_the_param_to_the_verdict() {
    let project = notebook_with_features();
    run(&project, &["--set", "projection.params.epochs=1"]);
    run(&project, &["--set", "projection.params.epochs=20"]);
    let reply = project.run(&["diff", "last~1", "last"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let expect =
        "evaluate differs input.projection changed\nprojection differs param.epochs 1 -> 20\n8 stages the same";
    assert!(reply.stdout.contains(expect), "{}", reply.stdout);

    let (code, report) = diff(&project, &["last~1", "last"]);
    assert_eq!(code, Some(0));
    for name in ["mean_recall", "recall_at_1", "mrr", "map", "ndcg_at_10", "fraction_recall_at_10"] {
        let metric = metric(&report, name);
        let number = |field: &str| metric[field].as_f64().unwrap();
        assert!((number("later") - number("earlier") - number("difference")).abs() < 1e-12);
        assert!(number("low") <= number("difference") && number("difference") <= number("high"), "{metric}");
        let expect = match (number("low") > 0.0, number("high") < 0.0) {
            (true, _) => "better",
            (_, true) => "worse",
            _ => "no-evidence",
        };
        assert_eq!(metric["verdict"], expect);
        let is_any_hit = name.contains("recall") && !name.contains("fraction");
        assert_eq!(metric["sign_test"].is_object(), is_any_hit, "{metric}");
    }
    assert_eq!(metric(&report, "mrr")["verdict"], "better", "{report:#}");
    assert_eq!(metric(&report, "median_rank")["verdict"], Value::Null);
    let (_, reversed) = diff(&project, &["last", "last~1"]);
    assert_eq!(metric(&reversed, "mrr")["verdict"], "worse");
}

#[test]
fn results_over_another_pool_are_not_compared_but_their_params_are() {
    let project = notebook_with_features();
    run(&project, &[]);
    run(&project, &["--set", "valid-images.params.max_samples=100"]);
    let reply = project.run(&["diff", "last~1", "last"]);
    assert_eq!(reply.code, Some(5), "{reply:?}");
    assert!(reply.stdout.contains("valid-images differs param.max_samples 500 -> 100"), "{}", reply.stdout);
    assert!(!reply.stdout.contains("mean_recall"), "{}", reply.stdout);
    let expect =
        "error: the metrics of `evaluate` are not comparable: measured on another pool (pool_size 150 and 100)";
    assert!(reply.stderr.starts_with(expect), "{}", reply.stderr);
    let (code, report) = diff(&project, &["last~1", "last"]);
    assert_eq!((code, report["measured"][0]["metrics"].as_array().unwrap().len()), (Some(5), 0));
}

#[test]
fn collected_results_are_brought_back_as_the_message_says() {
    let project = notebook_with_features();
    run(&project, &["--set", "projection.params.epochs=1"]);
    // Unused for so long that a collection lets go of it.
    for entry in fs::read_dir(project.path("artifacts/last")).unwrap() {
        let last = File::options().write(true).open(entry.unwrap().path()).unwrap();
        last.set_modified(SystemTime::now() - Duration::from_secs(31 * 24 * 3600)).unwrap();
    }
    run(&project, &[]);
    assert_eq!(project.run(&["cache", "gc", "--artifacts", "artifacts"]).code, Some(0));
    let output = project.command(&["diff", "last~1", "last"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("mean_recall"), "the values are known all the same");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("were collected or lost"), "{message}");
    let command = message.split('`').find(|part| part.starts_with("pipeline run ")).unwrap();
    let args: Vec<&str> = command.split(' ').skip(1).collect();
    let earlier = message.split_once("in run ").unwrap().1.split(' ').next().unwrap();
    assert_eq!(project.run(&args).code, Some(0), "{command}");
    assert_eq!(project.run(&["diff", earlier, "last~1"]).code, Some(0));
}

#[test]
fn one_of_several_evaluations_is_chosen_by_its_name() {
    let project = notebook_with_features();
    let inputs = "inputs: { queries: valid-queries, text: valid-text, images: valid-features, projection: projection }";
    let dot = format!("  by-dot:\n    kind: evaluate-recall\n    {inputs}\n    params: {{ similarity: dot }}\ncheck:");
    project.write("spec.yaml", &project.read("spec.yaml").replace("check:", &dot));
    run(&project, &[]);
    let (_, both) = diff(&project, &["last", "last"]);
    let stages: Vec<_> = both["measured"].as_array().unwrap().iter().map(|stage| &stage["earlier"]).collect();
    assert_eq!(stages, ["by-dot", "evaluate", "projection", "train-text", "valid-text"], "each with its namesake");
    let (code, chosen) = diff(&project, &["last:evaluate", "last:by-dot"]);
    assert_eq!(code, Some(0));
    assert_eq!(chosen["measured"][0]["later"], "by-dot");
    let unknown = project.run(&["diff", "last:evaluat", "last"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.ends_with("help: did you mean `evaluate`?"), "{}", unknown.stderr);
    assert_eq!(project.run(&["diff", "last", "last~1"]).code, Some(2), "there is no run before the last");
}

#[test]
fn texts_are_ranked_for_images_where_that_is_asked_for() {
    let project = notebook_with_features();
    run(&project, &["--set", "evaluate.params.image_to_text=true"]);
    run(&project, &["--set", "evaluate.params.image_to_text=true", "--set", "projection.params.epochs=20"]);
    let (code, report) = diff(&project, &["last~1", "last"]);
    assert_eq!(code, Some(0));
    assert!(metric(&report, "i2t_mean_recall")["low"].is_number(), "{report:#}");
    assert_eq!(metric(&report, "i2t_mean_recall")["verdict"], "better");
    let args = ["path", "spec.yaml", "evaluate", "--json", "--set", "evaluate.params.image_to_text=true", "--set"];
    let output = project.command(&[&args[..], &["projection.params.epochs=20"]].concat()).output().unwrap();
    let path: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(path["files"]["per_image.parquet"].is_object(), "{path:#}");
    let metrics = fs::read(format!("{}/metrics.json", path["folder"].as_str().unwrap())).unwrap();
    let metrics: Value = serde_json::from_slice(&metrics).unwrap();
    assert_eq!(metrics["i2t_pool_size"], metrics["n_queries"], "every query is a text to be found");
    assert!(metrics["i2t_n_images"].as_f64().unwrap() <= metrics["pool_size"].as_f64().unwrap());
}
