//! `sweep` beyond a grid: drawn points, rungs on which bad points are stopped, the importance of axes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::notebook::notebook_with_features;
use crate::project::Project;
use crate::recorded::{self, Recorded, all_runs};
use crate::sweeps::refused;

const LR: &str = "--axis=projection.params.lr={log_uniform: [1e-5, 1e-1]}";

/// The notebook with held-out data of its own (those of the training), and a sweep.
fn held_out(sweep: &str) -> Project {
    let project = notebook_with_features();
    let inputs =
        "images: train-features, valid_queries: train-queries, valid_text: train-text, valid_images: train-features }";
    let spec = project.read("spec.yaml").replace("images: train-features }", inputs);
    project.write("spec.yaml", &format!("{spec}sweep:\n{sweep}"));
    project
}

/// Nine random points on three rungs.
fn halved() -> Project {
    held_out(
        "  projection.params.lr: { log_uniform: [1e-5, 1e-1] }\n  projection.params.batch_size: { int_uniform: [8, \
        32], step: 8 }\n  \
         points: 9\n  seed: 1\n  halving: { resource: projection.params.epochs, rungs: [1, 2, 4] }\n",
    )
}

/// Sweeps, expects this exit code, and returns the JSON.
fn sweep(project: &Project, more: &[&str], code: i32) -> Value {
    let output = project.command(&[&["sweep", "spec.yaml", "--json"], more].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn points(report: &Value) -> &Vec<Value> {
    report["points"].as_array().unwrap()
}

/// The stages that began to run, over all runs of the store, with repetitions.
fn started(project: &Project) -> Vec<String> {
    let started = |run: &Recorded| run.started().into_iter().collect::<Vec<_>>();
    all_runs(project).iter().flat_map(started).collect()
}

#[test]
fn more_points_keep_the_earlier_ones_and_compute_only_the_new_ones() {
    let project = notebook_with_features();
    let few = sweep(&project, &[LR, "--points=3", "--seed=5"], 0);
    let n_before = started(&project).len();
    let more = sweep(&project, &[LR, "--points=5", "--seed=5"], 0);
    assert_eq!(points(&few)[..], points(&more)[..3]);
    assert_eq!(started(&project).len() - n_before, 4, "two heads and their evaluations");
    let first = sweep(&project, &[LR, "--points=5", "--seed=5", "--max-points=2"], 0);
    assert_eq!(points(&first)[..], points(&more)[..2]);
    let others = sweep(&project, &[LR, "--points=2", "--seed=6", "--draw=sobol"], 0);
    assert_ne!(points(&others)[0]["overrides"], points(&few)[0]["overrides"]);
    assert_eq!(others["axes"][0]["range"], serde_json::json!({ "log_uniform": [1e-5, 1e-1] }));
    // A run of a drawn point, with the value as it is printed, has nothing left to compute.
    let lr = &points(&more)[4]["overrides"]["projection.params.lr"];
    let ran = recorded::run(&project, &[&format!("--set=projection.params.lr={lr}")]);
    assert_eq!(ran.started(), BTreeSet::new(), "{lr}");
}

#[test]
fn all_points_train_a_little_and_the_best_third_goes_on() {
    let project = halved();
    let report = sweep(&project, &[], 0);
    let points = points(&report);
    let trained = started(&project).iter().filter(|stage| stage.starts_with("projection.")).count();
    assert_eq!(trained, 9 + 3 + 1);
    assert_eq!(started(&project).len(), trained + 1, "only the last point is evaluated");
    let mut on_first: Vec<(f64, usize)> = points
        .iter()
        .map(|point| (-point["measured"][0].as_f64().unwrap(), point["point"].as_u64().unwrap() as usize))
        .collect();
    on_first.sort_by(|one, two| one.partial_cmp(two).unwrap());
    for (rank, (_, number)) in on_first.iter().enumerate() {
        let n_rungs = points[number - 1]["measured"].as_array().unwrap().len();
        assert_eq!(n_rungs > 1, rank < 3, "{report}");
    }
    let last: Vec<&Value> = points.iter().filter(|point| point["state"] == "done").collect();
    assert_eq!((last.len(), &report["best"]), (1, &last[0]["point"]));
    assert_eq!(last[0]["overrides"]["projection.params.epochs"], 4);
    assert!(last[0]["metrics"]["evaluate"]["mean_recall"].is_f64());
    let stopped = points.iter().find(|point| point["state"] == "stopped").unwrap();
    assert_eq!(stopped["metrics"].get("evaluate"), None);
    assert_eq!(report["importance"]["rung"], "epochs=1");
    assert_eq!(report["importance"]["n_points"], 9);

    let n_before = started(&project).len();
    let again = sweep(&project, &[], 0);
    assert_eq!((&again["points"], started(&project).len()), (&report["points"], n_before));
    let runs = project.run(&["runs", "--artifacts", "artifacts"]).stdout;
    assert!(runs.contains("ok, 9 points, rung 1 of 3") && runs.contains("ok, 9 points, rung 2 of 3"), "{runs}");
    let shown = project.run(&["runs", "last", "--artifacts", "artifacts"]);
    assert!(shown.stdout.contains("stopped on rung 1 of 3") && shown.stdout.contains(" best"), "{}", shown.stdout);
    let compared = recorded::json(&project, &["diff", "last:1", "last:2", "--json", "--artifacts", "artifacts"]);
    assert!(compared["stages"].is_array(), "{compared}");
    let page = project.run(&["report", "spec.yaml", "-o", "-"]).stdout;
    assert!(page.contains("<section id=\"rungs\">") && page.contains("<section id=\"importance\">"), "{page}");
}

#[test]
fn a_sweep_that_is_killed_on_a_rung_goes_on_there() {
    let undisturbed = halved();
    let expect = sweep(&undisturbed, &[], 0);
    let project = halved();
    let mut running = project.start(&["sweep", "spec.yaml", "--jobs", "1"]);
    running.until("rung 2 of 3 (epochs=2): 3 points");
    running.until("average loss");
    running.kill();
    let finished: BTreeSet<String> = all_runs(&project).iter().flat_map(Recorded::finished).collect();
    let n_runs = all_runs(&project).len();
    let report = sweep(&project, &[], 0);
    assert_eq!(report["points"], expect["points"]);
    let started = started(&project);
    for stage in finished {
        assert_eq!(started.iter().filter(|other| **other == stage).count(), 1, "{stage} ran twice: {started:?}");
    }
    assert_eq!(all_runs(&project).len() - n_runs, 2, "the first rung is remembered and needs no run");
}

#[test]
fn a_point_that_fails_is_dropped_and_the_others_go_on() {
    let sweep_of = "  projection.params.lr: [1e-4, 1e30, 1e-2]\n  halving: { resource: projection.params.epochs, rungs: [1, 2] }\n";
    let project = held_out(sweep_of);
    let report = sweep(&project, &["--keep-going"], 3);
    let states: Vec<_> = points(&report).iter().map(|point| point["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "done").count(), 1, "{report}");
    assert_eq!((states[1], &points(&report)[1]["failed"]), ("failed", &serde_json::json!(["projection"])));
    let tries = started(&project).iter().filter(|stage| stage.starts_with("projection.lr-1e30")).count();
    assert_eq!(tries, 1, "what failed on a rung does not run again on the next");
    let text = project.run(&["sweep", "spec.yaml", "--keep-going"]);
    assert!(text.stdout.contains("`projection` failed on rung 1 of 2"), "{}", text.stdout);
    let stopped = project.run(&["sweep", "spec.yaml", "--force", "projection"]);
    assert_eq!(stopped.code, Some(3));
    assert!(!stopped.stderr.contains("rung 2 of 2"), "without --keep-going the first failure ends it");
}

#[test]
fn a_choice_by_the_queries_of_the_result_is_named() {
    let project = halved();
    let note = |project: &Project| project.run(&["sweep", "spec.yaml", "--dry-run"]).stderr;
    assert!(!note(&project).contains("flatters"), "{}", note(&project));
    let spec = project.read("spec.yaml");
    let same = "valid_queries: valid-queries, valid_text: valid-text, valid_images: valid-features";
    let own = "valid_queries: train-queries, valid_text: train-text, valid_images: train-features";
    for (spec, metric) in [
        (spec.replace(own, same), "projection.valid_mean_recall"),
        (spec.replace("rungs: [1, 2, 4]", "rungs: [1, 2, 4], metric: evaluate.mean_recall"), "evaluate.mean_recall"),
    ] {
        project.write("spec.yaml", &spec);
        let note = note(&project);
        let expect = format!("note: points are promoted by `{metric}`, on the queries that `evaluate` measures");
        assert!(note.contains(&expect), "{note}");
    }
    let report = sweep(&project, &[], 0);
    let stopped: Vec<_> = points(&report).iter().filter(|point| point["state"] == "stopped").collect();
    assert_eq!((stopped.len(), &stopped[0]["metrics"].get("evaluate")), (8, &None), "{report}");
    assert_eq!(points(&report)[report["best"].as_u64().unwrap() as usize - 1]["state"], "done");
}

#[test]
fn every_value_that_could_be_drawn_is_checked_before_anything_runs() {
    let project = notebook_with_features();
    let axis = |range: &str| format!("--axis=projection.params.{range}");
    refused(
        &project,
        &[&axis("lr={uniform: [-1, 1]}"), "--points=3"],
        &["a point with lr=-1.0 cannot be built", "--axis:1:22", "`lr` must be a number of at least 0"],
    );
    refused(
        &project,
        &[&axis("batch_size={uniform: [8, 64]}"), "--points=3"],
        &[
            "expected a whole number, found the number 8.0",
            "help: `int_uniform` and `int_log_uniform` draw whole numbers",
        ],
    );
    refused(&project, &[LR], &["draws points, but does not say how many", "`--points 24`"]);
    refused(&project, &[LR, "--points=1000000"], &["more than"]);
    refused(&project, &[LR, "--draw=grid"], &["no end of values for the range of `projection.params.lr`"]);
    refused(
        &project,
        &["--axis=projection.params.lr=[1e-3, 1e-2]", "--points=2"],
        &["a grid has all combinations of its values", "`--max-points` takes the first"],
    );
    let halving = |more: &str| {
        let project = notebook_with_features();
        let sweep = format!(
            "sweep:\n  projection.params.lr: [1e-3, 1e-2]\n  halving: {{ resource: projection.params.epochs, rungs: \
            [1, 2]{more} }}\n"
        );
        project.write("spec.yaml", &(project.read("spec.yaml") + &sweep));
        project
    };
    refused(&halving(""), &[], &["spec.yaml:23:3", "no training has held-out data", "`valid_queries`"]);
    refused(
        &halving(", metric: projection.valid_mean_recall"),
        &[],
        &["`projection` has no held-out data to measure `valid_mean_recall` on"],
    );
    refused(
        &halving(", metric: evaluate.mean_recal"),
        &[],
        &["does not say which of its values are better", "did you mean `mean_recall`?"],
    );
    refused(
        &halving(", metric: evaluate.mean_recall"),
        &["--set=projection.params.epochs=3"],
        &["`projection.params.epochs` is both set and swept"],
    );
    assert_eq!(halved().run(&["validate", "spec.yaml"]).stderr, "spec.yaml: 10 stages, 9 points, no mistakes");
}
