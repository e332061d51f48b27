//! The exit codes and the events of a run, from the docs of their types.

use super::markdown::{item, wrapped};
use super::rust::{Documented, members};

pub fn exit_codes() -> String {
    let mut page = vec!["# Exit codes".to_owned(), String::new(), "| code | means |".into(), "|---|---|".into()];
    let codes = std::fs::read_to_string(super::root().join("crates/pipeline-cli/src/exit.rs")).unwrap();
    let mut rows: Vec<(u8, String)> = members("pipeline-cli", "pub enum Exit")
        .into_iter()
        .map(|variant| {
            let arm = codes.split_once(&format!("Self::{} => ", variant.name)).unwrap().1;
            (arm.split(',').next().unwrap().parse().unwrap(), variant.doc)
        })
        .collect();
    rows.sort_unstable();
    page.extend(rows.into_iter().map(|(code, doc)| format!("| {code} | {doc} |")));
    page.push(String::new());
    page.push(wrapped(
        "",
        "stdout carries data and stderr everything else, so that a command's output can be piped whatever it reports. \
         `serve` ends with 0 at the first SIGINT or SIGTERM, which are its usual end.",
    ));
    page.join("\n") + "\n"
}

pub fn events() -> String {
    let mut page = vec!["# Events of a run".to_owned(), String::new()];
    page.push(wrapped(
        "",
        "`pipeline run SPEC --json` streams the events of a run to stdout, `artifacts/runs/<id>/events.jsonl` keeps \
         them, and `pipeline runs RUN --json` prints them again: one JSON object a line. Each has `event`, the name \
         below, and `at_ms`, the time in milliseconds since 1970-01-01 UTC. More fields may come; those below stay.",
    ));
    for event in members("pipeline-core", "pub enum Event") {
        page.extend([String::new(), format!("## `{}`", kebab(&event.name)), String::new(), wrapped("", &event.doc)]);
        page.push(String::new());
        page.extend(fields(&event.fields));
    }
    let types = [
        ("pub struct StageReport", "The field `report`"),
        ("pub enum Work", "The kinds of work in `report.seconds`"),
        ("pub enum RunReason", "The field `why`"),
    ];
    for (name, title) in types {
        page.extend([String::new(), format!("## {title}"), String::new()]);
        for member in members("pipeline-core", name).iter().filter(|member| is_listed(member)) {
            if name.contains("enum") {
                page.push(item(0, &kebab(&member.name), "", &member.doc));
                page.extend(member.fields.iter().map(|field| item(1, &field.name, &words(&field.rest), &field.doc)));
            } else {
                page.extend(fields(std::slice::from_ref(member)));
            }
        }
    }
    page.join("\n") + "\n"
}

/// Whether a member is a name of the JSON: not where serde skips it, or a variant holds any other name.
fn is_listed(member: &Documented) -> bool {
    !member.is_skipped && !member.name.contains('(')
}

fn fields(fields: &[Documented]) -> Vec<String> {
    fields.iter().map(|field| item(0, &field.name, &words(&field.rest), &field.doc)).collect()
}

/// A Rust type in the words of its JSON.
fn words(rust: &str) -> String {
    let inner = |prefix: &str| rust.strip_prefix(prefix)?.strip_suffix('>');
    if let Some(inner) = inner("Option<") {
        return format!("{} or null", words(inner));
    }
    if let Some(inner) = inner("Vec<") {
        return format!("list: {}", words(inner));
    }
    if let Some((key, value)) = inner("BTreeMap<").and_then(|inner| inner.split_once(", ")) {
        return format!("object: {} by {}", words(value), words(key));
    }
    match rust.rsplit("::").next().unwrap() {
        "String" | "Outcome" | "Device" | "Owner" => "text",
        "u64" | "usize" | "u32" | "u16" => "whole number",
        "f64" => "number",
        "bool" => "true or false",
        "StageId" => "stage",
        "StageNode" => "`{stage, kind, inputs}`",
        "Reader" => "stage or path",
        "RunId" => "run",
        "Key" | "ArtifactDigest" | "Digest" => "digest",
        "StageReport" => "`report`",
        "RunReason" => "`why`",
        "Metrics" => "numbers by name",
        "Work" => "work",
        "LineChange" => "`{name, old, new}`",
        other => other,
    }
    .to_owned()
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (idx, letter) in name.char_indices() {
        if letter.is_uppercase() && idx > 0 {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
    }
    kebab
}
