//! The holders of stored results: pins, other specs, deleted specs, processes that may live; and the return of dropped
//! bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::project::{Project, Reply};
use crate::recorded::files_below;

/// A stage that makes a file of 9 bytes, and one that reads it.
const READER: &str = r#"
  use: { kind: command, inputs: { big: big }, params: { run: [sh, -c, 'wc -c < "$INPUT_BIG/o" > o'], outputs: [o] } }
"#;

fn big(more: &str) -> String {
    let command = "[sh, -c, 'echo features > o']";
    format!("stages:\n  big: {{ kind: command, params: {{ run: {command}, outputs: [o] }}{more} }}")
}

/// `keep.yaml` retains the file that `drop.yaml` does not.
fn two_specs() -> Project {
    let project = Project::new();
    project.write("keep.yaml", &big(""));
    project.write("drop.yaml", &(big(", retain: false") + READER));
    project
}

fn run(project: &Project, args: &[&str]) -> Reply {
    let reply = project.run(&[&["run"], args].concat());
    assert_eq!(reply.code, Some(0), "{reply:?}");
    reply
}

fn gc(project: &Project, args: &[&str]) -> Value {
    let args = [&["cache", "gc", "--artifacts", "artifacts", "--json"], args].concat();
    let output = project.command(&args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn has_bytes(project: &Project, spec: &str) -> bool {
    project.run(&["path", spec, "big"]).code == Some(0)
}

#[test]
fn bytes_that_another_spec_retains_are_not_dropped_until_it_lets_them_go() {
    let project = two_specs();
    run(&project, &["drop.yaml"]);
    assert!(!has_bytes(&project, "drop.yaml"), "nobody else needs them");
    // In either order: both keep their word.
    run(&project, &["keep.yaml", "--force", "big"]);
    run(&project, &["drop.yaml", "--force", "use"]);
    assert!(has_bytes(&project, "keep.yaml"));

    // The other spec releases the stage; a collection removes the bytes that `retain: false` had given up.
    assert_eq!(gc(&project, &[])["freed_bytes"], 0);
    project.write("keep.yaml", &big("").replace("features", "other"));
    run(&project, &["keep.yaml"]);
    assert_eq!(gc(&project, &[])["freed_bytes"], "features\n".len());
}

#[test]
fn bytes_of_a_pinned_run_are_not_dropped_even_when_its_own_files_are_lost() {
    let project = two_specs();
    run(&project, &["keep.yaml"]);
    assert_eq!(project.run(&["runs", "last", "--pin"]).code, Some(0));
    project.remove("keep.yaml");
    for _ in 0..2 {
        run(&project, &["drop.yaml", "--force", "use"]);
        assert_eq!(gc(&project, &[])["freed_bytes"], 0);
        assert!(has_bytes(&project, "drop.yaml"));
        // The pin names its keys, so it needs no events.
        let events = files_below(&project.path("artifacts/runs"))
            .into_iter()
            .find(|file| project.path("artifacts/runs").join(file.with_file_name("pinned")).exists());
        let folder = project.path("artifacts/runs").join(events.unwrap().parent().unwrap());
        fs::write(folder.join("events.jsonl"), "").unwrap();
        assert_eq!(project.run(&["runs"]).stdout.matches(" damaged").count(), 1);
    }
}

#[test]
fn specs_that_share_a_stage_which_neither_retains_both_drop_it() {
    let project = two_specs();
    project.write("drop2.yaml", &(big(", retain: false") + &READER.replace("wc -c", "wc -l")));
    run(&project, &["drop.yaml"]);
    run(&project, &["drop2.yaml"]);
    run(&project, &["drop.yaml", "--force", "use"]);
    assert!(!has_bytes(&project, "drop.yaml") && !has_bytes(&project, "drop2.yaml"));
}

#[test]
fn what_path_advises_brings_dropped_files_back() {
    let project = two_specs();
    run(&project, &["drop.yaml"]);
    let refused = project.run(&["path", "drop.yaml", "big"]);
    assert!(
        refused.stderr.contains("help: `pipeline run [FOLDER]/drop.yaml --force big` makes them again"),
        "{refused:?}"
    );
    run(&project, &["drop.yaml", "--force", "big"]);
    assert!(has_bytes(&project, "drop.yaml"));
    assert_eq!(gc(&project, &[])["freed_bytes"], 0, "the user asked for them");
    run(&project, &["drop.yaml"]);
    assert!(has_bytes(&project, "drop.yaml"), "a run in which nothing changed takes nothing away");
    run(&project, &["drop.yaml", "--force", "use"]);
    assert!(!has_bytes(&project, "drop.yaml"));
}

#[test]
fn a_spec_that_is_gone_holds_nothing_and_is_named() {
    let project = two_specs();
    run(&project, &["keep.yaml"]);
    fs::rename(project.path("keep.yaml"), project.path("renamed.yaml")).unwrap();
    assert_eq!(gc(&project, &["--keep-missing", "1h"])["freed_bytes"], 0);
    let dry = gc(&project, &["--dry-run"]);
    let wet = gc(&project, &[]);
    assert_eq!((&dry["freed_bytes"], &dry["released"]), (&wet["freed_bytes"], &wet["released"]));
    assert_eq!(wet["freed_bytes"], "features\n".len());
    assert!(wet["released"][0].as_str().unwrap().ends_with("/keep.yaml"), "{wet}");
    assert_eq!(gc(&project, &[])["released"], serde_json::json!([]), "it is forgotten");
}

#[test]
fn what_another_machine_may_need_is_held_and_the_output_says_until_when() {
    let project = two_specs();
    run(&project, &["keep.yaml"]);
    project.remove("keep.yaml");
    let session = project.path("artifacts/store-v1/scratch/elsewhere@7-x");
    fs::create_dir_all(&session).unwrap();
    let lock = session.with_extension("lock");
    let a_minute_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::create(&lock).unwrap().set_modified(a_minute_ago).unwrap();
    let reply = project.run(&["cache", "gc", "--artifacts", "artifacts"]);
    assert!(reply.stdout.contains("9 B for process 7 of elsewhere, since "), "{reply:?}");
    assert!(reply.stdout.contains("taken to live for 7 days; if it does not, remove `[FOLDER]"), "{reply:?}");
    fs::remove_file(lock).unwrap();
    let reply = project.run(&["cache", "gc", "--artifacts", "artifacts"]);
    assert!(reply.stdout.contains("freed 9 B, 0 B stay"), "{reply:?}");
}

#[test]
fn a_run_that_goes_on_holds_what_it_has() {
    let project = two_specs();
    let waits = "  wait: { kind: command, inputs: { big: big }, params: { run: [sh, -c, 'echo ready; read go < \"$SPEC_DIR/go\"; : > o'], outputs: [o] } }\n";
    project.write("waits.yaml", &format!("{}\n{waits}", big("")));
    crate::project::make_fifo(&project.path("go"));
    let mut waiting = project.start(&["run", "waits.yaml", "--jobs", "1"]);
    waiting.until(" ready");
    run(&project, &["drop.yaml"]);
    assert!(has_bytes(&project, "drop.yaml"), "the other run has found them");
    fs::write(project.path("go"), "go\n").unwrap();
    assert_eq!(waiting.code(), Some(0));
}

#[test]
fn a_part_of_the_store_on_another_disk_is_refused_with_a_remedy() {
    let elsewhere = std::path::Path::new("/dev/shm");
    let device =
        |path: &std::path::Path| fs::metadata(path).ok().map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata));
    let project = two_specs();
    run(&project, &["keep.yaml"]);
    if device(elsewhere).is_none() || device(elsewhere) == device(&project.path("artifacts")) {
        return;
    }
    let other_disk = tempfile::tempdir_in(elsewhere).unwrap();
    let objects = project.path("artifacts/store-v1/objects");
    fs::remove_dir_all(&objects).unwrap();
    std::os::unix::fs::symlink(other_disk.path(), &objects).unwrap();
    let reply = project.run(&["run", "keep.yaml", "--force", "big"]);
    assert_eq!(reply.code, Some(3), "{reply:?}");
    assert!(reply.stderr.contains("on another file system than the rest of the store"), "{reply:?}");
}

#[test]
fn a_store_of_a_newer_version_is_refused_by_name() {
    let project = two_specs();
    fs::create_dir_all(project.path("artifacts/store-v2")).unwrap();
    let reply = project.run(&["run", "keep.yaml"]);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains("was written by a newer version of `pipeline`: it has `store-v2`"), "{reply:?}");
}

#[test]
fn a_digit_that_was_changed_in_a_run_is_not_believed_and_other_runs_are() {
    let project = two_specs();
    run(&project, &["keep.yaml"]);
    run(&project, &["keep.yaml", "--force", "big"]);
    let runs = project.path("artifacts/runs");
    let events = files_below(&runs).into_iter().find(|file| file.ends_with("events.jsonl")).unwrap();
    let id = events.parent().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(runs.join(&events)).unwrap();
    fs::write(runs.join(&events), text.replacen("\"bytes\":9", "\"bytes\":8", 1)).unwrap();
    let listed = project.run(&["runs"]);
    assert_eq!(listed.code, Some(0));
    assert!(listed.stderr.contains("`events.jsonl` was changed after the run ended"), "{listed:?}");
    for args in [&["runs", &id][..], &["diff", &id, &id], &["report", &id, "-o", "page.html"]] {
        let reply = project.run(args);
        assert_eq!(reply.code, Some(1), "{args:?}: {reply:?}");
        assert!(reply.stderr.contains("cannot be believed: `events.jsonl` was changed"), "{args:?}: {reply:?}");
    }
    assert_eq!(project.run(&["cache", "stats"]).code, Some(0));
    assert_eq!(project.run(&["cache", "gc"]).code, Some(0));
    // Whether the file is readable, and what is in its place, does not affect the others.
    fs::remove_file(runs.join(&events)).unwrap();
    crate::project::make_fifo(&runs.join(&events));
    assert_eq!(project.run(&["runs"]).code, Some(0));
    fs::set_permissions(runs.join(&id), fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(project.run(&["cache", "stats"]).code, Some(0));
    fs::set_permissions(runs.join(&id), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_lost_or_damaged_record_is_made_anew_by_the_run_that_commands_ask_for() {
    let project = Project::with_spec(&big(""));
    let actions = project.path("artifacts/store-v1/actions");
    let damages: [&dyn Fn(&std::path::Path); 3] =
        [&|record| fs::remove_file(record).unwrap(), &|record| fs::write(record, "{}").unwrap(), &|record| {
            fs::write(record, fs::read_to_string(record).unwrap().replace("\"seconds\":", "\"secondz\":")).unwrap()
        }];
    run(&project, &["spec.yaml"]);
    for (idx, damage) in damages.iter().enumerate() {
        assert!(run(&project, &["spec.yaml"]).stderr.contains("nothing ran"));
        let record = files_below(&actions).into_iter().next().unwrap();
        damage(&actions.join(record));
        let status = project.run(&["status", "spec.yaml"]);
        assert!(status.stdout.contains("the record of its result is lost or damaged"), "{idx}: {status:?}");
        assert!(run(&project, &["spec.yaml"]).stderr.contains("1 ran"), "damage {idx}");
        assert!(has_bytes(&project, "spec.yaml"), "damage {idx}");
    }
}
