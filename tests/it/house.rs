//! The house is as its documents say: who may know whom, the README's tables, the shape of the source files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn crates_know_only_the_crates_that_the_architecture_allows() {
    let crates = dependencies_by_crate();
    let table = table_under("ARCHITECTURE.md", "## Who may know whom", 0);
    let documented: BTreeSet<_> = table.iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, crates.keys().cloned().collect(), "ARCHITECTURE.md names every crate once");
    for row in &table {
        if row[1] == "all" {
            continue;
        }
        let allowed = names(&row[1]);
        let known: BTreeSet<_> = crates[&row[0]].iter().filter(|name| name.starts_with("pipeline-")).cloned().collect();
        assert!(known.is_subset(&allowed), "{} may know {allowed:?} and knows {known:?}", row[0]);
    }
}

#[test]
fn outside_crates_are_named_only_where_the_architecture_says() {
    let crates = dependencies_by_crate();
    let table = table_under("ARCHITECTURE.md", "## Who may know whom", 1);
    assert!(!table.is_empty());
    for row in &table {
        let (dependencies, allowed) = (names(&row[0]), names(&row[1]));
        for (name, known) in &crates {
            let found: Vec<_> = known.intersection(&dependencies).collect();
            assert!(found.is_empty() || allowed.contains(name), "{name} depends on {found:?}, only for {allowed:?}");
        }
        let used = crates.values().any(|known| !known.is_disjoint(&dependencies));
        assert!(used, "nobody depends on any of {dependencies:?}: is the table out of date?");
    }
}

#[test]
fn the_readme_lists_the_stage_kinds_as_the_program_does() {
    let kinds: serde_json::Value = serde_json::from_str(&stdout(&["stages", "--json"])).unwrap();
    let printed: Vec<_> = kinds.as_array().unwrap().iter().map(kind_row).collect();
    assert_eq!(table_under("README.md", "## Stage kinds", 0), printed);
}

#[test]
fn the_readme_lists_the_commands_as_the_help_does() {
    let help = stdout(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let printed: Vec<Vec<String>> = commands
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(name, about)| vec![format!("`{name}`"), about.trim().to_owned()])
        .filter(|row| row[0] != "`help`")
        .collect();
    assert_eq!(table_under("README.md", "## Commands", 0), printed);
}

#[test]
fn every_sweep_of_the_experiments_has_its_line_in_their_document() {
    let folder = root().join("pipelines/experiments");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let links: BTreeSet<_> = names
        .filter(|name| name != "base.yaml")
        .map(|name| format!("[{name}](../pipelines/experiments/{name})"))
        .collect();
    let table = table_under("docs/experiments.md", "# Experiments on the demo", 0);
    assert_eq!(table.iter().map(|row| row[0].clone()).collect::<BTreeSet<_>>(), links);
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "artifacts/README.md",
        "docs/ci.md",
        "docs/command.md",
        "docs/experiments.md",
        "docs/sources.md",
        "docs/statistics.md",
        "docs/training.md",
        "docs/tutorial.md",
        "pipelines/demo/README.md",
    ] {
        let text = read(document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            let beside = root().join(document).parent().unwrap().join(target);
            assert!(target.starts_with("https://") || beside.exists(), "{document} links to {target}");
        }
    }
}

#[test]
fn every_source_file_begins_with_what_it_is_for() {
    let mut files = Vec::new();
    collect_sources(&root().join("crates"), &mut files);
    collect_sources(&root().join("tests"), &mut files);
    assert!(files.len() > 30, "{} source files found", files.len());
    files.retain(|file| !fs::read_to_string(file).unwrap().starts_with("//! "));
    assert!(files.is_empty(), "no `//!` line at the top of {files:?}");
}

/// The kind, its inputs and its summary, as the README writes them.
fn kind_row(kind: &serde_json::Value) -> Vec<String> {
    let text = |name: &str| kind[name].as_str().unwrap().to_owned();
    let inputs = match kind["inputs"].as_array() {
        None => "any".to_owned(),
        Some(slots) if slots.is_empty() => "–".to_owned(),
        Some(slots) => {
            let name = |slot: &serde_json::Value| match slot["is_required"] == true {
                true => format!("`{}`", slot["name"].as_str().unwrap()),
                false => format!("[`{}`]", slot["name"].as_str().unwrap()),
            };
            slots.iter().map(name).collect::<Vec<_>>().join(", ")
        }
    };
    vec![format!("`{}`", text("kind")), inputs, text("summary")]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pipeline")).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of the nth table below a heading, without its head.
fn table_under(document: &str, heading: &str, table_idx: usize) -> Vec<Vec<String>> {
    let text = read(document);
    let section: Vec<_> = text.lines().skip_while(|line| *line != heading).skip(1).collect();
    let section = section.split(|line| line.starts_with("## ")).next().unwrap_or_default();
    let mut tables = section.split(|line| !line.starts_with('|')).filter(|table| !table.is_empty());
    let table = tables.nth(table_idx).unwrap_or_else(|| panic!("{document} has no such table under `{heading}`"));
    table.iter().skip(2).map(|line| cells(line)).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split(',').map(str::trim).filter(|name| *name != "–").map(str::to_owned).collect()
}

/// The names under `[dependencies]` of every crate; what only tests need is free.
fn dependencies_by_crate() -> BTreeMap<String, BTreeSet<String>> {
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap());
    folders
        .map(|folder| {
            let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
            let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
            let dependencies = lines
                .take_while(|line| !line.starts_with('['))
                .filter(|line| line.contains('=') && !line.starts_with('#'))
                .filter_map(|line| line.split(['.', ' ', '=']).next())
                .map(str::to_owned)
                .collect();
            (folder.file_name().into_string().unwrap(), dependencies)
        })
        .collect()
}

fn collect_sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
