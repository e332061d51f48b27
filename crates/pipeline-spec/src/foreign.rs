//! Files that are no specs and are named as one: notebooks, scripts, data, the pipelines of DVC.

use std::path::Path;

use crate::SpecError;
use crate::path::is_yaml;

/// The way from a script to a stage.
const COMMAND: &str = "a spec is YAML with `stages`; one of kind `command` runs a script: \
                       `stages: { train: { kind: command, params: { run: [python, train.py], outputs: [model.pt] } } \
}`";

/// The smallest spec, and the way to a whole one.
const WRITE: &str = "a spec is YAML, at least `stages: { NAME: { kind: KIND } }`; `pipeline init` writes one";

/// The way from data to a stage.
const DATA: &str = "a spec is YAML with `stages`, one of which reads this file: \
                    `stages: { queries: { kind: load-queries, params: { path: FILE } } }`; `pipeline init` writes a \
whole one";

/// A kind of file that is no spec.
struct Foreign {
    what: &'static str,
    help: &'static str,
}

/// Files by their endings.
const ENDINGS: &[(&[&str], &str, &str)] = &[
    (&["ipynb"], "a Jupyter notebook", COMMAND),
    (&["py"], "a Python script", COMMAND),
    (&["sh", "bash"], "a shell script", COMMAND),
    (&["jsonl", "tsv", "csv", "parquet"], "a file of data", DATA),
    (&["md", "rst"], "a document", WRITE),
    (&["toml"], "a TOML file", WRITE),
    (&["ini", "cfg"], "an INI file", WRITE),
];

/// Files of other tools by keys that all stand at the begin of a line.
const KEYS: &[(&[&str], &str, &str)] = &[
    (&["on:", "jobs:"], "a workflow of GitHub Actions", WRITE),
    (&["services:"], "a file of Docker Compose", WRITE),
    (&["entry_points:"], "a project of MLflow", COMMAND),
    (&["channels:", "dependencies:"], "an environment of conda", WRITE),
    (
        &["method:", "parameters:"],
        "a sweep of Weights & Biases",
        "a spec has a section for that: `sweep: { STAGE.params.NAME: [VALUE, VALUE] }`",
    ),
    (&["defaults:"], "a configuration of Hydra", "a spec takes the entries of another one by `extends: OTHER.yaml`"),
    (&["rule "], "a Snakefile", COMMAND),
];

/// Files by their first bytes.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x7fELF", "a program"),
];

/// The error for a file that is no spec at all, in place of `error`, which points at a single line of it.
pub(crate) fn or_foreign(error: SpecError) -> SpecError {
    let foreign = error.span.as_ref().and_then(|span| {
        // An option of the command line is no file.
        let path = Some(span.file.path()).filter(|path| !path.to_string_lossy().starts_with("--"))?;
        Some(not_a_spec(path, &kind(span.file.text(), path)?))
    });
    foreign.unwrap_or(error)
}

/// The error for bytes that are no text; `None` where they may be one.
pub(crate) fn binary(bytes: &[u8], path: &Path) -> Option<SpecError> {
    let (_, what) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic))?;
    Some(not_a_spec(path, &Foreign { what, help: WRITE }))
}

fn not_a_spec(path: &Path, Foreign { what, help }: &Foreign) -> SpecError {
    SpecError::new(format!("`{}` is {what}, not a spec", path.display())).with_help(*help)
}

fn kind(text: &str, path: &Path) -> Option<Foreign> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let ends = |(endings, what, help): &(&[&str], &'static str, &'static str)| {
        endings.contains(&ending).then_some(Foreign { what, help })
    };
    let is_spec = text.lines().any(|line| line.starts_with("stages:") || line.starts_with("extends:"));
    let by_ending = if is_spec { None } else { ENDINGS.iter().find_map(ends) };
    by_ending.or_else(|| by_content(text, path))
}

/// The kind of a file by its lines. One with `stages` or `extends` is a spec with a mistake, or of DVC.
fn by_content(text: &str, path: &Path) -> Option<Foreign> {
    let begins = |word: &str| text.lines().any(|line| line.starts_with(word));
    if text.trim_start().starts_with('{') && text.contains("\"nbformat\"") {
        return Some(Foreign { what: "a Jupyter notebook", help: COMMAND });
    }
    if text.starts_with("#!") {
        return Some(Foreign { what: "a script", help: COMMAND });
    }
    if is_of_dvc(text) {
        return Some(Foreign {
            what: "a pipeline of DVC",
            help: "write `cmd` as `kind: command` with `params: { run: [python, train.py], outputs: [model.pt] }`, and \
                   `deps` as `inputs` or `sources`; docs/guide/dvc.md has a table",
        });
    }
    if begins("stages:") || begins("extends:") || text.contains("\"stages\"") {
        return None;
    }
    if ["import ", "from ", "def ", "class "].iter().any(|word| begins(word)) {
        return Some(Foreign { what: "a Python script", help: COMMAND });
    }
    let has_all = |(keys, what, help): &(&[&str], &'static str, &'static str)| {
        keys.iter().all(|key| begins(key)).then_some(Foreign { what, help })
    };
    KEYS.iter().find_map(has_all).or_else(|| by_form(text, path))
}

/// The kind of a file by the form of its lines.
fn by_form(text: &str, path: &Path) -> Option<Foreign> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let is_section = |line: &str| line.starts_with('[') && line.ends_with(']') && !line.contains([',', ':', ' ']);
    let is_setting = |line: &str| line.split_once('=').is_some_and(|(name, _)| is_word(name.trim()));
    let is_object = |line: &str| line.starts_with('{') && line.ends_with('}');
    let is_recipe = path.file_name().is_some_and(|name| name == "Makefile");
    match () {
        () if is_recipe => Some(Foreign { what: "a Makefile", help: COMMAND }),
        () if lines().next().is_some_and(is_section) && lines().nth(1).is_some_and(is_setting) => {
            Some(Foreign { what: "a TOML or INI file", help: WRITE })
        }
        () if lines().count() > 1 && lines().take(2).all(is_object) => {
            Some(Foreign { what: "JSON Lines, a file of data", help: DATA })
        }
        () if text.trim_start().starts_with(['{', '[']) && !is_yaml(path) => {
            Some(Foreign { what: "a JSON file without `stages`", help: WRITE })
        }
        () if lines().next().is_some_and(|line| !line.contains(':')) && !is_yaml(path) => {
            Some(Foreign { what: "a text", help: WRITE })
        }
        () => None,
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|sign| sign.is_alphanumeric() || "-_.".contains(sign))
}

/// Whether a stage of the text has a key that only those of DVC have.
fn is_of_dvc(text: &str) -> bool {
    let keys = text.lines().filter(|line| line.starts_with(' ')).map(str::trim_start);
    let is_own = |line: &str| ["cmd:", "deps:", "outs:"].iter().any(|key| line.starts_with(key));
    text.lines().any(|line| line.starts_with("stages:")) && keys.filter(|line| is_own(line)).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_named() {
        for (name, text, what) in [
            ("a.ipynb", r#"{"cells": [], "nbformat": 4}"#, "a Jupyter notebook"),
            ("a.yaml", r#"{"cells": [], "nbformat": 4}"#, "a Jupyter notebook"),
            ("train.py", "for x in y:\n    print(x)\n", "a Python script"),
            ("a.yaml", "import torch\nfor x in y:\n  print(x)\n", "a Python script"),
            ("q.jsonl", "{\"query_id\": 1}\n{\"query_id\": 2}\n", "a file of data"),
            ("dvc.yaml", "stages:\n  a:\n    cmd: python a.py\n    deps: [x]\n", "a pipeline of DVC"),
            ("pipeline.toml", "[a]\nb = 1\n", "a TOML file"),
            ("a.yaml", "[project]\nname = \"x\"\n", "a TOML or INI file"),
            ("a.yaml", "{\"query_id\": 1}\n{\"query_id\": 2}\n", "JSON Lines, a file of data"),
            ("a.json", "{\"epochs\": 1}", "a JSON file without `stages`"),
            ("a.txt", "hello world\n", "a text"),
            ("README.md", "# A\n\n- b: c\n", "a document"),
            ("Makefile", "all: a\n\tb\n", "a Makefile"),
            ("ci.yaml", "name: ci\non: push\njobs:\n  a: { runs-on: x }\n", "a workflow of GitHub Actions"),
            ("sweep.yaml", "method: grid\nparameters: {}\n", "a sweep of Weights & Biases"),
            ("env.yaml", "name: a\nchannels: []\ndependencies: []\n", "an environment of conda"),
        ] {
            let error = crate::parse(text, Path::new(name)).unwrap_err();
            assert_eq!(error.message, format!("`{name}` is {what}, not a spec"), "{text}");
            assert!(error.help.is_some());
        }
        let error = crate::parse("stages:\n  a: { knd: command }\n", Path::new("a.yaml")).unwrap_err();
        assert_eq!(error.message, "unknown key `knd`");
        let error = crate::parse("stages:\n  a: { knd: command }\n", Path::new("shop.cfg")).unwrap_err();
        assert_eq!(error.message, "unknown key `knd`", "a spec may have any ending");
        let error = binary(b"\x89PNG\r\n", Path::new("a.png")).unwrap();
        assert_eq!(error.message, "`a.png` is a PNG image, not a spec");
    }
}
