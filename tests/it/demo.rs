//! The demo of an installed program: no clone and nothing beside the program itself.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::project::Project;

/// The result of the demo, as the README has it.
const RESULT: &str = "Recall@1=0.0482, Recall@5=0.1688, Recall@10=0.2767, MeanRecall=0.1646 (N=871); pool 600 images, \
                      871 queries answerable";

/// The commands that the program proposes: the indented lines of what it printed.
fn proposed(stderr: &[u8]) -> Vec<String> {
    let stderr = String::from_utf8_lossy(stderr);
    let proposed =
        stderr.lines().skip_while(|line| !line.ends_with("Next:")).filter_map(|line| line.strip_prefix("  "));
    proposed.map(str::to_owned).collect()
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

#[test]
fn the_demo_runs_in_an_empty_folder_and_the_commands_that_it_proposes_work() {
    // Somebody's own project, with a store that stays as it is.
    let project = Project::new();
    fs::create_dir_all(project.path("artifacts")).unwrap();
    fs::create_dir_all(project.path(".git")).unwrap();
    let output = project.command(&["demo", "the demo"]).output().unwrap();
    let reply = project.reply(&output);
    assert_eq!((reply.code, reply.stdout.as_str()), (Some(0), RESULT), "{}", reply.stderr);
    assert!(reply.stderr.contains("10 stages: 10 ran"), "{}", reply.stderr);
    assert_eq!(files_below(&project.path("artifacts")), 0);
    assert!(project.path("the demo/artifacts/runs").is_dir());

    let mut proposed = proposed(&output.stderr);
    assert_eq!(proposed.first().map(String::as_str), Some("cd 'the demo'"), "{}", reply.stderr);
    assert_eq!(proposed.pop().as_deref(), Some("pipeline serve demo"), "it would not end by itself");
    let program = Path::new(env!("CARGO_BIN_EXE_pipeline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-ec", &proposed.join("\n")]).current_dir(project.path(".")).env("PATH", path);
    let output = shell.env_remove("PIPELINE_ARTIFACTS").output().unwrap();
    let replies = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{replies}");
    assert!(replies.contains("10 stages: 2 ran, 8 reused"), "{replies}");
    assert!(project.read("the demo/report.html").contains("MeanRecall"));

    // All files are there and the same: the demo again writes nothing, and reuses every result.
    let reply = project.run(&["demo", "the demo"]);
    assert_eq!((reply.code, reply.stdout.as_str()), (Some(0), RESULT), "{}", reply.stderr);
    assert!(reply.stderr.contains("10 stages: nothing ran, 10 reused"), "{}", reply.stderr);
    let reply = project.run(&["check", "the demo/pipelines/demo.yaml"]);
    assert_eq!(reply.code, Some(0), "the accepted result came with the demo: {}", reply.stderr);
    for spec in ["demo", "attentive-demo", "zero-shot-demo", "experiments/base", "experiments/grid"] {
        let reply = project.run(&["validate", &format!("the demo/pipelines/{spec}.yaml")]);
        assert_eq!(reply.code, Some(0), "{spec}: {}", reply.stderr);
    }
}

#[test]
fn the_demo_replaces_nothing_and_leaves_nothing_half_written() {
    for (name, found) in [
        ("pipelines/demo.yaml", "`pipeline-demo/pipelines/demo.yaml` is there and differs"),
        ("pipelines/demo/encoders/bert/vocab.txt", "`pipeline-demo/pipelines/demo/encoders/bert/vocab.txt` is there"),
        ("pipelines", "cannot write `pipeline-demo/pipelines/"),
        ("artifacts", "cannot write `pipeline-demo/artifacts`"),
    ] {
        let project = Project::new();
        let name = format!("pipeline-demo/{name}");
        project.write(&name, "mine\n");
        let reply = project.run(&["demo"]);
        assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""), "{}", reply.stderr);
        assert!(reply.stderr.contains(found), "{}", reply.stderr);
        assert_eq!(project.read(&name), "mine\n");
        assert_eq!(files_below(&project.path("pipeline-demo")), 1, "{name}");
    }
}

#[test]
fn a_demo_whose_files_differ_says_how_many_and_how_to_go_on() {
    let project = Project::new();
    project.write("my demo/pipelines/demo.yaml", "name: mine\n");
    project.write("my demo/pipeline.toml", "mine\n");
    project.write("my demo/.gitignore", "mine\n");
    let reply = project.run(&["demo", "my demo"]);
    assert_eq!(reply.code, Some(2));
    let expected = "error: `my demo/pipeline.toml` and 2 more files are there and differ from the demo's: nothing was \
                    written\nhelp: `pipeline demo FOLDER` writes the demo into another folder; `pipeline run 'my \
                    demo/pipelines/demo.yaml'` runs what is there";
    assert_eq!(reply.stderr, expected);
}
