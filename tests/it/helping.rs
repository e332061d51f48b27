//! Runs that meet at one stage compute its shards together, each shard once, even if some are killed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use crate::faults::interposer::no_locks;
use crate::notebook::fixtures;
use crate::project::Project;
use crate::recorded::{self, Recorded, assert_intact, n_records};

/// A second of work in about ten shards.
const N_IMAGES: usize = 1500;

/// How often runs that begin at once may miss each other.
const MAX_ROUNDS: usize = 10;

/// A run whose events are read as they arrive.
struct Running {
    child: Child,
    events: BufReader<ChildStdout>,
    seen: String,
}

impl Running {
    fn start(project: &Project) -> Self {
        Self::start_with(project, &[], None)
    }

    /// A run with further options, and with a library loaded before all others.
    fn start_with(project: &Project, options: &[&str], library: Option<&Path>) -> Self {
        let plain = ["run", "spec.yaml", "--json", "--jobs", "1", "--threads", "1"];
        let mut command = project.command(&[plain.as_slice(), options].concat());
        command.envs(library.map(|library| ("LD_PRELOAD", library)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        Self { child, events, seen: String::new() }
    }

    /// Reads up to the event with this name; false when the run ends without one.
    fn until(&mut self, name: &str) -> bool {
        let mut line = String::new();
        while self.events.read_line(&mut line).unwrap() > 0 {
            let is_found = line.contains(&format!("\"event\":\"{name}\""));
            self.seen.push_str(&std::mem::take(&mut line));
            if is_found {
                return true;
            }
        }
        false
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) -> Recorded {
        self.events.read_to_string(&mut self.seen).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.seen);
        Recorded::from_lines(&self.seen)
    }
}

/// A project with one stage of some shards.
pub fn images() -> Project {
    let project = Project::with_spec(
        "stages:\n  images: { kind: decode-images, params: { path: images.tsv, size: [64, 64] } }\n",
    );
    let tsv = std::fs::read_to_string(fixtures().join("data/mini/MR_valid_imgs.tsv")).unwrap();
    let images: Vec<&str> = tsv.lines().filter_map(|line| line.split_once('\t')).map(|(_, image)| image).collect();
    let mut rows = String::new();
    for idx in 0..N_IMAGES {
        writeln!(rows, "{idx}\t{}", images[idx % images.len()]).unwrap();
    }
    project.write("images.tsv", &rows);
    project
}

fn n_helped(run: &Recorded) -> usize {
    run.events.iter().filter(|event| event["event"] == "stage-helped").count()
}

/// A run that knows its shards, and one that was started after that; true if the second helps the first.
fn leader_and_helper(project: &Project) -> (Running, Running, bool) {
    let mut leader = Running::start(project);
    assert!(leader.until("stage-sharded"));
    let mut helper = Running::start(project);
    let has_met = helper.until("stage-helping");
    (leader, helper, has_met)
}

#[test]
fn runs_that_meet_compute_every_shard_once_and_together() {
    let expect = {
        let alone = images();
        recorded::run(&alone, &[]);
        recorded::artifacts(&alone)
    };
    for _ in 0..MAX_ROUNDS {
        let project = images();
        let runs: Vec<Running> = (0..3).map(|_| Running::start(&project)).collect();
        let runs: Vec<Recorded> = runs.into_iter().map(Running::end).collect();
        let n_computed: u64 = runs.iter().map(Recorded::n_shards_computed).sum();
        assert_eq!(n_computed + 1, n_records(&project), "a shard was computed twice");
        assert_eq!(runs.iter().map(|run| run.finished().len()).sum::<usize>(), 1, "one run makes the artifact");
        assert_eq!(recorded::artifacts(&project), expect);
        if runs.iter().any(|run| n_helped(run) > 0) {
            return;
        }
    }
    panic!("in {MAX_ROUNDS} rounds no run helped another");
}

#[test]
fn who_leads_is_succeeded_by_who_helps_and_keeps_what_it_has_computed() {
    for _ in 0..MAX_ROUNDS {
        let project = images();
        let (leader, helper, has_met) = leader_and_helper(&project);
        leader.kill();
        let helper = helper.end();
        assert_intact(&project, "after the leader was killed");
        assert_eq!(recorded::run(&project, &[]).n_started(), 0);
        if has_met && helper.finished().len() == 1 {
            let finished = helper.events.iter().find(|event| event["event"] == "stage-finished").unwrap();
            let count = |name: &str| finished[name].as_u64().unwrap();
            let of_helper = helper.n_shards_computed();
            let of_leader = n_records(&project) - 1 - of_helper;
            let n_shards = count("n_shards_reused") + count("n_shards_computed") + count("n_shards_by_others");
            assert_eq!(n_shards, of_helper + of_leader, "{finished}");
            return;
        }
    }
    panic!("in {MAX_ROUNDS} rounds no run was killed while another helped it");
}

#[test]
fn a_helper_that_is_killed_holds_nobody_up() {
    for _ in 0..MAX_ROUNDS {
        let project = images();
        let (leader, helper, has_met) = leader_and_helper(&project);
        helper.kill();
        assert_eq!(leader.end().finished().len(), 1);
        assert_intact(&project, "after a helper was killed");
        if has_met {
            return;
        }
    }
    panic!("in {MAX_ROUNDS} rounds no run was killed while it helped another");
}

/// The shares of `n` processes.
fn shares(project: &Project, n: usize, library: Option<&Path>) -> Vec<Recorded> {
    let start = |idx| Running::start_with(project, &["--share", &format!("{idx}/{n}")], library);
    let runs: Vec<Running> = (0..n).map(start).collect();
    runs.into_iter().map(Running::end).collect()
}

#[test]
fn shares_of_one_run_compute_every_shard_once_with_locks_and_without() {
    let expect = {
        let alone = images();
        recorded::run(&alone, &[]);
        recorded::artifacts(&alone)
    };
    for library in [None, Some(no_locks())] {
        let project = images();
        let n_computed: u64 = shares(&project, 3, library).iter().map(Recorded::n_shards_computed).sum();
        assert_eq!(n_computed, n_records(&project) - 1, "a shard was computed twice; {library:?}");
        assert_eq!(recorded::artifacts(&project), expect, "{library:?}");
        assert_intact(&project, "after shares of a run");
    }
}

#[test]
fn who_leads_without_locks_is_succeeded_once_it_is_dead() {
    let project = images();
    let mut leader = Running::start_with(&project, &[], Some(no_locks()));
    assert!(leader.until("stage-sharded"));
    let other = Running::start_with(&project, &[], Some(no_locks()));
    leader.kill();
    assert_eq!(other.end().finished().len(), 1);
    assert_intact(&project, "after the leader was killed");
}

#[test]
fn a_share_that_never_starts_is_computed_by_the_others() {
    let project = images();
    let run = Running::start_with(&project, &["--share", "1/3"], None).end();
    assert_eq!((run.finished().len(), run.n_shards_computed() + 1), (1, n_records(&project)));
}
