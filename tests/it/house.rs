//! The house is as ARCHITECTURE.md says: who may know whom, and the shape of the source files.

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
        let known = &crates[&row[0]].shipped;
        let known: BTreeSet<_> = known.iter().filter(|name| name.starts_with("pipeline-")).cloned().collect();
        assert_eq!(known, allowed, "what {} knows and what the table says", row[0]);
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
            let found: Vec<_> = known.shipped.intersection(&dependencies).collect();
            assert!(found.is_empty() || allowed.contains(name), "{name} depends on {found:?}, only for {allowed:?}");
        }
        let used = |dependency: &&String| crates.values().any(|known| known.any(dependency));
        let unused: Vec<_> = dependencies.iter().filter(|dependency| !used(dependency)).collect();
        assert!(unused.is_empty(), "ARCHITECTURE.md names {unused:?}, which no crate depends on");
        let needless: Vec<_> =
            allowed.iter().filter(|name| !dependencies.iter().any(|it| crates[*name].any(it))).collect();
        assert!(needless.is_empty(), "{needless:?} may use {dependencies:?} and use none of them");
    }
}

/// What belongs to the program and not to libraries, and the files of libraries that may have it for a reason.
const FOR_THE_PROGRAM: [(&[&str], &[&str]); 3] = [
    (&["print!(", "println!(", "eprint!(", "eprintln!(", "process::exit"], &[]),
    (
        &["env::var", "env::args", "env::current_dir", "env::home_dir", "env::temp_dir"],
        // The framework reads CUDA_PATH by itself; the system's temporary folder is named in an error.
        &["pipeline-models/src/gpu/probe/toolkit.rs", "pipeline-store/src/cas/trees.rs"],
    ),
    (&["available_parallelism"], &[]),
];

#[test]
fn only_the_program_prints_exits_and_reads_its_surroundings() {
    for (patterns, exceptions) in FOR_THE_PROGRAM {
        let mut found = files_with(patterns);
        found.retain(|file| !file.starts_with("pipeline-cli/"));
        let exceptions = exceptions.iter().map(|file| (*file).to_owned()).collect();
        assert_eq!(found, exceptions, "libraries with one of {patterns:?}");
    }
}

/// The folder of pipeline-models that burn and GPUs lie in, and the one file there that asks for their features.
const DOOR: &str = "src/gpu/";
const ASKS: &str = "src/gpu/mod.rs";

#[test]
fn all_of_burn_and_gpus_lies_behind_one_door() {
    let folder = root().join("crates/pipeline-models");
    let mut files = Vec::new();
    collect_sources(&folder, &mut files);
    let texts = files.iter().map(|file| {
        let path = file.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        (path, fs::read_to_string(file).unwrap())
    });
    let texts: BTreeMap<String, String> = texts.collect();
    let strays: Vec<_> = texts.iter().flat_map(|(path, text)| strays(path, text)).collect();
    assert!(strays.is_empty(), "outside of {DOOR}: {strays:#?}");
    let n_behind = texts.iter().filter(|(path, text)| path.starts_with(DOOR) && text.contains("use burn")).count();
    assert!(n_behind > 5, "{n_behind} files of {DOOR} use burn: has the door moved?");
    let n_places = code_lines(&texts[ASKS]).filter(|line| asks_for_a_gpu(line)).count();
    assert!((4..=20).contains(&n_places), "{ASKS} asks for the features in {n_places} places");
}

#[test]
fn a_line_that_strays_from_the_door_is_found() {
    let text =
        "//! Not burn.\nuse burn_cuda::Cuda;\n#[cfg(not(feature=\"cuda\"))]\nmod model;\nlibloading::Library::new()\n";
    let found = |path: &str| strays(path, text).len();
    assert_eq!((found("src/families/bert/mod.rs"), found("src/gpu/cuda.rs"), found(ASKS)), (3, 1, 0));
}

/// The lines of code of pipeline-models that name burn or ask for the feature `cuda` or `wgpu` where they must not.
fn strays(path: &str, text: &str) -> Vec<String> {
    let names_it = |line: &str| ["burn", "cubecl", "libloading"].iter().any(|name| line.contains(name));
    let strays = |line: &&str| names_it(line) && !path.starts_with(DOOR) || asks_for_a_gpu(line) && path != ASKS;
    code_lines(text).filter(strays).map(|line| format!("{path}: {line}")).collect()
}

fn asks_for_a_gpu(line: &str) -> bool {
    let line = line.replace(' ', "");
    ["cuda", "wgpu"].iter().any(|gpu| line.contains(&format!("feature=\"{gpu}\"")))
}

/// The types of pipeline-eval that take names of metrics apart; all others hold results.
const NAMES: [&str; 2] = ["MetricName", "HeldOutMetric"];

/// The page shows results and computes nothing: it takes types from pipeline-eval and calls functions of names only.
#[test]
fn the_report_calls_no_function_of_the_evaluation() {
    let mut files = Vec::new();
    collect_sources(&root().join("crates/pipeline-report/src"), &mut files);
    let sources: Vec<_> = files.iter().map(|file| (file, code(file).collect::<Vec<_>>().join("\n"))).collect();
    let is_type = |name: &str| name.starts_with(|first: char| first.is_ascii_uppercase());
    let taken: BTreeSet<_> = sources.iter().flat_map(|(_, source)| names_taken_from("pipeline_eval", source)).collect();
    assert!(taken.contains("Interval") && taken.contains("Analysis"), "{taken:?} is taken from pipeline-eval");
    let others: Vec<_> = taken.iter().filter(|name| !is_type(name)).collect();
    assert!(
        others.is_empty(),
        "{others:?} are no types: compute their results before rendering, and pass them as facts"
    );
    for (file, source) in &sources {
        let called = taken.iter().find(|name| !NAMES.contains(name) && calls_through(name, source));
        assert!(called.is_none(), "{} calls a function of {called:?}", file.display());
    }
}

#[test]
fn names_are_found_however_a_source_takes_them() {
    let taken = |source| names_taken_from("other", source).join(" ");
    assert_eq!(taken("use other::a::{B, c::{D, e}};\nuse another::f;\nlet g = other::h(other::I::J);"), "B D e h J");
    assert_eq!(taken("use other as o;\nuse other;\nuse other::*;\nuse other::{self, K as l};"), "as ; * self K as l");
    assert!(calls_through("B", "let b = B::new();") && calls_through("B", "map(B::of)"));
    assert!(!calls_through("B", "B::ALL, AB::new(), B { c }, Vec::<B>::new()"));
}

#[test]
fn the_names_of_metrics_are_taken_apart_and_put_together_in_one_place() {
    const PARTS: [&str; 9] = [
        "\"i2t_",
        "_low\"",
        "_high\"",
        "\"recall_at_",
        "\"fraction_recall_at_",
        "\"ndcg_at_",
        "\"valid_\"",
        "\"valid_mean_recall",
        "\"valid_recall_at_",
    ];
    let found = files_with(&PARTS);
    let place = ["mod.rs", "quantity.rs"].map(|file| format!("pipeline-eval/src/metric_name/{file}"));
    assert_eq!(found, BTreeSet::from(place), "files with a part of a metric's name, such as {}", PARTS[0]);
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
fn no_line_of_the_program_is_longer_than_a_window() {
    const MOST_CHARACTERS: usize = 120;
    let mut files = Vec::new();
    collect_sources(&root().join("crates"), &mut files);
    // Tests quote specs and messages, whose lines are as long as they are.
    files.retain(|file| file.components().any(|folder| folder.as_os_str() == "src") && !is_for_tests(file));
    assert!(files.len() > 300, "{} source files found", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let long = text.lines().position(|line| line.chars().count() > MOST_CHARACTERS && !line.starts_with("//! |"));
        assert_eq!(
            long.map(|line_idx| line_idx + 1),
            None,
            "{}: more than {MOST_CHARACTERS} characters",
            file.display()
        );
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

/// The source files of all crates, below `crates`, with one of these texts outside of comments and tests.
fn files_with(patterns: &[&str]) -> BTreeSet<String> {
    let crates = root().join("crates");
    let mut files = Vec::new();
    collect_sources(&crates, &mut files);
    let files = files.iter().map(|file| file.strip_prefix(&crates).unwrap());
    files
        .filter(|file| file.components().nth(1).is_some_and(|folder| folder.as_os_str() == "src"))
        .filter(|file| !is_for_tests(file))
        .filter(|file| code(&crates.join(file)).any(|line| patterns.iter().any(|pattern| line.contains(pattern))))
        .map(|file| file.to_str().unwrap().to_owned())
        .collect()
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

/// What a crate depends on.
#[derive(Default)]
struct Known {
    /// In the program, whatever the target and the features.
    shipped: BTreeSet<String>,
    /// In tests and examples only.
    tested: BTreeSet<String>,
}

impl Known {
    fn any(&self, name: &str) -> bool {
        self.shipped.contains(name) || self.tested.contains(name)
    }
}

/// The dependencies of every crate as cargo reads the manifests.
fn dependencies_by_crate() -> BTreeMap<String, Known> {
    let args = ["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"];
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut crates: BTreeMap<String, Known> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let known = crates.entry(package["name"].as_str().unwrap().to_owned()).or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let names = if dependency["kind"] == "dev" { &mut known.tested } else { &mut known.shipped };
            names.insert(dependency["name"].as_str().unwrap().to_owned());
        }
    }
    crates
}

/// The last name of each path into a crate; where no path follows the name of the crate, the next word.
fn names_taken_from<'a>(name: &str, source: &'a str) -> Vec<&'a str> {
    let words = words(source);
    let mut taken = Vec::new();
    for at in (0..words.len()).filter(|at| words[*at] == name) {
        let mut depth = 0;
        for idx in at + 1..words.len() {
            match words[idx] {
                "{" => depth += 1,
                "}" => depth -= 1,
                "::" | "," => {}
                _ if words.get(idx + 1) == Some(&"::") => {}
                word => taken.push(word),
            }
            if depth == 0 && words[idx] != "::" && words.get(idx + 1) != Some(&"::") {
                break;
            }
        }
    }
    taken
}

/// Whether a source names a function of a type, as `Type::function`.
fn calls_through(name: &str, source: &str) -> bool {
    let is_function = |word: &str| word.starts_with(|first: char| first.is_ascii_lowercase());
    words(source).windows(3).any(|three| three[0] == name && three[1] == "::" && is_function(three[2]))
}

/// The words of a source: identifiers, `::`, and each other character that is no space.
fn words(source: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = match first {
            first if is_part(first) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            _ if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    words
}

/// Whether a source file is compiled for tests only.
fn is_for_tests(file: &Path) -> bool {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    stem.ends_with("tests") || stem == "fixtures" || file.components().any(|folder| folder.as_os_str() == "tests")
}

/// The lines of a source file before its tests, without comments.
fn code(file: &Path) -> impl Iterator<Item = String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines: Vec<_> = code_lines(code).map(str::to_owned).collect();
    lines.into_iter()
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
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
