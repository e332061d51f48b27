//! Stores on network file systems: device numbers that differ between machines, files that went stale, broken servers.

use std::fs;
use std::process::Command;

use crate::faults::interposer::shared_disk;
use crate::project::{Project, Reply};
use crate::recorded::files_below;

const SPEC: &str = r#"stages:
  count:
    kind: command
    params: { run: [sh, -c, 'wc -c < "$SPEC_DIR/in.txt" > out'], outputs: [out], sources: [in.txt] }
"#;

/// The mounts of a machine with this type of file system under the numbers 40 and 41.
fn mounts(kind: &str) -> String {
    [40, 41].map(|minor| format!("{minor} 22 0:{minor} / /data rw - {kind} server:/data rw\n")).concat()
}

fn project(kind: &str) -> Project {
    let project = Project::with_spec(SPEC);
    project.write("in.txt", "AAAA");
    project.write("mounts", &mounts(kind));
    project
}

/// A command of the machine on which the file system of the project has this device number.
fn on_machine(project: &Project, device: u32, args: &[&str]) -> Command {
    let folder = project.path("").canonicalize().unwrap();
    let mut command = project.command(args);
    command
        .env("LD_PRELOAD", shared_disk())
        .env("NETWORK_FOLDER", &folder)
        .env("NETWORK_MOUNTS", folder.join("mounts"))
        .env("NETWORK_DEVICE", device.to_string())
        .env("NETWORK_LOG", folder.join("log"));
    command
}

/// Runs the spec on a machine; returns its reply and whether the source was read.
fn run(project: &Project, device: u32) -> (Reply, bool) {
    project.write("log", "");
    let output = on_machine(project, device, &["run", "spec.yaml"]).output().unwrap();
    (project.reply(&output), project.read("log").lines().any(|path| path.ends_with("/in.txt")))
}

/// Runs on one machine until its source is so old that it need not be read again.
fn settle(project: &Project, device: u32) {
    assert!((0..100).any(|_| !run(project, device).1), "the source is read each time");
}

#[test]
fn what_one_machine_has_hashed_no_other_hashes_again() {
    let project = project("nfs4");
    settle(&project, 40);
    for device in [41, 40, 41] {
        let (reply, has_read) = run(&project, device);
        assert!(reply.stderr.contains("nothing ran") && !has_read, "{device}: {reply:?}");
    }
    // A change is seen from everywhere.
    project.write("in.txt", "AAAAA");
    let (reply, has_read) = run(&project, 41);
    assert!(reply.stderr.contains("1 ran") && has_read, "{reply:?}");
    assert!(run(&project, 40).0.stderr.contains("nothing ran"));
}

#[test]
fn a_file_system_of_one_machine_is_another_under_another_number() {
    let project = project("tmpfs");
    settle(&project, 40);
    let (reply, has_read) = run(&project, 41);
    assert!(reply.stderr.contains("nothing ran") && has_read, "{reply:?}");
}

/// Runs with a fault at the first reads of a file whose path ends so.
fn run_with_fault(project: &Project, fault: &str, at: &str, times: u32) -> Reply {
    let mut command = on_machine(project, 40, &["run", "spec.yaml"]);
    command.env("NETWORK_FAULT", fault).env("NETWORK_AT", at).env("NETWORK_TIMES", times.to_string());
    project.reply(&command.output().unwrap())
}

#[test]
fn a_stale_record_is_read_once_more_and_then_counts_as_missing() {
    let project = project("nfs4");
    settle(&project, 40);
    let actions = project.path("artifacts/store-v1/actions");
    let record = files_below(&actions).pop().unwrap();
    let record = record.file_name().unwrap().to_str().unwrap().to_owned();
    fs::remove_dir_all(project.path("artifacts/last")).unwrap();
    for (times, expect) in [(0, "nothing ran"), (1, "nothing ran"), (1000, "1 ran")] {
        fs::remove_dir_all(project.path("artifacts/last")).unwrap_or_default();
        let reply = run_with_fault(&project, "stale", &record, times);
        assert!(reply.code == Some(0) && reply.stderr.contains(expect), "{times} times stale: {reply:?}");
    }
}

#[test]
fn a_broken_server_is_named_with_the_file_and_a_remedy() {
    let project = project("nfs4");
    let reply = run_with_fault(&project, "broken", "/in.txt", 1000);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains("in.txt`") && reply.stderr.contains("Input/output error"), "{reply:?}");
    assert!(reply.stderr.contains("help: the disk or file server that holds `[FOLDER]` reports a fault"), "{reply:?}");
    assert_eq!(run_with_fault(&project, "broken", "/in.txt", 0).code, Some(0), "once it is mended");
}
