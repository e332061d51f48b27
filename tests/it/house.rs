//! The house is as ARCHITECTURE.md says: who may know whom, and the shape of the source files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

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
fn no_source_file_is_longer_than_a_reader_can_hold() {
    const MOST_LINES: usize = 450;
    let mut files = Vec::new();
    collect_sources(&root().join("crates"), &mut files);
    collect_sources(&root().join("tests"), &mut files);
    files.retain(|file| fs::read_to_string(file).unwrap().lines().count() > MOST_LINES);
    assert!(files.is_empty(), "more than {MOST_LINES} lines: {files:?}");
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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
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
