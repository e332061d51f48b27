//! The whole pipeline of the notebook on a small data set, against PyTorch's results.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use crate::project::{Project, Reply, copy};

/// The result of the notebook on the same data from the same start.
const RESULT: &str = "Recall@1=0.0160, Recall@5=0.0585, Recall@10=0.1436, MeanRecall=0.0727 (N=188); pool 150 images, \
                      188 queries answerable";

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").canonicalize().unwrap()
}

/// The stages up to the features, on the small data set.
fn features_spec() -> String {
    let fixtures = fixtures();
    let fixtures = fixtures.display();
    format!(
        r#"name: notebook
vars: {{ data: {fixtures}/data/mini, models: {fixtures}/tiny, start: {fixtures}/goldens/mini/init.safetensors }}
stages:
  train-queries: {{ kind: load-queries, params: {{ path: "${{data}}/MR_train_queries.jsonl" }} }}
  valid-queries: {{ kind: load-queries, params: {{ path: "${{data}}/MR_valid_queries.jsonl" }} }}
  train-images: {{ kind: decode-images, params: {{ path: "${{data}}/MR_train_imgs.tsv", max_samples: 500 }}, retain: false }}
  valid-images: {{ kind: decode-images, params: {{ path: "${{data}}/MR_valid_imgs.tsv", max_samples: 500 }}, retain: false }}
  train-text: {{ kind: extract-text, inputs: {{ queries: train-queries }}, params: {{ model: "${{models}}/bert" }} }}
  valid-text: {{ kind: extract-text, inputs: {{ queries: valid-queries }}, params: {{ model: "${{models}}/bert" }} }}
  train-features: {{ kind: extract-image, inputs: {{ images: train-images }}, params: {{ model: "${{models}}/resnet" }} }}
  valid-features: {{ kind: extract-image, inputs: {{ images: valid-images }}, params: {{ model: "${{models}}/resnet" }} }}
"#
    )
}

/// A project with the notebook's stages and settings on the small data set, with nothing computed yet.
pub fn notebook() -> Project {
    let rest = r#"
  projection:
    kind: train-projection
    inputs: { queries: train-queries, text: train-text, images: train-features }
    params: { projection_dim: 64, init_from: "${start}" }
    publish: { projection.pth: weights/projection.pth }
  evaluate:
    kind: evaluate-recall
    inputs: { queries: valid-queries, text: valid-text, images: valid-features, projection: projection }
check: { mean_recall: { max_drop: 0.002 } }
"#;
    Project::with_spec(&(features_spec() + rest.trim_start_matches('\n')))
}

/// The same with the features in its store, for tests of later stages: extraction takes longer than everything else.
pub fn notebook_with_features() -> Project {
    static STORE: LazyLock<PathBuf> = LazyLock::new(extract_once);
    let project = notebook();
    for folder in ["objects", "actions"] {
        copy(&STORE.join(folder), &project.path("artifacts/store-v1").join(folder));
    }
    project
}

/// The store after this very program has extracted the features, in whichever test process.
fn extract_once() -> PathBuf {
    let program = fs::metadata(env!("CARGO_BIN_EXE_pipeline")).unwrap();
    let built = program.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("features-{built}"));
    if !folder.exists() {
        let project = Project::with_spec(&features_spec());
        run(&project, &[]);
        let unfinished = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        copy(&project.path("artifacts/store-v1"), unfinished.path());
        if let Err(error) = fs::rename(unfinished.path(), &folder) {
            assert!(folder.exists(), "{error}");
        }
    }
    folder
}

/// Runs the notebook and expects that it is done.
pub fn run(project: &Project, more: &[&str]) -> Reply {
    let reply = project.run(&[&["run", "spec.yaml"], more].concat());
    assert_eq!(reply.code, Some(0), "{reply:?}");
    reply
}

#[test]
fn the_notebooks_numbers_come_out_and_are_remembered() {
    let project = notebook();
    let first = run(&project, &[]);
    assert_eq!(first.stdout, RESULT);
    assert!(first.stderr.contains("10 stages: 10 ran"), "{}", first.stderr);
    assert!(project.path("weights/projection.pth").exists());

    let second = run(&project, &[]);
    assert_eq!((second.stdout.as_str(), second.stderr.as_str()), (RESULT, "10 stages: nothing ran, 10 reused, [TIME]"));

    let warmer = run(&project, &["--set", "projection.params.temperature=0.05"]);
    assert!(warmer.stderr.contains("10 stages: 2 ran, 8 reused"), "{}", warmer.stderr);
    assert!(warmer.stderr.contains("param.temperature 0.07 -> 0.05"), "{}", warmer.stderr);
}

#[test]
fn a_run_shows_where_the_time_of_each_stage_went() {
    let project = notebook();
    let reply = run(&project, &["-v", "--threads", "2", "--jobs", "1"]);
    let shown = |stage: &str| {
        let lines = reply.stderr.lines().filter(|line| line.starts_with(&format!("| {stage} ")));
        lines.filter(|line| line.ends_with(" rows/s · 2 threads")).map(str::to_owned).collect::<String>()
    };
    for (stage, work) in [
        ("train-queries", "read [TIME]"),
        ("valid-images", "decode [TIME]"),
        ("valid-text", "forward [TIME]"),
        ("train-features", "forward [TIME]"),
        ("projection", "train [TIME]"),
        ("evaluate", "search [TIME]"),
    ] {
        assert!(shown(stage).contains(work), "{stage}: {}", reply.stderr);
    }
    assert_eq!(project.run(&["runs", "last", "-v"]).stderr, reply.stderr);

    let output = project.command(&["runs", "last", "--json"]).output().unwrap();
    let events = crate::recorded::Recorded::from_lines(&String::from_utf8(output.stdout).unwrap()).events;
    let is_text = |event: &&serde_json::Value| event["event"] == "stage-finished" && event["stage"] == "valid-text";
    let text = events.iter().find(is_text).unwrap();
    assert_eq!((&text["n_rows_computed"], &text["n_threads"]), (&text["report"]["n_rows"], &2.into()));
    for work in ["read", "load", "tokenize", "forward", "write", "store"] {
        assert!(text["report"]["seconds"][work].is_f64(), "{work}: {text}");
    }
}

#[test]
fn any_number_of_jobs_and_threads_gives_the_same_bytes() {
    let artifacts = |jobs: &str, threads: &str| {
        let project = notebook();
        run(&project, &["--jobs", jobs, "--threads", threads]);
        let output = project.command(&["status", "spec.yaml", "--json"]).output().unwrap();
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let stages = plan["stages"].as_array().unwrap().iter();
        stages.map(|stage| (stage["stage"].to_string(), stage["artifact"].to_string())).collect::<Vec<_>>()
    };
    assert_eq!(artifacts("1", "1"), artifacts("4", "3"));
}

#[test]
fn predictions_have_ten_images_for_each_query() {
    let project = notebook_with_features();
    let before = project.run(&["predict", "spec.yaml"]);
    assert_eq!((before.code, before.stdout.as_str()), (Some(1), ""), "nothing to predict from yet");
    run(&project, &[]);
    assert_eq!(project.run(&["predict", "spec.yaml", "-o", "predictions.jsonl"]).code, Some(0));
    let text = project.read("predictions.jsonl");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 188);
    assert_eq!(lines[0]["query_id"], 100001);
    assert!(lines.iter().all(|line| line["item_ids"].as_array().unwrap().len() == 10));
    assert_eq!(project.run(&["predict", "spec.yaml"]).stdout, text.trim_end());
}

/// The result rests on the warnings of every stage below it, whether or not they ran just now.
#[test]
fn the_warnings_of_reused_stages_are_shown_again() {
    let project = Project::with_spec("stages:\n  q: { kind: load-queries, params: { path: q.jsonl } }\n");
    project.write("q.jsonl", "{\"query_id\": 1, \"query_text\": \"a\", \"item_ids\": 7}\n{broken\n");
    let warnings = "warning: q: 1 line skipped, the first at line 2 of `q.jsonl`: not JSON from column 2\nwarning: q: 1 line names one id \
                    instead of a list of ids, which is taken for a list of one, the first at line 1";
    let first = project.run(&["run", "spec.yaml"]).stderr;
    assert!(first.contains(warnings), "{first}");
    // With a plan, and, after a run that found everything up to date, without one; also when quiet.
    for args in [&["run", "spec.yaml"] as &[&str], &["run", "spec.yaml"], &["run", "spec.yaml", "-q"]] {
        let again = project.run(args).stderr;
        assert!(again.starts_with(warnings), "{again}");
    }
    assert!(project.run(&["run", "spec.yaml"]).stderr.contains("nothing ran, 1 reused, 2 warnings"));
    assert!(project.run(&["status", "spec.yaml"]).stdout.contains("up to date, 2 warnings"));
    let status = project.run(&["status", "spec.yaml", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["stages"][0]["warnings"].as_array().unwrap().len(), 2);
    let events = project.run(&["run", "spec.yaml", "--json"]).stdout;
    let events: Vec<serde_json::Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reused = events.iter().find(|event| event["event"] == "stage-reused").unwrap();
    assert_eq!(reused["report"]["warnings"].as_array().unwrap().len(), 2);
}

#[test]
fn predictions_that_the_evaluator_refuses_are_announced() {
    let project = notebook_with_features();
    let queries = fs::read_to_string(fixtures().join("data/mini/MR_valid_queries.jsonl")).unwrap();
    let queries = queries.replace("\"query_id\": 100001, ", "").replace("\"query_id\": 100003", "\"query_id\": 100002");
    project.write("odd.jsonl", &queries);
    let set = ["--set", "valid-queries.params.path=odd.jsonl"];
    let warnings = run(&project, &set).stderr;
    assert!(warnings.contains("warning: valid-queries: 1 line has no id, the first at line 1"), "{warnings}");
    assert!(
        warnings.contains("1 line repeats the id, but not the text or the image ids, of an earlier line"),
        "{warnings}"
    );
    let reply = project.run(&[&["predict", "spec.yaml"] as &[&str], &set].concat());
    assert_eq!((reply.code, reply.stdout.lines().count()), (Some(0), 188));
    let expect = "warning: 1 line has no query id, which MUGE's evaluator refuses\n\
                  warning: 1 line has the query id of an earlier line; MUGE's evaluator counts the last";
    assert_eq!(reply.stderr, expect);
}

/// MUGE's test split is ranked for a submission, and no output claims a recall of 0.
#[test]
fn a_split_without_labels_is_predicted_and_not_measured() {
    let project = notebook_with_features();
    let queries = fs::read_to_string(fixtures().join("data/mini/MR_valid_queries.jsonl")).unwrap();
    project.write("test_split.jsonl", &queries.replace("item_ids", "no_ids"));
    project.write("spec.yaml", &project.read("spec.yaml").replace("max_drop: 0.002", "min_value: 0.01"));
    let set = ["--set", "valid-queries.params.path=test_split.jsonl"];
    let reply = run(&project, &set);
    let headline = "no labels, so that no recall is measured; pool 150 images";
    assert_eq!(reply.stdout, headline);
    assert!(reply.stderr.contains("warning: evaluate: no labels: "), "{}", reply.stderr);
    let with_set = |args: &[&str]| project.run(&[args, &set].concat());
    assert_eq!(with_set(&["predict", "spec.yaml"]).stdout.lines().count(), 188);
    let check = with_set(&["check", "spec.yaml"]);
    assert_eq!(check.code, Some(1));
    assert!(format!("{}{}", check.stdout, check.stderr).contains("unmeasured"), "{check:?}");
    let report = project.run(&["report", "last", "-o", "report.html"]);
    assert_eq!(report.code, Some(0), "{}", report.stderr);
    assert!(project.read("report.html").contains(headline));
    for args in [&["runs"] as &[&str], &["runs", "last"], &["diff", "last", "last"]] {
        let reply = project.run(args);
        assert_eq!(reply.code, Some(0), "{args:?}: {}", reply.stderr);
        for metric in ["mean_recall", "recall_at", "MeanRecall"] {
            assert!(!format!("{}{}", reply.stdout, reply.stderr).contains(metric), "{args:?}: {reply:?}");
        }
    }
}

#[test]
fn a_corrupt_image_row_is_skipped_and_reported() {
    let project = notebook();
    let data = fixtures().join("data/mini");
    for name in ["MR_train_imgs.tsv", "MR_train_queries.jsonl", "MR_valid_imgs.tsv", "MR_valid_queries.jsonl"] {
        project.write(&format!("data/{name}"), &fs::read_to_string(data.join(name)).unwrap());
    }
    let rows = project.read("data/MR_train_imgs.tsv");
    let (first, rest) = rows.split_once('\n').unwrap();
    let (id, _) = first.split_once('\t').unwrap();
    project.write("data/MR_train_imgs.tsv", &format!("{id}\tbm90IGFuIGltYWdl\n{rest}"));
    let reply = run(&project, &["--set", "vars.data=data"]);
    assert!(reply.stderr.contains("warning: train-images: "), "{}", reply.stderr);
    assert!(reply.stderr.contains("1 rejected"), "{}", reply.stderr);
}
