//! Runs beside each other: everything is computed once, collections disturb no run, and dead owners are succeeded.

use std::collections::BTreeMap;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use crate::faults::interposer::{self, Fault};
use crate::project::{Project, make_fifo, wait_for_end};
use crate::recorded::{self, Recorded, assert_intact, n_records};
use crate::recovery::{Undisturbed, assert_recovers};
use crate::sharded::{published, sharded};
use crate::soak::{rounds, show};

/// Enough for several shards of each sort.
const N_IMAGES: usize = 400;

/// The longest time until a dead owner is succeeded.
const SUCCEEDED_WITHIN: Duration = Duration::from_secs(2);

fn start(project: &Project, args: &[&str]) -> Child {
    project.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The events of a run that was started with `--json` and must succeed.
fn events(output: &Output) -> Recorded {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    Recorded::from_lines(&String::from_utf8_lossy(&output.stdout))
}

#[test]
fn eight_runs_at_once_compute_every_stage_and_shard_once() {
    let whole = sharded(N_IMAGES);
    recorded::run(&whole, &[]);
    let (undisturbed, n_rounds, began) = (Undisturbed::of(&whole), rounds(2, 20), Instant::now());
    for _ in 0..n_rounds {
        let project = sharded(N_IMAGES);
        let runs: Vec<Child> = (0..8).map(|_| start(&project, &["run", "spec.yaml", "--json"])).collect();
        let runs: Vec<Recorded> = runs.into_iter().map(|run| events(&run.wait_with_output().unwrap())).collect();
        let mut n_finished: BTreeMap<String, usize> = BTreeMap::new();
        for stage in runs.iter().flat_map(Recorded::finished) {
            *n_finished.entry(stage).or_default() += 1;
        }
        assert!(n_finished.len() == 5 && n_finished.values().all(|n| *n == 1), "{n_finished:?}");
        let n_computed: u64 = runs.iter().map(|run| run.n_started() + run.n_shards_computed()).sum();
        assert_eq!(n_computed, n_records(&project));
        assert_recovers(&project, &undisturbed, "after eight runs");
    }
    show(&format!("{n_rounds} rounds of 8 runs at once, {} s", began.elapsed().as_secs()));
}

#[test]
fn runs_over_data_that_differs_a_little_compute_every_shared_shard_once() {
    let (n_rounds, began) = (rounds(2, 20), Instant::now());
    let expected: Vec<_> = (0..4).map(|idx| expected(0, 0, N_IMAGES - idx)).collect();
    for _ in 0..n_rounds {
        let store = Project::new();
        let artifacts = store.path("artifacts");
        let args = ["run", "spec.yaml", "--json", "--artifacts", artifacts.to_str().unwrap()];
        // Distinct stages, since fewer images are read, with the same shards except the last.
        let projects: Vec<Project> = (0..4).map(|idx| edited(0, 0, N_IMAGES - idx)).collect();
        let runs: Vec<Child> = projects.iter().map(|project| start(project, &args)).collect();
        let runs: Vec<Recorded> = runs.into_iter().map(|run| events(&run.wait_with_output().unwrap())).collect();
        let n_computed: u64 = runs.iter().map(|run| run.n_started() + run.n_shards_computed()).sum();
        assert_eq!(n_computed, n_records(&store));
        assert_eq!(projects.iter().map(published).collect::<Vec<_>>(), expected);
        assert_intact(&store, "after runs that share shards");
    }
    show(&format!("{n_rounds} rounds of 4 runs that share shards, {} s", began.elapsed().as_secs()));
}

#[test]
fn collections_beside_four_runs_disturb_none_of_them() {
    let (n_rounds, began, mut n_collections) = (rounds(1, 10), Instant::now(), 0);
    for _ in 0..n_rounds {
        let store = Project::new();
        let artifacts = store.path("artifacts");
        let artifacts = artifacts.to_str().unwrap();
        let projects: Vec<Project> = (0..4).map(|_| sharded(N_IMAGES)).collect();
        for edit in 0..3 {
            projects.iter().enumerate().for_each(|(idx, project)| project.write("in.txt", &source(idx, edit)));
            let args = ["run", "spec.yaml", "--json", "--artifacts", artifacts];
            let mut runs: Vec<Child> = projects.iter().map(|project| start(project, &args)).collect();
            while runs.iter_mut().any(|run| run.try_wait().unwrap().is_none()) {
                let limits = [&[][..], &["--max-size", "0"], &["--max-age", "0s"]][n_collections % 3];
                let reply = store.run(&[&["cache", "gc", "--artifacts", artifacts], limits].concat());
                assert_eq!(reply.code, Some(0), "{reply:?}");
                n_collections += 1;
            }
            for (idx, run) in runs.into_iter().enumerate() {
                events(&run.wait_with_output().unwrap());
                assert_eq!(published(&projects[idx]), expected(idx, edit, N_IMAGES), "run {idx} after edit {edit}");
            }
        }
        assert_intact(&store, "after collections");
    }
    let (n_runs, seconds) = (n_rounds * 12, began.elapsed().as_secs());
    show(&format!("{n_collections} collections beside {n_runs} runs, four at a time, {seconds} s"));
}

/// The source of a project after an edit.
fn source(idx: usize, edit: usize) -> String {
    format!("{idx}-{edit}-and more\n")
}

fn edited(idx: usize, edit: usize, n_images: usize) -> Project {
    let project = sharded(n_images);
    project.write("in.txt", &source(idx, edit));
    project
}

/// The published files of a run by itself.
fn expected(idx: usize, edit: usize, n_images: usize) -> BTreeMap<&'static str, String> {
    let project = edited(idx, edit, n_images);
    recorded::run(&project, &[]);
    published(&project)
}

#[test]
fn a_killed_owner_of_a_stage_is_succeeded_at_once() {
    let (n_rounds, mut longest) = (rounds(1, 20), Duration::ZERO);
    for _ in 0..n_rounds {
        let project = Project::with_spec(
            r#"stages:
  slow:
    kind: command
    params:
      outputs: [out]
      run: [sh, -c, 'if [ -p "$SPEC_DIR/started" ]; then echo $$ > "$SPEC_DIR/started"; read go < "$SPEC_DIR/go"; fi; echo 1 > out']
"#,
        );
        make_fifo(&project.path("started"));
        make_fifo(&project.path("go"));
        let mut owner = project.start(&["run", "spec.yaml"]);
        let program: u32 = project.read("started").trim().parse().unwrap();
        let mut waiter = project.start(&["run", "spec.yaml"]);
        assert_names_the_owner(&waiter.until("waits"), owner.id(), "slow");
        project.remove("started");
        let killed = Instant::now();
        owner.kill();
        waiter.until("ran");
        longest = longest.max(killed.elapsed());
        wait_for_end(program);
        assert_eq!(waiter.code(), Some(0));
    }
    assert!(longest < SUCCEEDED_WITHIN, "{longest:?}");
    show(&format!("{n_rounds} killed owners of a stage, succeeded within {} ms", longest.as_millis()));
}

#[test]
fn a_killed_owner_of_a_shard_is_succeeded_at_once() {
    let (n_rounds, mut longest) = (rounds(1, 20), Duration::ZERO);
    let (_, calls) = interposer::run(&sharded(N_IMAGES), None, 0);
    let is_shard = |path: &String| path.ends_with("/shard");
    let at = calls.iter().position(|call| call.name == "open" && call.paths.iter().any(is_shard)).unwrap() + 1;
    for _ in 0..n_rounds {
        let project = sharded(N_IMAGES);
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut owner =
            interposer::command(&project, Some(Fault::Stop), at, log.path()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(|| std::fs::read_to_string(log.path()).unwrap().contains('!'));
        // A distinct stage for the store, since fewer images are read, with the same first shard.
        let mut waiter = project.start(&["run", "spec.yaml", "--set", "images.params.max_samples=399"]);
        assert_names_the_owner(&waiter.until("waits"), owner.id(), "images");
        let killed = Instant::now();
        owner.kill().unwrap();
        owner.wait().unwrap();
        waiter.until("ran      images");
        longest = longest.max(killed.elapsed());
        assert_eq!(waiter.code(), Some(0));
    }
    assert!(longest < SUCCEEDED_WITHIN, "{longest:?}");
    show(&format!("{n_rounds} killed owners of a shard, succeeded within {} ms", longest.as_millis()));
}

/// The line names the process, the machine, the stage, and the time since its start.
fn assert_names_the_owner(line: &str, pid: u32, stage: &str) {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let expect = format!("process {pid} on {} (stage {stage}, for ", host.trim());
    let (_, age) = line.split_once(&expect).unwrap_or_else(|| panic!("no `{expect}` in `{line}`"));
    assert!(age.trim_end().ends_with("s)"), "{line}");
}

/// Polls until a condition holds, for at most ten seconds.
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for ten seconds");
        std::thread::yield_now();
    }
}
