//! Commands from their help, stage kinds from the registry, keys of a spec from the JSON Schema.

use serde_json::Value;

use super::markdown::{item, wrapped};
use crate::project::Project;

/// The exact output of the program.
fn printed(args: &[&str]) -> String {
    let output = Project::new().command(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub fn commands() -> String {
    let mut page = "# Commands\n\n`pipeline COMMAND --help` prints the same.\n".to_owned();
    page.push_str(&help(&[]));
    for name in listed(&printed(&["--help"])) {
        page.push_str(&format!("\n## `pipeline {name}`\n{}", help(&[&name])));
        for sub in listed(&printed(&[&name, "--help"])) {
            page.push_str(&format!("\n### `pipeline {name} {sub}`\n{}", help(&[&name, &sub])));
        }
    }
    page
}

fn help(words: &[&str]) -> String {
    let text = printed(&[words, &["--help"]].concat());
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    format!("\n```text\n{}\n```\n", lines.join("\n"))
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

pub fn kinds() -> String {
    let kinds: Value = serde_json::from_str(&printed(&["stages", "--json"])).unwrap();
    let kinds = kinds.as_array().unwrap();
    let mut page = vec!["# Stage kinds".to_owned(), String::new()];
    page.push(wrapped(
        "",
        "`pipeline stages` lists them and `pipeline stages KIND` prints one of them, `--json` with its JSON Schema. \
         Inputs in brackets may be left out.",
    ));
    page.extend([String::new(), "| kind | inputs | does |".into(), "|---|---|---|".into()]);
    page.extend(kinds.iter().map(|kind| {
        let name = text(kind, "kind");
        format!("| [`{name}`](#{name}) | {} | {} |", inputs(kind), text(kind, "summary"))
    }));
    page.extend(kinds.iter().map(kind));
    page.join("\n") + "\n"
}

fn inputs(kind: &Value) -> String {
    let Some(slots) = kind["inputs"].as_array() else { return "any".to_owned() };
    if slots.is_empty() {
        return "–".to_owned();
    }
    let name = |slot: &Value| match slot["is_required"] == true {
        true => format!("`{}`", text(slot, "name")),
        false => format!("[`{}`]", text(slot, "name")),
    };
    slots.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The section of a kind: the output of `pipeline stages KIND`, as lists.
fn kind(kind: &Value) -> String {
    let name = text(kind, "kind");
    let described = printed(&["stages", name]);
    let (head, params) = described.split_once("\nparams\n").unwrap();
    let (_, about) = head.split_once("\ninputs\n").unwrap();
    let mut lines = vec![String::new(), format!("## {name}"), String::new()];
    lines.push(wrapped("", &format!("{}. Version {}.", text(kind, "summary"), kind["version"])));
    let slots = kind["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !slots.is_empty() {
        lines.extend([String::new(), "Inputs:".into(), String::new()]);
        lines.extend(slots.iter().map(|slot| {
            let remark = if slot["is_required"] == true { "" } else { "optional" };
            item(0, text(slot, "name"), remark, text(slot, "summary"))
        }));
    }
    let paragraphs = about.split("\n\n").skip(1).filter(|paragraph| !paragraph.trim().is_empty());
    lines.extend(paragraphs.flat_map(|paragraph| [String::new(), wrapped("", paragraph)]));
    lines.extend([String::new(), "Params:".into(), String::new()]);
    lines.extend(params.lines().map(param));
    lines.join("\n")
}

/// A line such as `  name (type; default): description`, or deeper `      value: description`.
fn param(line: &str) -> String {
    let depth = if line.starts_with("      ") { 1 } else { 0 };
    let line = line.trim();
    match line.split_once(" (").filter(|_| depth == 0) {
        Some((name, rest)) => {
            let (remark, description) = rest.split_once("): ").unwrap();
            item(0, name, remark, description)
        }
        None => {
            let (value, description) = line.split_once(": ").unwrap();
            item(depth, value, "", description)
        }
    }
}

pub fn spec() -> String {
    let schema: Value = serde_json::from_str(&printed(&["schema"])).unwrap();
    let mut page = vec!["# Keys of a spec".to_owned(), String::new()];
    page.push(wrapped(
        "",
        "`pipeline schema` prints the JSON Schema behind this page, for editors. Relative paths start at the folder of \
         the spec. A key that is not listed is an error that names the nearest one. An overlay (`extends`) removes an \
         entry with `null`.",
    ));
    for (title, object) in [
        ("The spec", &schema),
        ("A stage: `stages.NAME`", &schema["$defs"]["stage"]),
        ("How points are drawn: `sweep`, beside its axes", &schema["properties"]["sweep"]),
        ("Bad points stopped early: `sweep.halving`", &schema["properties"]["sweep"]["properties"]["halving"]),
        ("A range of an axis: `sweep.STAGE.params.NAME`", &schema["$defs"]["sweep-range"]),
        ("A rule of the gate: `check.METRIC`", &schema["$defs"]["check-rule"]),
        ("A paired test: `check.METRIC.paired`", &schema["$defs"]["check-rule"]["properties"]["paired"]),
    ] {
        page.extend([String::new(), format!("## {title}"), String::new()]);
        let properties = object["properties"].as_object().unwrap();
        page.extend(properties.iter().map(|(name, value)| {
            let remark = words(value);
            item(0, name, &remark, value["description"].as_str().unwrap_or_default())
        }));
    }
    page.push(String::new());
    page.push("The params of each kind are on [the page of kinds](kinds.md).".to_owned());
    page.join("\n") + "\n"
}

/// The type of a value, its range and its default, in words.
fn words(schema: &Value) -> String {
    let mut words = vec![kind_of_value(schema)];
    for (name, before) in [("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most")] {
        words.extend(schema.get(name).map(|limit| format!("{before} {limit}")));
    }
    if let Some(pattern) = schema["propertyNames"]["pattern"].as_str() {
        words.push(format!("names match `{pattern}`"));
    }
    words.extend(schema.get("default").map(|value| format!("default {value}")));
    words.retain(|word| !word.is_empty());
    words.join("; ")
}

fn kind_of_value(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return if values.len() > 4 { "one of the kinds".to_owned() } else { values.join(" | ") };
    }
    let name = |name: &str| {
        match name {
            "object" => "names and values",
            "string" => "text",
            "boolean" => "true | false",
            "integer" => "whole number",
            "array" => "list",
            other => return other.to_owned(),
        }
        .to_owned()
    };
    match &schema["type"] {
        Value::String(only) => name(only),
        Value::Array(types) => {
            let types = types.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            types.map(name).collect::<Vec<_>>().join(" | ")
        }
        _ => String::new(),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}
