//! Files that are no specs and are named as one: notebooks, scripts, data, the pipelines of DVC.

use std::path::Path;

use crate::SpecError;

/// The way from a script to a stage.
const COMMAND: &str = "a spec is YAML with `stages`; a stage of kind `command` runs a script: \
                       `params: { run: [python, train.py], outputs: [model.pt] }`";

/// A kind of file that is no spec.
struct Foreign {
    what: &'static str,
    help: &'static str,
}

/// The error for a file that is no spec at all, in place of `error`, which points at a single line of it.
pub(crate) fn or_foreign(error: SpecError) -> SpecError {
    let foreign = error.span.as_ref().and_then(|span| {
        let Foreign { what, help } = kind(span.file.text(), span.file.path())?;
        Some(SpecError::new(format!("`{}` is {what}, not a spec", span.file.display())).with_help(help))
    });
    foreign.unwrap_or(error)
}

fn kind(text: &str, path: &Path) -> Option<Foreign> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let begins = |words: &[&str]| text.lines().any(|line| words.iter().any(|word| line.starts_with(word)));
    let is_notebook = text.trim_start().starts_with('{') && text.contains("\"nbformat\"");
    let is_python = begins(&["import ", "from ", "def ", "class ", "#!/usr/bin/env python"]);
    match ending {
        "ipynb" => Some(Foreign { what: "a Jupyter notebook", help: COMMAND }),
        _ if is_notebook => Some(Foreign { what: "a Jupyter notebook", help: COMMAND }),
        "py" => Some(Foreign { what: "a Python script", help: COMMAND }),
        "sh" | "bash" => Some(Foreign { what: "a shell script", help: COMMAND }),
        _ if text.starts_with("#!") => Some(Foreign { what: "a script", help: COMMAND }),
        "jsonl" | "tsv" | "csv" | "parquet" => Some(Foreign {
            what: "a file of data",
            help: "a spec is YAML with `stages`; a stage reads data by its `path`",
        }),
        "md" => Some(Foreign { what: "a document", help: "a spec is YAML with `stages`; `pipeline init` writes one" }),
        "toml" => Some(Foreign {
            what: "a TOML file",
            help: "a spec is YAML with `stages`; `pipeline.toml` only marks the root of a project",
        }),
        _ if is_of_dvc(text) => Some(Foreign {
            what: "a pipeline of DVC",
            help: "write `cmd` as `kind: command` with `params: { run: [python, train.py], outputs: [model.pt] }`, and \
                   `deps` as `inputs` or `sources`; docs/guide/dvc.md has a table",
        }),
        _ if is_python => Some(Foreign { what: "a Python script", help: COMMAND }),
        _ => None,
    }
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
        ] {
            let error = crate::parse(text, Path::new(name)).unwrap_err();
            assert_eq!(error.message, format!("`{name}` is {what}, not a spec"), "{text}");
            assert!(error.help.is_some());
        }
        let error = crate::parse("stages:\n  a: { knd: command }\n", Path::new("a.yaml")).unwrap_err();
        assert_eq!(error.message, "unknown key `knd`");
    }
}
