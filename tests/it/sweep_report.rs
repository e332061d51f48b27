//! `report` about a sweep: all of its points as one page.

use serde_json::Value;

use crate::notebook::notebook_with_features;
use crate::project::Project;
use crate::sweeps::{programs, swept_notebook};

fn sweep(project: &Project, more: &[&str], code: i32) -> Value {
    let output = project.command(&[&["sweep", "spec.yaml", "--json"], more].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The page about a sweep, from stdout.
fn page(project: &Project, args: &[&str]) -> String {
    let output =
        project.command(&[&["report"], args, &["-o", "-", "--artifacts", "artifacts"]].concat()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A share in percentage points, as pages show differences.
fn points(value: &Value) -> String {
    format!("{:+.2}", value.as_f64().unwrap() * 100.0).replace('-', "−")
}

#[test]
fn a_page_about_a_sweep_compares_its_points_as_diff_does() {
    let project = notebook_with_features();
    let axis = ["--axis", "projection.params.epochs=[1, 4]"];
    let swept = sweep(&project, &axis, 0);
    let html = page(&project, &["last"]);
    assert!(html.contains("2 points of epochs (2): 2 ran."), "{html}");
    for section in ["result", "parallel", "groups", "effects", "curves", "pipeline", "config"] {
        assert!(html.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
    assert_eq!(html.matches("<g class=\"line c1 best\"").count(), 1, "the curve of the best point stands out");
    assert!(!html.contains("<section id=\"heat\">"), "one axis is no table");
    let mean = swept["points"][1]["metrics"]["evaluate"]["mean_recall"].as_f64().unwrap();
    assert!(html.contains(&format!("{:.2}%", mean * 100.0)));
    let diff = project.command(&["diff", "last:1", "last:2", "--json", "--artifacts", "artifacts"]).output().unwrap();
    let diff: Value = serde_json::from_slice(&diff.stdout).unwrap();
    let is_evaluation = |compared: &&Value| compared["later"] == "evaluate";
    let metric = &diff["measured"].as_array().unwrap().iter().find(is_evaluation).unwrap()["metrics"][0];
    let interval = format!("[{}, {}]", points(&metric["low"]), points(&metric["high"]));
    assert!(html.contains(&interval), "{interval}, as diff shows it");
    let words = if metric["verdict"] == "no-evidence" { "no evidence" } else { metric["verdict"].as_str().unwrap() };
    assert!(html.contains(words), "{words}");

    sweep(&project, &axis, 0);
    let again = page(&project, &["last"]);
    assert!(again.contains("2 points of epochs (2): 2 reused."), "a sweep that computes nothing is shown as well");
    assert!(again.contains(&interval) && again.contains("<code>train-projection</code>"));
    let point = page(&project, &["last:2"]);
    assert!(point.contains("<section id=\"gallery\">") && point.contains("<code>evaluate-recall</code>"));
}

#[test]
fn a_spec_with_a_sweep_is_reported_by_its_sweep_with_seeds_as_one_group() {
    let project = swept_notebook();
    let spec = project.read("spec.yaml").replace(", init_from: \"${start}\"", "");
    project.write("spec.yaml", &spec.replace("epochs: [1, 2]", "seed: [0, 1]"));
    let reply = project.run(&["report", "spec.yaml"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("`pipeline sweep spec` first"), "{reply:?}");
    let swept = sweep(&project, &[], 0);
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    let html = page(&project, &["spec.yaml"]);
    let spread = &swept["groups"][1]["metrics"]["evaluate"]["mean_recall"];
    let expected =
        format!("{:.2}% ± {:.2}", spread["mean"].as_f64().unwrap() * 100.0, spread["sd"].as_f64().unwrap() * 100.0);
    assert!(html.contains(&expected), "{expected}");
    assert_eq!(html.matches("<tr class=\"group\">").count(), 2);
    let reply = project.run(&["report", "spec.yaml", "--compare", "last"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("a sweep is not compared with a run as a whole"), "{reply:?}");
    let reply = project.run(&["report", "spec.yaml"]);
    assert!(reply.stdout.ends_with("/report.html"), "{reply:?}");
}

#[test]
fn points_that_failed_or_measured_other_data_are_marked_and_not_compared() {
    let failed = programs();
    sweep(&failed, &["--keep-going"], 3);
    let html = page(&failed, &["spec.yaml"]);
    assert!(html.contains("3 points of x (3): 2 ran, 1 failed."), "{html}");
    assert!(html.contains("No point has measured MeanRecall") && html.contains("`middle` failed: "), "{html}");

    let project = notebook_with_features();
    sweep(&project, &["--axis", "valid-images.params.max_samples=[500, 100]"], 0);
    let html = page(&project, &["last"]);
    assert!(html.contains("1 of 2 groups were measured over other data than the first"));
    assert!(html.contains("not compared: measured on another pool (pool_size 150 and 100)"), "{html}");
    assert!(html.contains("Only group that can be compared") && !html.contains("<section id=\"parallel\">"));
}
