//! The shape of commands' output with `--json`, taken from their output about a small experiment.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Map, Value};

use super::markdown::wrapped;
use crate::notebook::{notebook_with_features, run};
use crate::project::Project;

const SWEEP: &str = "extends: spec.yaml
sweep: { projection.params.seed: [0, 1] }
";

/// The commands whose JSON is shown, each about the same project.
const COMMANDS: &[&[&str]] = &[
    &["status", "spec.yaml", "--set", "valid-text.params.max_length=12"],
    &["run", "spec.yaml", "--dry-run"],
    &["why", "spec.yaml", "evaluate", "--set", "projection.params.epochs=3"],
    &["path", "spec.yaml", "evaluate"],
    &["graph", "spec.yaml"],
    &["validate", "spec.yaml"],
    &["stages", "load-queries"],
    &["sweep", "sweep.yaml"],
    &["runs"],
    &["runs", "last:2"],
    &["diff", "last:1", "last:2"],
    &["check", "spec.yaml"],
    &["predict", "spec.yaml", "-o", "predictions.jsonl"],
    &["export", "spec.yaml", "evaluate", "-o", "vectors"],
    &["search", "spec.yaml", "a", "-k", "2"],
    &["init", "mine"],
    &["doctor"],
    &["cache", "stats"],
    &["cache", "verify"],
    &["cache", "gc", "--dry-run"],
    &["cache", "push", "spec.yaml"],
    &["cache", "pull", "spec.yaml"],
    &["cache", "stats", "--remote"],
    &["cache", "verify", "--remote"],
    &["cache", "gc", "--remote", "--older-than", "90d"],
];

pub fn page() -> String {
    let project = notebook_with_features();
    project.write("sweep.yaml", SWEEP);
    for name in ["MR_train_imgs.tsv", "MR_train_queries.jsonl", "MR_valid_imgs.tsv", "MR_valid_queries.jsonl"] {
        project.write(&format!("mine/{name}"), "");
    }
    fs::create_dir(project.path("remote")).unwrap();
    run(&project, &[]);
    assert_eq!(project.run(&["check", "spec.yaml", "--accept"]).code, Some(0));
    run(&project, &["--set", "projection.params.epochs=1"]);
    assert_eq!(project.run(&["sweep", "sweep.yaml"]).code, Some(0));
    let mut page = vec!["# JSON".to_owned(), String::new()];
    page.push(wrapped(
        "",
        "The shapes that commands print on stdout with `--json`: one example each, in which values stand for their \
         types, the first item of a list for all and STAGE for the names of stages. More fields may come; those below \
         stay. The events of `run --json` and `runs RUN --json` are on [a page of their own](events.md).",
    ));
    page.extend(COMMANDS.iter().map(|words| section(&project, words)));
    page.join("\n") + "\n"
}

fn section(project: &Project, words: &[&str]) -> String {
    let args = [words, &["--json"]].concat();
    let mut command = project.command(&args);
    if words.iter().any(|word| ["push", "pull", "--remote"].contains(word)) {
        command.env("PIPELINE_REMOTE", format!("file://{}", project.path("remote").display()));
    }
    let output = command.output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    let shape = serde_json::to_string_pretty(&shape(&json)).unwrap();
    format!("\n## `pipeline {}`\n\n```json\n{shape}\n```", args.join(" "))
}

/// The value with its texts and numbers replaced by the names of their types.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "true or false".into(),
        Value::Number(_) => "number".into(),
        Value::String(text) => text_kind(text).into(),
        Value::Array(items) => items.iter().map(shape).reduce(merged).into_iter().collect(),
        Value::Object(fields) => object(fields),
    }
}

fn text_kind(text: &str) -> &'static str {
    let is_hex = text.chars().all(|letter| letter.is_ascii_hexdigit());
    if is_hex && text.len() == 64 { "digest" } else { "text" }
}

/// An object whose keys are stages, metrics or files stands for all of them by its first.
fn object(fields: &Map<String, Value>) -> Value {
    let is_of = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
    let name = match () {
        () if is_of(&["projection", "evaluate"]) && !is_of(&["stage", "name"]) => "STAGE",
        () if is_of(&["mean_recall", "loss"]) => "METRIC",
        () if is_of(&["metrics.json"]) => "FILE",
        () if fields.keys().any(|name| name.contains(".params.")) => "PARAM",
        () => return fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect::<Map<_, _>>().into(),
    };
    let shapes = fields.values().map(shape).reduce(merged).unwrap_or(Value::Null);
    Value::Object(Map::from_iter([(name.to_owned(), shapes)]))
}

/// The union of both shapes: fields of either, and a type where the other has null or nothing.
fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            for (name, value) in other {
                let known = one.remove(&name);
                one.insert(name, known.map_or(value.clone(), |known| merged(known, value)));
            }
            let names: BTreeSet<String> = one.keys().cloned().collect();
            names.into_iter().filter_map(|name| one.remove_entry(&name)).collect::<Map<_, _>>().into()
        }
        (Value::Array(one), Value::Array(other)) => one.into_iter().chain(other).reduce(merged).into_iter().collect(),
        (Value::Null, other) => other,
        (one, _) => one,
    }
}
