//! The exit code and the two streams of `run`.

use crate::project::{Project, Reply};

const FAILING: &str = r#"name: failing
stages:
  good: { kind: command, params: { run: [sh, -c, 'echo 1 > out'], outputs: [out] } }
  bad: { kind: command, inputs: { good: good }, params: { run: [sh, -c, 'echo too bad; exit 7'], outputs: [out] } }
  below: { kind: command, inputs: { bad: bad }, params: { run: [touch, out], outputs: [out] } }
  beside: { kind: command, inputs: { good: good }, params: { run: [sh, -c, 'echo 2 > out'], outputs: [out] } }
"#;

#[test]
fn a_failed_stage_is_reported_with_its_output_and_exits_3() {
    let project = Project::with_spec(FAILING);
    let reply = project.run(&["run", "spec.yaml", "--jobs", "1", "--threads", "2"]);
    let expect = "\
failing: 4 stages, 1 at once, 2 threads; run [RUN]
 runs good new
 ran good [TIME] 2 B new
 runs bad new
 | bad too bad
 failed bad [TIME] `sh` exited with 7; it printed
 skipped below `bad` failed
 skipped beside `bad` failed
error: stage `bad` failed
 caused by: `sh` exited with 7; it printed
 too bad
4 stages: 1 ran, 1 failed, 2 skipped, [TIME]";
    let expect = Reply { code: Some(3), stdout: String::new(), stderr: expect.replace("\n ", "\n") };
    assert_eq!(reply, expect);
}

#[test]
fn keep_going_runs_what_does_not_need_the_failed_stage() {
    let project = Project::with_spec(FAILING);
    let reply = project.run(&["run", "spec.yaml", "--keep-going"]);
    assert_eq!(reply.code, Some(3));
    assert!(reply.stderr.contains("4 stages: 2 ran, 1 failed, 1 skipped"), "{}", reply.stderr);
}

#[test]
fn a_run_that_does_nothing_says_so_in_one_line() {
    let project =
        Project::with_spec("stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n");
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    let reply = project.run(&["run", "spec.yaml"]);
    let expect = "1 stage: nothing ran, 1 reused, [TIME]".to_owned();
    assert_eq!(reply, Reply { code: Some(0), stdout: String::new(), stderr: expect });
    let quiet = project.run(&["run", "spec.yaml", "--quiet"]);
    assert_eq!(quiet, Reply { code: Some(0), stdout: String::new(), stderr: String::new() });
}

#[test]
fn events_stream_as_one_json_object_a_line() {
    let project =
        Project::with_spec("stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n");
    let output = project.command(&["run", "spec.yaml", "--json"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let events: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["run-started", "stage-started", "stage-finished", "run-finished"]);
    assert_eq!(output.stderr, b"");
}

#[test]
fn help_and_version_are_data_and_wrong_arguments_exit_2() {
    let project = Project::new();
    let help = project.run(&["run", "--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("--keep-going"), "{}", help.stdout);
    assert_eq!(project.run(&["--version"]).code, Some(0));
    for wrong in [&["rnu"][..], &["run"], &["run", "spec.yaml", "--jobs", "0"], &["run", "x", "--device", "tpu"], &[]] {
        let reply = project.run(wrong);
        assert_eq!((reply.code, reply.stdout.as_str()), (Some(2), ""), "{wrong:?}");
    }
}

#[test]
fn a_device_that_is_none_is_refused_with_the_forms_that_there_are() {
    let project = Project::with_spec(FAILING);
    for wrong in ["tpu", "cpu:0", "cuda:", "cuda:2-1", "wgpu:a"] {
        let reply = project.run(&["run", "spec.yaml", "--device", wrong]);
        assert_eq!(reply.code, Some(2), "{wrong}");
        let has_forms = reply.stderr.contains("cuda:0,1") && reply.stderr.contains("wgpu:1");
        assert!(has_forms && reply.stderr.contains(&format!("'{wrong}'")), "{}", reply.stderr);
    }
    let reply = project.run(&["run", "spec.yaml", "--executor", "slurm", "--device", "cuda:1"]);
    assert!(reply.code == Some(2) && reply.stderr.contains("write `--device cuda`"), "{reply:?}");
    assert!(!project.path("artifacts").exists());
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_is_asked_for_before_any_work() {
    let project = Project::with_spec(FAILING);
    let reply = project.run(&["run", "spec.yaml", "--device", "cuda"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("cargo build --release --features cuda"), "{}", reply.stderr);
    assert!(!project.path("artifacts").exists());
}

#[test]
fn the_store_is_where_the_arguments_the_environment_or_the_folders_say() {
    let spec = "stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n";
    let project = Project::new();
    project.write("pipelines/deep/spec.yaml", spec);
    std::fs::create_dir(project.path("artifacts")).unwrap();
    let run = |args: &[&str], variable: Option<&str>| {
        let mut command = project.command(&["run", "pipelines/deep/spec.yaml"]);
        command.args(args);
        if let Some(folder) = variable {
            command.env("PIPELINE_ARTIFACTS", project.path(folder));
        }
        assert!(command.output().unwrap().status.success());
    };
    run(&[], None);
    assert!(project.path("artifacts/store-v1").is_dir());
    run(&[], Some("by-variable"));
    assert!(project.path("by-variable/store-v1").is_dir());
    run(&["--artifacts", "by-argument"], Some("not-this"));
    assert!(project.path("by-argument/store-v1").is_dir() && !project.path("not-this").exists());
    std::fs::remove_dir_all(project.path("artifacts")).unwrap();
    run(&[], None);
    let beside = project.path("pipelines/deep/artifacts/store-v1").is_dir();
    assert!(beside || std::env::temp_dir().ancestors().any(|folder| folder.join("artifacts").is_dir()));
}

#[test]
fn a_bare_name_is_looked_for_in_pipelines_of_the_folders_above() {
    let project = Project::new();
    let spec = "stages:\n  a: { kind: command, params: { run: [touch, out], outputs: [out] } }\n";
    project.write("pipelines/tiny.yaml", spec);
    std::fs::create_dir_all(project.path("some/where")).unwrap();
    for name in ["tiny.yaml", "tiny"] {
        let output = project.command(&["validate", name]).current_dir(project.path("some/where")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let reply = project.run(&["validate", "tinny"]);
    assert_eq!(reply.code, Some(2));
    assert!(reply.stderr.contains("did you mean `pipelines/tiny.yaml`?"), "{}", reply.stderr);
}

#[test]
fn a_limit_of_file_sizes_is_an_error_with_advice_and_no_signal() {
    let project = Project::with_spec("stages:\n  q: { kind: load-queries, params: { path: q.jsonl } }\n");
    let line = |idx: u64| {
        format!("{{\"query_id\": {idx}, \"query_text\": \"{:x}\"}}\n", idx.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    };
    project.write("q.jsonl", &(0..20_000).map(line).collect::<String>());
    let run = project.command(&["run", "spec.yaml"]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -f 64; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    limited.current_dir(project.path("")).env_clear().env("HOME", project.path(""));
    let reply = project.reply(&limited.output().unwrap());
    assert_eq!(reply.code, Some(3), "{reply:?}");
    assert!(reply.stderr.contains("cannot write") && reply.stderr.contains("ulimit -f unlimited"), "{reply:?}");
    assert!(!reply.stderr.contains("not a readable shard"), "{reply:?}");
}
