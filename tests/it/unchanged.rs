//! Reasons for a run to look again although no file that it read has changed.

use std::fs;
use std::path::Path;

use crate::notebook::{fixtures, run};
use crate::project::{Project, Reply};

/// One text stage, whose model is named without a folder.
fn with_bare_model() -> Project {
    let project = Project::with_spec(
        r#"vars: { models: models }
stages:
  queries: { kind: load-queries, params: { path: queries.jsonl } }
  text: { kind: extract-text, inputs: { queries: queries }, params: { model: bert } }
"#,
    );
    project.write("queries.jsonl", "{\"query_id\": 1, \"query_text\": \"红色的花\", \"item_ids\": [7]}\n");
    fs::create_dir(project.path("models")).unwrap();
    copy_model(&project.path("elsewhere/bert"));
    project
}

fn copy_model(to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(fixtures().join("tiny/bert")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn run_with_home(project: &Project) -> Reply {
    let output = project.command(&["run", "spec.yaml"]).env("HF_HOME", project.path("elsewhere")).output().unwrap();
    project.reply(&output)
}

fn snapshot(project: &Project) -> String {
    let folder = project.path("artifacts/store-v1/snapshots");
    let entry = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    fs::read_to_string(entry.path()).unwrap()
}

#[test]
fn a_model_that_appears_in_a_place_that_comes_first_is_taken() {
    let project = with_bare_model();
    assert!(run_with_home(&project).stderr.contains("2 ran"));
    assert!(run_with_home(&project).stderr.contains("nothing ran"));
    let other = project.path("models/bert");
    copy_model(&other);
    assert!(run_with_home(&project).stderr.contains("nothing ran"), "the same model elsewhere");
    let config = fs::read_to_string(other.join("config.json")).unwrap();
    fs::write(other.join("config.json"), format!("{config}\n")).unwrap();
    let reply = run_with_home(&project);
    assert!(reply.stderr.contains("1 ran, 1 reused"), "{reply:?}");
}

#[test]
fn a_variable_that_names_folders_of_models_is_looked_at_again() {
    let project = with_bare_model();
    assert_eq!(run_with_home(&project).code, Some(0));
    assert_eq!(run_with_home(&project).code, Some(0));
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(2), "without the variable there is no model: {reply:?}");
}

#[test]
fn a_snapshot_that_is_damaged_or_gone_costs_a_plan() {
    let project = with_bare_model();
    copy_model(&project.path("models/bert"));
    run(&project, &[]);
    run(&project, &[]);
    let folder = project.path("artifacts/store-v1/snapshots");
    let before = snapshot(&project);
    let path = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::write(&path, before.replacen("queries", "Queries", 1)).unwrap();
    assert!(run(&project, &[]).stderr.contains("nothing ran"));
    assert_ne!(snapshot(&project), before, "the plan has left a new one");
    fs::remove_dir_all(&folder).unwrap();
    assert!(run(&project, &[]).stderr.contains("nothing ran"));
    fs::remove_dir_all(project.path("artifacts/runs")).unwrap();
    assert!(run(&project, &[]).stderr.contains("nothing ran"));
    assert_eq!(fs::read_dir(project.path("artifacts/runs")).unwrap().count(), 1);
}
