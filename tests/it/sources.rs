//! Sources as users have them: folders with caches in them, data that is edited, touched, linked or missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::project::{Project, make_fifo};

/// A stage `a` with these sources whose shell command leaves `o`.
fn stage(sources: &str, shell: &str) -> String {
    format!(
        "stages:\n  a: {{ kind: command, params: {{ run: [sh, -c, '{shell}'], sources: {sources}, outputs: [o] }} }}\n"
    )
}

/// The result of the stage `a`.
fn result(project: &Project, spec: &str) -> String {
    let folder = project.command(&["path", spec, "a"]).output().unwrap();
    assert!(folder.status.success(), "{folder:?}");
    fs::read_to_string(format!("{}/o", String::from_utf8(folder.stdout).unwrap().trim_end())).unwrap()
}

fn run(project: &Project, spec: &str) -> String {
    let reply = project.run(&["run", spec]);
    assert_eq!(reply.code, Some(0), "{}", reply.stderr);
    reply.stderr
}

#[test]
fn a_program_may_write_its_caches_into_the_folder_of_its_sources() {
    let shell =
        "mkdir -p $SPEC_DIR/src/__pycache__; date +%N > $SPEC_DIR/src/__pycache__/x.pyc; cat $SPEC_DIR/src/a > o";
    let project = Project::with_spec(&stage("[src]", shell));
    project.write("src/a", "a");
    symlink("me@host.1:2", project.path("src/.#a")).unwrap();
    symlink(".", project.path("src/latest")).unwrap();
    run(&project, "spec.yaml");
    assert!(run(&project, "spec.yaml").contains("nothing ran"));
}

#[test]
fn the_whole_project_may_be_a_source_with_its_store_in_it() {
    let project = Project::with_spec(&stage("[.]", "echo 1 > o"));
    fs::create_dir(project.path(".git")).unwrap();
    run(&project, "spec.yaml");
    assert!(run(&project, "spec.yaml").contains("nothing ran"));
    project.write("notes.txt", "a source like any other");
    assert!(!run(&project, "spec.yaml").contains("nothing ran"));
    // Its own output may lie there, too.
    let log = fs::File::create(project.path("log")).unwrap();
    let status = project.command(&["run", "spec.yaml", "--force", "a"]).stderr(log).status().unwrap();
    assert!(status.success(), "{}", project.read("log"));
}

#[test]
fn touching_a_source_while_it_is_read_keeps_the_work_and_editing_it_does_not() {
    // The stage itself plays the meddling user.
    let project = Project::with_spec(&stage("[data]", "cat $SPEC_DIR/data > o; . $SPEC_DIR/meddle"));
    project.write("data", "rows\n");
    for meddle in ["touch data", "ln -f data backup", "chmod 600 data", "cp data new; mv new data"] {
        project.write("meddle", &format!("cd $SPEC_DIR; {meddle}\n"));
        let reply = project.run(&["run", "spec.yaml", "--force", "a"]);
        assert_eq!(reply.code, Some(0), "{meddle}: {}", reply.stderr);
    }
    project.write("meddle", "cd $SPEC_DIR; echo more >> data\n");
    let reply = project.run(&["run", "spec.yaml", "--force", "a"]);
    assert_eq!(reply.code, Some(3), "{}", reply.stderr);
    assert!(reply.stderr.contains("data` changed while `a` read it"), "{}", reply.stderr);
    assert_eq!(project.read("data"), "rows\nmore\n");
}

#[test]
fn data_that_is_gone_stops_only_what_must_read_it() {
    let spec = "stages:
  features: { kind: command, params: { run: [sh, -c, 'cp \"$SPEC_DIR/raw.tsv\" o'], sources: [raw.tsv], outputs: [o] } }
  a: { kind: command, inputs: { f: features }, params: { run: [sh, -c, 'cat \"$INPUT_F/o\" > o'], outputs: [o] } }
";
    let project = Project::with_spec(spec);
    project.write("raw.tsv", "raw\n");
    run(&project, "spec.yaml");
    project.remove("raw.tsv");
    for args in [&["status", "spec.yaml"][..], &["why", "spec.yaml", "a"], &["run", "spec.yaml"]] {
        let reply = project.run(args);
        assert_eq!(reply.code, Some(0), "{args:?}: {}", reply.stderr);
        assert!(reply.stderr.contains("raw.tsv` cannot be read"), "{args:?}: {}", reply.stderr);
    }
    assert_eq!(result(&project, "spec.yaml"), "raw\n");
    project.write("spec.yaml", &spec.replace("cat \"$INPUT_F/o\"", "sort \"$INPUT_F/o\""));
    run(&project, "spec.yaml");
    project.write("spec.yaml", &spec.replace("cp \"$SPEC_DIR/raw.tsv\" o", "sort \"$SPEC_DIR/raw.tsv\" > o"));
    let reply = project.run(&["run", "spec.yaml"]);
    assert_eq!(reply.code, Some(2), "{}", reply.stderr);
    assert!(reply.stderr.contains("raw.tsv` cannot be read"), "{}", reply.stderr);
}

#[test]
fn a_spec_behind_a_linked_folder_reads_what_its_programs_read() {
    let project = Project::new();
    project.write("real/specs/spec.yaml", &stage("[../data/f]", "cat $SPEC_DIR/../data/f > o"));
    project.write("real/data/f", "real");
    project.write("data/f", "other");
    project.write("elsewhere/specs/spec.yaml", &project.read("real/specs/spec.yaml"));
    project.write("elsewhere/data/f", "elsewhere");
    fs::create_dir(project.path("artifacts")).unwrap();
    symlink("real/specs", project.path("link")).unwrap();
    run(&project, "link/spec.yaml");
    assert_eq!(result(&project, "link/spec.yaml"), "real");
    project.write("real/data/f", "real, edited");
    run(&project, "link/spec.yaml");
    assert_eq!(result(&project, "link/spec.yaml"), "real, edited");
    // The same spec with the same name, but the link has another target.
    fs::remove_file(project.path("link")).unwrap();
    symlink("elsewhere/specs", project.path("link")).unwrap();
    run(&project, "link/spec.yaml");
    assert_eq!(result(&project, "link/spec.yaml"), "elsewhere");
}

#[test]
fn a_fifo_is_refused_by_name_where_a_file_should_be() {
    let project = Project::with_spec("extends: fifo\n");
    make_fifo(&project.path("fifo"));
    let reply = project.run(&["validate", "spec.yaml"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("it is a FIFO and not a regular file"), "{}", reply.stderr);
    for kind in [
        "kind: load-queries, params: { path: fifo }",
        "kind: command, params: { run: [ls], sources: [fifo], outputs: [o] }",
    ] {
        project.write("spec.yaml", &format!("stages: {{ a: {{ {kind} }} }}\n"));
        let reply = project.run(&["run", "spec.yaml"]);
        assert_eq!(reply.code, Some(2), "{}", reply.stderr);
        assert!(reply.stderr.contains("fifo`"), "{}", reply.stderr);
    }
}

#[test]
fn specs_of_one_project_share_a_store_wherever_they_lie() {
    for marker in [".git", "pipeline.toml"] {
        let project = Project::new();
        project.write(marker, "");
        project.write("pipelines/x.yaml", &stage("[]", "echo hi > o"));
        project.write("experiments/y.yaml", "extends: ../pipelines/x.yaml\n");
        // Set and empty, like a variable that a CI leaves empty.
        let empty = project.command(&["run", "x"]).env("PIPELINE_ARTIFACTS", "").output().unwrap();
        assert_eq!(empty.status.code(), Some(0), "{empty:?}");
        assert!(run(&project, "experiments/y.yaml").contains("nothing ran"));
        assert_eq!(project.run(&["runs"]).code, Some(0));
        assert!(project.path("artifacts/store-v1").is_dir());
        let below = project.command(&["runs"]).current_dir(project.path("experiments")).output().unwrap();
        assert_eq!(below.status.code(), Some(0), "{below:?}");
    }
}

#[test]
fn a_sweep_of_ten_thousand_points_is_planned_in_seconds() {
    let project = Project::new();
    let spec = |n_values: usize| {
        let values: Vec<String> = (0..n_values).map(|value| value.to_string()).collect();
        let spec =
            "vars: { n: '0' }\nstages:\n  a: { kind: command, params: { run: [echo, \"${n}\"], outputs: [o] } }\n";
        format!("{spec}sweep: {{ vars.n: [{}] }}\n", values.join(", "))
    };
    project.write("spec.yaml", &spec(10_000));
    let started = Instant::now();
    let reply = project.run(&["sweep", "spec.yaml", "--dry-run", "--quiet"]);
    assert_eq!((reply.code, reply.stdout.lines().count()), (Some(0), 10_001), "{}", reply.stderr);
    // Cubic time would take an hour.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());

    project.write("spec.yaml", &spec(100_000));
    let reply = project.run(&["validate", "spec.yaml"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("the sweep has more than 10000 points"), "{}", reply.stderr);
    assert_eq!(project.run(&["graph", "spec.yaml"]).code, Some(0), "who leaves the sweep alone is not stopped by it");
}
