//! `run --accept`: the last result is kept although the version of the stage's code has changed.

use pipeline_core::{Key, Manifest, StageId};
use pipeline_store::{Record, Store};

use crate::project::Project;

const CHAIN: &str = r#"stages:
  head: { kind: command, params: { run: [sh, -c, 'echo head > out'], outputs: [out] } }
  tail: { kind: command, inputs: { from: head }, params: { run: [sh, -c, 'cp "$INPUT_FROM/out" out'], outputs: [out] } }
"#;

/// A project that last ran when the code of `command` had version 0.
fn of_an_older_program() -> Project {
    let project = Project::with_spec(CHAIN);
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    let store = Store::open(&project.path("artifacts")).unwrap();
    let spec = project.path("spec.yaml");
    let mut last = store.specs().last(&spec).unwrap();
    for stage in last.stages.values_mut() {
        stage.key = older(&store, &project, &stage.key);
    }
    store.specs().put_last(&spec, &last).unwrap();
    // Another program's snapshot would be invalid; here the same program has written it.
    std::fs::remove_dir_all(project.path("artifacts/store-v1/snapshots")).unwrap();
    project
}

/// Moves the record of `key` to the key that it had in version 0.
fn older(store: &Store, project: &Project, key: &Key) -> Key {
    let record = store.records().get(key).unwrap().unwrap();
    let text = record.manifest.text().replace("version = \"2\"", "version = \"0\"");
    let manifest = Manifest::parse(&text).unwrap();
    let older = Record { key: manifest.key(), manifest, ..record };
    store.records().put(&older).unwrap();
    let hex = key.0.hex();
    project.remove(&format!("artifacts/store-v1/actions/{}/{}.json", &hex[..2], &hex[2..]));
    older.key
}

#[test]
fn the_last_result_is_adopted_and_said_to_be() {
    let project = of_an_older_program();
    let why = project.run(&["why", "spec.yaml", "head"]);
    assert!(why.stdout.starts_with("`head` runs: version 0 -> 2\n"), "{why:?}");
    assert!(why.stdout.contains("`pipeline run spec --accept head`"), "{why:?}");

    let reply =
        project.run(&["run", "spec.yaml", "--accept", "tail", "--accept", "head", "--jobs", "1", "--threads", "2"]);
    let expect = "\
spec: 2 stages, 1 at once, 2 threads; run [RUN]
adopted head from [SHORT] (version 0 -> 2)
adopted tail from [SHORT] (version 0 -> 2)
reused head
reused tail
2 stages: nothing ran, 2 reused, [TIME]";
    assert_eq!(reply.stderr, expect);
    assert_eq!(project.run(&["runs", "last"]), reply);

    let why = project.run(&["why", "spec.yaml", "tail"]);
    let expect = "`tail` does not run: its result is remembered under [SHORT]";
    assert!(why.stdout.starts_with(expect), "{why:?}");
    assert!(why.stdout.contains("adopted from [SHORT] (version 0 -> 2)"), "{why:?}");
    let store = Store::open(&project.path("artifacts")).unwrap();
    let last = store.specs().last(&project.path("spec.yaml")).unwrap();
    let record = store.records().get(&last.stages[&"tail".parse::<StageId>().unwrap()].key).unwrap().unwrap();
    assert!(record.provenance.adopted_from.is_some());
    assert_eq!(project.run(&["status", "spec.yaml", "--check"]).code, Some(0));
}

#[test]
fn without_it_the_stage_runs() {
    let project = of_an_older_program();
    let reply = project.run(&["run", "spec.yaml"]);
    assert!(reply.stderr.contains("2 stages: 2 ran"), "{reply:?}");
    assert!(reply.stderr.contains("version 0 -> 2"), "{reply:?}");
}

#[test]
fn what_cannot_be_adopted_is_reported_and_nothing_runs() {
    let project = of_an_older_program();
    let check = |args: &[&str], expect: &str| {
        let reply = project.run(&[&["run", "spec.yaml"], args].concat());
        assert_eq!((reply.code, reply.stderr.as_str()), (Some(2), expect));
    };
    check(
        &["--accept", "tail"],
        "error: stage `tail` depends on `head`, which is about to run\n\
         help: `--accept head` as well, or `pipeline run spec` first",
    );
    check(
        &["--accept", "head", "--set", "head.params.run=[touch, out]"],
        "error: more than the version of stage `head` has changed: `param.run`, `version`\n\
         help: `pipeline why spec --set 'head.params.run=[touch, out]' head` shows old and new values",
    );
    check(&["--accept", "haed"], "error: the spec has no stage `haed`\nhelp: did you mean `head`?");
    check(&["--accept", "head", "--force", "head"], "error: stage `head` cannot be both forced and accepted");
    assert_eq!(project.run(&["run", "spec.yaml", "--accept", "head", "--dry-run"]).code, Some(2));
    assert_eq!(project.run(&["run", "spec.yaml"]).code, Some(0));
    check(&["--accept", "head"], "error: stage `head` is up to date\nhelp: leave `--accept head` away");
}
