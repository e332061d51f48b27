//! Stories of several processes: this test program starts itself as a child that plays one part.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use pipeline_core::{Digest, Key, Numerics};
use pipeline_store::{LockOutcome, RunOrigin, RunState, Store};

use crate::fixture::{Fixture, put, put_divided, record};

/// The store that a child works on; unset in the parent.
const CHILD_STORE: &str = "STORE_TEST_CHILD_STORE";

/// Starts the test named `part` in a child. Its standard output is read line by line.
fn start(fixture: &Fixture, part: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("processes::{part}"), "--test-threads", "1"])
        .env(CHILD_STORE, fixture.store.artifacts())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// Waits until the child has printed `word` this many times.
fn wait_for(output: &mut BufReader<ChildStdout>, word: &str, n_times: usize) {
    let n_heard = output.lines().map(Result::unwrap).filter(|line| line.ends_with(word)).take(n_times).count();
    assert_eq!(n_heard, n_times, "the child ended early");
}

/// The child's store; `None` in the parent.
fn child_store() -> Option<Store> {
    let artifacts = std::env::var_os(CHILD_STORE)?;
    Some(Store::open(artifacts.as_ref()).unwrap())
}

/// Prints a word for the parent, past the test harness's capture.
fn say(word: &str) {
    let mut output = std::io::stdout();
    output.write_all(format!("\n{word}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

fn wait_to_be_killed() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

fn the_key() -> Key {
    Key(Digest::of(b"key"))
}

#[test]
fn part_holds_everything() {
    let Some(store) = child_store() else { return };
    let LockOutcome::Acquired(_lock) = store.workspace().lock(&the_key(), "train", Numerics::Plain).unwrap() else {
        panic!("the lock is free")
    };
    let _run = store.runs().start(1000, "demo", &RunOrigin::default()).unwrap();
    let scratch = store.workspace().scratch().unwrap();
    std::fs::write(scratch.folder().join("half"), "written").unwrap();
    say("holding");
    wait_to_be_killed();
}

#[test]
fn a_killed_owner_frees_its_lock_its_scratch_and_is_listed_as_died() {
    let fixture = Fixture::new();
    let (mut child, mut output) = start(&fixture, "part_holds_everything");
    wait_for(&mut output, "holding", 1);
    let LockOutcome::Held(owner) = fixture.store.workspace().lock(&the_key(), "train", Numerics::Plain).unwrap() else {
        panic!("the child lives")
    };
    assert_eq!(owner.pid, child.id());
    assert_eq!(fixture.store.runs().list().unwrap()[0].state, RunState::Running);
    assert!(fixture.store.stats().unwrap().scratch_bytes > 0);
    drop(fixture.another_handle().workspace().scratch().unwrap());
    assert!(fixture.store.stats().unwrap().scratch_bytes > 0, "the living are not swept");

    child.kill().unwrap();
    child.wait().unwrap();
    let outcome = fixture.store.workspace().lock(&the_key(), "train", Numerics::Plain).unwrap();
    assert!(matches!(outcome, LockOutcome::Acquired(_)));
    assert_eq!(fixture.store.runs().list().unwrap()[0].state, RunState::Died);
    drop(fixture.another_handle().workspace().scratch().unwrap());
    assert_eq!(fixture.store.stats().unwrap().scratch_bytes, 0);
}

#[test]
fn part_commits_for_ever() {
    let Some(store) = child_store() else { return };
    for seed in 0.. {
        let content = format!("{seed}").repeat(1000);
        let files: [(&str, &[u8]); 2] = [("a", content.as_bytes()), ("b/c", &content.as_bytes()[1..])];
        let tree = if seed % 2 == 0 { put(&store, &files) } else { put_divided(&store, &files) };
        store.records().put(&record("train", seed, &tree)).unwrap();
        say("committed");
    }
}

#[test]
fn kills_leave_nothing_wrong_and_every_reported_commit() {
    let fixture = Fixture::new();
    for n_commits in [1, 2, 5, 9, 14] {
        let (mut child, mut output) = start(&fixture, "part_commits_for_ever");
        wait_for(&mut output, "committed", n_commits);
        child.kill().unwrap();
        child.wait().unwrap();
        let report = fixture.store.verify().unwrap();
        assert!(report.is_clean());
        assert_eq!(report.n_without_bytes, 0, "a record never comes before its bytes");
        assert!(report.n_records >= n_commits);
    }
    drop(fixture.another_handle().workspace().scratch().unwrap());
    assert_eq!(std::fs::read_dir(fixture.in_store("scratch")).unwrap().count(), 0);
}

#[test]
fn part_commits_the_same_as_others() {
    let Some(store) = child_store() else { return };
    for seed in 0..20 {
        let content = format!("{seed}").repeat(1000);
        let tree = put(&store, &[("a", content.as_bytes()), ("same", b"same")]);
        store.records().put(&record("train", seed, &tree)).unwrap();
        let open = store.cas().open(&tree).unwrap();
        assert_eq!(std::fs::read(open.folder().join("a")).unwrap(), content.as_bytes());
    }
    say("all good");
}

#[test]
fn many_processes_commit_the_same_at_once() {
    let fixture = Fixture::new();
    let children: Vec<_> = (0..4).map(|_| start(&fixture, "part_commits_the_same_as_others")).collect();
    for (mut child, mut output) in children {
        wait_for(&mut output, "all good", 1);
        assert!(child.wait().unwrap().success());
    }
    let report = fixture.store.verify().unwrap();
    assert!(report.is_clean());
    assert_eq!((report.n_objects, report.n_records, report.n_without_bytes), (21, 20, 0));
}
