//! What makes a release names files, targets and versions that are there: the workflow, its scripts, the image, the
//! wheel. Whether they work, `packaging/release.sh` and `packaging/try.sh` show.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use granit_parser::{Event, Parser};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The values of a key anywhere in a YAML text.
fn values(yaml: &str, key: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut is_value = false;
    for event in Parser::new_from_str(yaml) {
        let (event, span) = event.unwrap_or_else(|error| panic!("{error}"));
        match event {
            Event::Scalar(text, ..) if is_value => {
                values.push(text.into_owned());
                is_value = false;
            }
            Event::Scalar(text, ..) => is_value = text == key,
            _ => {
                assert!(!is_value, "`{key}` has a value of another kind at {span:?}");
                is_value = false;
            }
        }
    }
    values
}

/// The texts in double quotes that follow `key = `, up to the end of the line.
fn quoted_after<'a>(toml: &'a str, key: &str) -> Vec<&'a str> {
    let line = toml.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    let line = line.unwrap_or_else(|| panic!("no line `{key} = …`"));
    line.split('"').skip(1).step_by(2).collect()
}

#[test]
fn the_release_workflow_calls_scripts_that_are_there_with_targets_that_they_know() {
    let workflow = read(".github/workflows/release.yml");
    let (commands, targets) = (values(&workflow, "run"), values(&workflow, "target"));
    let scripts = commands.iter().flat_map(|command| command.split(' ')).filter(|word| word.contains("packaging/"));
    let scripts: Vec<_> = scripts.collect();
    assert_eq!(scripts, ["packaging/release.sh", "packaging/try.sh"]);
    for script in &scripts {
        let path = root().join(script);
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} cannot be executed");
        assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success(), "{script} is no shell script");
        assert!(read(script).contains("\nset -euo pipefail\n"), "{script} goes on after a failure");
    }
    assert_eq!(targets.len(), 2);
    for target in targets {
        assert!(read("packaging/release.sh").contains(&target), "packaging/release.sh does not know {target}");
        assert!(read("docs/guide/install.md").contains(&target), "docs/guide/install.md does not name {target}");
    }
    // Only the job that publishes may write, and what others wrote is named with a version.
    assert_eq!(values(&workflow, "contents"), ["read", "write"]);
    let actions = values(&workflow, "uses");
    assert!(actions.len() >= 3 && actions.iter().all(|action| action.contains("@v")), "{actions:?}");
}

#[test]
fn the_image_is_built_by_the_pinned_toolchain_from_files_that_reach_it_and_runs_as_a_user() {
    let dockerfile = read("packaging/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let channel = quoted_after(&toolchain, "channel")[0];
    assert!(dockerfile.contains(&format!("\nFROM rust:{channel}-alpine")), "another toolchain than {channel}");
    let ignored = read(".dockerignore");
    let let_through: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copies =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    for copied in copies.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ')) {
        assert!(root().join(copied).exists(), "packaging/Dockerfile copies {copied}");
        let reaches = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(start) => copied.starts_with(start),
            None => Path::new(copied).starts_with(pattern),
        };
        assert!(let_through.iter().any(reaches), ".dockerignore keeps {copied} out");
    }
    // Cargo wants every file that a manifest names, and a crate includes the demo.
    assert!(["crates", "pipelines", "tests/it"].iter().all(|path| dockerfile.contains(&format!("\nCOPY {path} "))));
    let (_, last) = dockerfile.rsplit_once("\nFROM ").unwrap();
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(last.contains(&format!(" {user} && mkdir")) && user != "root", "{last}");
}

#[test]
fn the_wheel_carries_the_program_and_every_licence() {
    let pyproject = read("pyproject.toml");
    assert_eq!(quoted_after(&pyproject, "bindings"), ["bin"]);
    let manifest = quoted_after(&pyproject, "manifest-path")[0];
    assert!(read(manifest).contains("[[bin]]\nname = \"pipeline\"\n"), "{manifest} has no program");
    let licences = quoted_after(&pyproject, "license-files");
    assert!(licences.len() >= 4, "{licences:?}");
    let archived = read("packaging/release.sh");
    for licence in licences {
        assert!(root().join(licence).is_file(), "pyproject.toml names {licence}");
        assert!(archived.contains(licence), "the archive of a release has no {licence}");
    }
}

#[test]
fn the_archive_has_manual_pages_and_completions_which_its_trial_looks_for() {
    let (archived, tried) = (read("packaging/release.sh"), read("packaging/try.sh"));
    for call in ["man \"$staged/$name/man/man1\"", "completions bash >", "completions zsh >", "completions fish >"] {
        assert!(archived.contains(&format!("\"$binary\" {call}")), "packaging/release.sh does not call `{call}`");
    }
    for file in ["man/man1/pipeline-run.1", "completions/{pipeline.bash,_pipeline,pipeline.fish}"] {
        assert!(tried.contains(file), "packaging/try.sh does not look for {file}");
    }
}
