//! Own code as a stage: the vectors of a program train and are measured like those of the encoders here.

use std::path::Path;
use std::process::Command;

use crate::project::{Project, Reply, copy};

#[test]
fn the_example_of_an_own_encoder_trains_and_is_measured() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `python3` on PATH, which the example runs");
        return;
    }
    let project = Project::new();
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    copy(&pipelines.join("demo"), &project.path("pipelines/demo"));
    copy(&pipelines.join("examples"), &project.path("pipelines/examples"));
    std::fs::create_dir(project.path("artifacts")).unwrap();
    let spec = "pipelines/examples/own-encoder.yaml";
    // The numbers of images are small to be quick.
    let run = || -> Reply {
        let few = ["train-images.params.max_samples=150", "valid-images.params.max_samples=150"];
        let reply = project.run(&["run", spec, "--set", few[0], "--set", few[1]]);
        assert_eq!(reply.code, Some(0), "{reply:?}");
        reply
    };
    let first = run();
    assert!(first.stdout.contains("MeanRecall"), "{first:?}");
    assert!(run().stderr.contains("nothing ran"), "the vectors of a program are cached");

    // Another text of the script that writes the same vectors runs nothing else.
    let script = project.read("pipelines/examples/encode.py");
    project.write("pipelines/examples/encode.py", &format!("{script}# the end\n"));
    let reply = run();
    assert!(reply.stderr.contains("source.run/encode.py"), "{reply:?}");
    assert!(reply.stderr.contains("12 stages: 2 ran, 10 reused"), "{reply:?}");

    // Other vectors train again, on the same images.
    project.write("pipelines/examples/encode.py", &script.replace("DIM = 512", "DIM = 256"));
    let reply = run();
    assert!(reply.stderr.contains("reused train-image-features"), "{reply:?}");
    assert!(reply.stderr.contains("vectors of 256 numbers"), "{reply:?}");
}

/// A project whose stage `own` runs a text by `sh`, and whose stage `import` takes its outputs.
fn importing(text: &str, outputs: &str, params: &str) -> Project {
    Project::with_spec(&format!(
        "stages:
  own: {{ kind: command, params: {{ run: [sh, -c, {}], outputs: {outputs} }} }}
  import: {{ kind: import-image-features, inputs: {{ from: own }}, params: {params} }}
  same: {{ kind: import-image-features, params: {{ path: given.jsonl }} }}
",
        serde_json::Value::from(text)
    ))
}

const ROWS: &str = "{\"image_id\": 7, \"feature\": [1, 0.5]}\n{\"image_id\": 8, \"feature\": [2, 0.5]}\n";

#[test]
fn the_vectors_of_a_program_are_those_of_the_same_file() {
    let project = importing("cp \"$SPEC_DIR/given.jsonl\" vectors.jsonl", "[vectors.jsonl]", "{}");
    project.write("given.jsonl", ROWS);
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(0), "{reply:?}");
    let shard = |stage: &str| {
        let folder = project.command(&["path", "spec.yaml", stage]).output().unwrap().stdout;
        std::fs::read(Path::new(String::from_utf8(folder).unwrap().trim()).join("part-00000.parquet")).unwrap()
    };
    assert_eq!(shard("import"), shard("same"));
}

#[test]
fn vectors_that_cannot_be_used_are_named_with_the_program_that_wrote_them() {
    let written = "mkdir out; printf '{\"image_id\": 7, \"feature\": [1, 1e99]}\\n' > out/a.jsonl";
    for (params, message) in [
        ("{ path: out/a.jsonl }", "row 1 of `"),
        ("{ path: out/b.jsonl }", "the artifact of `own` has no `out/b.jsonl`"),
    ] {
        let project = importing(written, "[out]", params);
        project.write("given.jsonl", ROWS);
        let reply = project.run(&["run", "spec.yaml"]);
        assert_eq!(reply.code, Some(3), "{reply:?}");
        assert!(reply.stderr.contains(message), "{reply:?}");
        assert!(reply.stderr.contains("the program of stage `own` wrote these files"), "{reply:?}");
    }
}
