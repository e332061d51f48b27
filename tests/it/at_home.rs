//! A project has one root and one store, lists its specs from any folder, and git never sees the store.

use std::fs;
use std::process::Command;

use crate::project::{Project, Reply};

const SPEC: &str =
    "# Says hi\nstages:\n  a: { kind: command, params: { run: [sh, -c, 'echo hi > o'], outputs: [o] } }\n";

fn at_home(files: &[(&str, &str)]) -> Project {
    let project = Project::new();
    project.write("pipeline.toml", "");
    files.iter().for_each(|(name, text)| project.write(name, text));
    project
}

/// The program called in a folder of the project.
fn call(project: &Project, folder: &str, args: &[&str]) -> Reply {
    fs::create_dir_all(project.path(folder)).unwrap();
    project.reply(&project.command(args).current_dir(project.path(folder)).output().unwrap())
}

#[test]
fn specs_are_run_by_their_names_from_any_folder_below_the_root() {
    let project = at_home(&[("pipelines/hi.yaml", SPEC), ("top.yaml", "extends: pipelines/hi.yaml\n")]);
    for (folder, name, ran) in
        [("src/deep", "hi", "1 ran"), ("pipelines", "top", "nothing ran"), (".", "hi", "nothing")]
    {
        let reply = call(&project, folder, &["run", name]);
        assert!(reply.code == Some(0) && reply.stderr.contains(ran), "{folder} {name}: {reply:?}");
    }
    for args in [&["runs"][..], &["diff", "last", "last"], &["cache", "stats"], &["report", "last", "-o", "r.html"]] {
        let reply = call(&project, "src/deep", args);
        assert_ne!(reply.code, Some(2), "{args:?}: {reply:?}");
    }
    assert!(project.path("artifacts/store-v1").is_dir() && !project.path("src/deep/artifacts").exists());
}

#[test]
fn without_a_spec_the_specs_and_the_next_command_are_listed() {
    let project = at_home(&[
        ("pipelines/hi.yaml", SPEC),
        ("pipelines/again.yaml", "extends: hi.yaml\n"),
        ("experiments/hi.yaml", SPEC),
        ("compose.yaml", "services: {}\n"),
    ]);
    let listed = "spec about\nagain extends hi.yaml\nhi Says hi\n../experiments/hi.yaml Says hi";
    let reply = call(&project, "src", &[]);
    assert_eq!((reply.code, reply.stdout.as_str()), (Some(0), listed));
    assert!(reply.stderr.contains("next: `pipeline run hi`"), "{reply:?}");
    for command in ["run", "status", "sweep"] {
        // Exit code 2 and not 0: a script whose variable is empty has run nothing.
        let reply = call(&project, "src", &[command]);
        assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""));
        assert!(reply.stderr.contains(listed), "{reply:?}");
        assert!(reply.stderr.ends_with(&format!("help: `pipeline {command} hi`")), "{reply:?}");
    }
    let nothing = Project::new().run(&[]);
    assert!(nothing.code == Some(2) && nothing.stderr.contains("Usage: pipeline"), "{nothing:?}");
}

#[test]
fn an_existing_store_is_used_and_a_second_one_is_named() {
    let project = at_home(&[("pipelines/hi.yaml", SPEC), ("other/hi.yaml", "extends: ../pipelines/hi.yaml\n")]);
    // A store beside its spec, as one made before the project had a root.
    assert_eq!(project.run(&["run", "hi", "--artifacts", "pipelines/artifacts"]).code, Some(0));
    let reply = project.run(&["run", "other/hi.yaml"]);
    assert!(reply.stderr.contains("nothing ran") && !reply.stderr.contains("note:"), "{reply:?}");
    assert_eq!(project.run(&["runs"]).code, Some(0));
    assert!(!project.path("artifacts").exists());

    assert_eq!(project.run(&["run", "hi", "--artifacts", "artifacts"]).code, Some(0));
    let another = "note: the store is `artifacts`; this project has another in `pipelines/artifacts`";
    for args in [&["runs"][..], &["cache", "stats"], &["run", "other/hi.yaml", "--force", "a"]] {
        let reply = project.run(args);
        assert!(reply.code == Some(0) && reply.stderr.contains(another), "{args:?}: {reply:?}");
    }
    let named = project.run(&["runs", "--artifacts", "pipelines/artifacts"]);
    assert!(named.code == Some(0) && !named.stderr.contains("note:"), "{named:?}");
}

#[test]
fn git_never_stages_the_store() {
    let project = Project::new();
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(project.path(".")).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    project.write("pipelines/hi.yaml", SPEC);
    assert_eq!(project.run(&["run", "hi"]).code, Some(0));
    git(&["add", "--all"]);
    assert_eq!(git(&["status", "--porcelain"]), "A  pipelines/hi.yaml\n");
}

#[test]
fn the_stores_own_gitignore_is_no_part_of_a_source_around_it() {
    let project = at_home(&[(
        "hi.yaml",
        "stages:\n  a: { kind: command, params: { run: [sh, -c, 'echo hi > o'], sources: [.], outputs: [o] } }\n",
    )]);
    assert!(project.run(&["run", "hi"]).stderr.contains("1 ran"));
    assert!(project.path("artifacts/.gitignore").is_file());
    assert!(project.run(&["run", "hi"]).stderr.contains("nothing ran"));
}
