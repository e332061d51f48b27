//! Every command of the tutorial and of the README runs as printed there, with the output printed there.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::project::{Project, copy};

/// A piece of the tutorial on which the reader acts.
#[derive(Debug)]
enum Step {
    /// A file to write.
    File { path: String, text: String },
    /// A command, and the lines that it prints; `…` stands for anything.
    Command { line: String, printed: Vec<String> },
}

#[test]
fn every_command_of_the_tutorial_and_the_readme_prints_what_is_shown() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let (tutorial, readme) = (steps(&read("docs/guide/tutorial.md")), steps(&read("README.md")));
    let is_command = |step: &&Step| matches!(step, Step::Command { .. });
    assert!(tutorial.iter().filter(is_command).count() >= 10 && readme.iter().filter(is_command).count() >= 4);
    let project = Project::new();
    copy(&root.join("pipelines"), &project.path("pipelines"));
    fs::create_dir(project.path("artifacts")).unwrap();
    // The README begins where a run of the demo is the last one, and uses the store that the tutorial has filled.
    let demo = Step::Command { line: "pipeline run demo".to_owned(), printed: vec!["…".to_owned()] };
    for step in tutorial.into_iter().chain([demo]).chain(readme) {
        match step {
            Step::File { path, text } => project.write(&path, &text),
            Step::Command { line, printed } => run(&project, &line, &printed),
        }
    }
}

/// Runs a command as a reader would, in the folder of the project.
fn run(project: &Project, line: &str, printed: &[String]) {
    let program = Path::new(env!("CARGO_BIN_EXE_pipeline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-ec", &format!("exec 2>&1\n{line}")])
        .current_dir(project.path("."))
        .env_remove("PIPELINE_ARTIFACTS")
        .env("PATH", path)
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "`{line}` ended with {:?}:\n{found}", output.status.code());
    if let Some(missing) = first_missing(printed, &found) {
        panic!("`{line}` did not print `{missing}` where the document shows it:\n{found}");
    }
}

/// The first of the lines that is missing in their order; a line `…` skips any number, others must follow directly.
fn first_missing<'a>(expected: &'a [String], found: &str) -> Option<&'a str> {
    let mut found = found.lines().map(str::trim_end);
    let mut may_skip = false;
    for line in expected {
        if line.trim() == "…" {
            may_skip = true;
            continue;
        }
        let is_there = if may_skip {
            found.any(|found| matches(line, found))
        } else {
            found.next().is_some_and(|found| matches(line, found))
        };
        if !is_there {
            return Some(line);
        }
        may_skip = false;
    }
    None
}

/// Whether a line matches, where `…` stands for any text, even an empty one, and spaces count once.
fn matches(expected: &str, found: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = plain(found);
    let expected = plain(expected).replace(" …", "…").replace("… ", "…");
    let mut parts = expected.split('…');
    let Some(mut rest) = found.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || expected.ends_with('…')
}

fn steps(tutorial: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = tutorial.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match language {
            "console" => steps.extend(commands(&block)),
            _ => steps.extend(file(&block)),
        }
    }
    steps
}

/// Lines that begin with `$ ` are commands; the lines after one are its output.
fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step::Command { line: command.to_owned(), printed: Vec::new() }),
            (None, Some(Step::Command { printed, .. })) => printed.push((*line).to_owned()),
            (None, _) => panic!("a console block begins with `{line}`"),
        }
    }
    steps
}

/// A block whose first line is `# path/of/a/file` is that file.
fn file(block: &[&str]) -> Option<Step> {
    let path = block.first()?.strip_prefix("# ")?;
    path.contains('/').then(|| Step::File { path: path.to_owned(), text: block.join("\n") + "\n" })
}

#[test]
fn a_tutorials_lines_are_compared_as_a_reader_would() {
    for (expected, found, same) in [
        ("a  b", "a b", true),
        ("a … c", "a b b c", true),
        ("a … c", "a b c d", false),
        ("a …", "a anything", true),
        ("… 12", "x 12", true),
        ("… 12", "x 12 y", false),
        ("a", "a b", false),
    ] {
        assert_eq!(matches(expected, found), same, "{expected} and {found}");
    }
    let expected = ["one".to_owned(), "…".to_owned(), "four".to_owned()];
    assert_eq!(first_missing(&expected, "one\ntwo\nthree\nfour\n"), None);
    assert_eq!(first_missing(&expected, "one\ntwo\n"), Some("four"));
}
