//! Runs on Slurm: with programs that stand for Slurm's own, and with a real cluster where `PIPELINE_SLURM` asks for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::helping::images;
use crate::project::{Project, Reply, is_alive, make_fifo, signal, wait_for_end, with_default_signals};
use crate::random::Random;
use crate::recorded::{self, Recorded, artifacts, assert_intact, n_records};
use crate::soak::{rounds, show};

/// Programs that stand for Slurm's own.
const PROGRAMS: [(&str, &str); 3] = [
    ("sbatch", include_str!("sbatch.sh")),
    ("squeue", include_str!("squeue.sh")),
    ("scancel", include_str!("scancel.sh")),
];

/// A project on a cluster of one machine.
pub struct Cluster<'a> {
    project: &'a Project,
}

impl<'a> Cluster<'a> {
    pub fn of(project: &'a Project) -> Self {
        for (name, text) in PROGRAMS {
            project.write(&format!("bin/{name}"), text);
            fs::set_permissions(project.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::create_dir(project.path("slurm")).unwrap();
        Self { project }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = self.project.command(&[&["run", "spec.yaml", "--executor", "slurm"], more].concat());
        let path = format!("{}:{}", self.project.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("FAKE_SLURM", self.project.path("slurm"));
        command
    }

    pub fn run(&self, more: &[&str]) -> Reply {
        self.project.reply(&self.command(more).output().unwrap())
    }

    fn n_jobs(&self) -> usize {
        fs::read_dir(self.project.path("slurm"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count()
    }

    /// The process of a task.
    fn process(&self, job: usize, task: usize) -> u32 {
        self.project.read(&format!("slurm/job-{job}/{task}.pid")).trim().parse().unwrap()
    }
}

/// A stage that waits until the test lets it go, after one that does not.
fn waiting() -> Project {
    let project = Project::with_spec(
        r#"stages:
  quick: { kind: command, params: { run: [sh, -c, 'echo 1 > out'], outputs: [out] } }
  slow:
    kind: command
    inputs: { quick: quick }
    params: { run: [sh, -c, 'echo x > "$SPEC_DIR/started"; read go < "$SPEC_DIR/go"; echo 2 > out'], outputs: [out] }
"#,
    );
    ["started", "go"].iter().for_each(|name| make_fifo(&project.path(name)));
    project
}

fn events_of(text: &str, name: &str) -> usize {
    text.lines().filter(|line| line.contains(&format!("\"event\":\"{name}\""))).count()
}

/// The folder of the only run with workers.
fn workers(project: &Project) -> PathBuf {
    let runs = fs::read_dir(project.path("artifacts/runs")).unwrap().map(|run| run.unwrap().path().join("workers"));
    runs.filter(|workers| workers.is_dir()).max().unwrap()
}

fn alone() -> Vec<(String, String)> {
    let project = images();
    recorded::run(&project, &[]);
    artifacts(&project)
}

#[test]
fn workers_compute_every_shard_once_and_the_run_that_watches_them_computes_nothing() {
    let project = images();
    let cluster = Cluster::of(&project);
    let output = cluster.command(&["--workers", "3", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(artifacts(&project), alone());
    assert_eq!(Recorded::from_lines(&text).finished(), ["images".to_owned()].into(), "{text}");
    assert_eq!(events_of(&text, "worker-started"), 3, "{text}");
    assert!(text.contains("submitted job 17 (3 workers of the lane cpu)"), "{text}");
    let of_workers: u64 = (0..3)
        .map(|worker| fs::read_to_string(workers(&project).join(format!("cpu-{worker}.jsonl"))).unwrap())
        .map(|text| events_of(&text, "shard-computed") as u64)
        .sum();
    assert_eq!(of_workers + 1, n_records(&project), "a shard was computed twice");
    assert_intact(&project, "after a run on a cluster");
    let again = cluster.run(&[]);
    assert_eq!((again.code, cluster.n_jobs()), (Some(0), 1), "nothing to run is nothing to submit: {again:?}");
}

#[test]
fn workers_get_the_variables_that_stages_need_and_no_others() {
    let spec = "stages:\n  a: { kind: command, params: { run: [sh, -c, 'echo $MY_TOKEN $OTHER > out'], outputs: [out], \
                pass_env: [MY_TOKEN] }, publish: { out: out } }\n";
    let project = Project::with_spec(spec);
    let cluster = Cluster::of(&project);
    let output = cluster.command(&[]).env("MY_TOKEN", "a, 'b' $(c)").env("OTHER", "no").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(project.read("out"), "a, 'b' $(c)\n");
    let found = Command::new("grep").args(["-r", "-l", "(c)"]).arg(project.path("artifacts/runs")).output();
    assert_eq!(String::from_utf8(found.unwrap().stdout).unwrap(), "", "a value is beside the run");
}

#[test]
fn workers_get_the_variables_that_lead_to_the_remote() {
    let spec = "stages:\n  a: { kind: command, params: { run: [sh, -c, 'echo 1 > out'], outputs: [out] } }\n";
    for (remote, expect) in [("file:///nowhere", ""), ("http://127.0.0.1:1/cache", "AWS_PROFILE https_proxy")] {
        let project = Project::with_spec(spec);
        let cluster = Cluster::of(&project);
        let mut command = cluster.command(&["--detach", "--remote", remote]);
        let set = [("AWS_PROFILE", "team"), ("https_proxy", "http://127.0.0.1:1"), ("no_proxy", "*")];
        let output = command.envs(set).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let exported = project.read("slurm/job-17/exported");
        let names: Vec<&str> = exported.trim().split(',').filter(|name| expect.contains(name)).collect();
        assert_eq!(names.join(" "), expect, "{exported}");
        assert_eq!(exported.contains("no_proxy"), !expect.is_empty(), "{exported}");
    }
}

#[test]
fn a_stage_that_fails_on_a_worker_fails_the_run() {
    let spec = "stages:\n  a: { kind: command, params: { run: [sh, -c, 'echo no such luck >&2; exit 7'], outputs: \
                [out] } }\n";
    let project = Project::with_spec(spec);
    let cluster = Cluster::of(&project);
    let reply = cluster.run(&[]);
    assert_eq!(reply.code, Some(3), "{reply:?}");
    assert!(reply.stderr.contains("no such luck") && reply.stderr.contains("worker `cpu-0`"), "{reply:?}");
}

#[test]
fn a_held_job_says_why_and_an_interrupt_cancels_it() {
    let project = waiting();
    let cluster = Cluster::of(&project);
    project.write("slurm/hold", "JobHeldUser");
    let mut command = with_default_signals(&cluster.command(&[]));
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(run.stderr.take().unwrap()));
    let held = "2 workers wait since you hold the job";
    assert!(lines.any(|line| line.unwrap().contains(held)));
    signal("INT", run.id());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(project.path("slurm/job-17/cancelled").exists());
}

#[test]
fn without_slurm_or_when_it_refuses_the_advice_is_what_to_do() {
    let project = waiting();
    let cluster = Cluster::of(&project);
    let output = cluster.command(&[]).env("PATH", "/nowhere").output().unwrap();
    let reply = project.reply(&output);
    assert_eq!(reply.code, Some(2), "{reply:?}");
    assert!(reply.stderr.contains("there is no `sbatch` here"), "{reply:?}");
    assert!(reply.stderr.contains("help: run on a login node"), "{reply:?}");
    let refused = cluster.run(&["--sbatch", "--partition=nowhere"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("invalid partition specified: nowhere"), "{refused:?}");
    let alone = project.run(&["run", "spec.yaml", "--workers", "3"]);
    assert_eq!(alone.code, Some(2), "{alone:?}");
    assert!(alone.stderr.contains("need `--executor slurm`"), "{alone:?}");
}

#[test]
fn a_detached_run_goes_on_and_the_next_one_attaches_to_it() {
    let project = waiting();
    let cluster = Cluster::of(&project);
    let detached = cluster.run(&["--detach"]);
    assert_eq!(detached.code, Some(0), "{detached:?}");
    assert_eq!(project.read("started"), "x\n");
    let mut run = cluster.command(&[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(run.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("attached to job 17")));
    project.write("go", "go\n");
    lines.for_each(drop);
    assert_eq!((run.wait().unwrap().code(), cluster.n_jobs()), (Some(0), 1));
}

/// Cuts a submission short, and runs again. What people give to `sbatch` must not hide the job.
fn assert_cut_submission_is_found(project: &Project, command: impl Fn(&[&str]) -> Command) {
    let own = ["--workers", "1", "--sbatch", "--comment=mine --job-name=mine"];
    make_fifo(&project.path("slurm/stall"));
    let mut cut = command(&own).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(project.read("slurm/stall"), "x\n", "the job is there, and its id was not said");
    signal("KILL", cut.id());
    cut.wait().unwrap();
    project.write("slurm/stall", "go\n");
    fs::remove_file(project.path("slurm/stall")).unwrap();
    let mut run = command(&own).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(run.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("attached to job ")));
    assert_eq!(project.read("started"), "x\n");
    project.write("go", "go\n");
    lines.for_each(drop);
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

#[test]
fn a_job_whose_submission_was_cut_short_is_found_whatever_its_name_and_comment() {
    let project = waiting();
    let cluster = Cluster::of(&project);
    assert_cut_submission_is_found(&project, |more| cluster.command(more));
    assert_eq!(cluster.n_jobs(), 1);
}

#[test]
fn killed_workers_are_submitted_again_while_they_make_progress() {
    let project = waiting();
    let cluster = Cluster::of(&project);
    let mut run = cluster.command(&["--workers", "1"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(run.stderr.take().unwrap()));
    assert_eq!(project.read("started"), "x\n");
    let worker = cluster.process(17, 0);
    signal("KILL", worker);
    wait_for_end(worker);
    assert!(lines.any(|line| line.unwrap().contains("submitted again as job 18")));
    assert_eq!(project.read("started"), "x\n");
    let worker = cluster.process(18, 0);
    signal("KILL", worker);
    assert!(lines.any(|line| line.unwrap().contains("all workers ended before it was up to date (1 FAILED)")));
    lines.for_each(drop);
    assert_eq!(run.wait().unwrap().code(), Some(3));
    assert!(!is_alive(worker));
}

#[test]
fn a_run_whose_driver_is_killed_is_finished_by_the_next_with_the_same_workers() {
    let (expect, mut random) = (alone(), Random::new(7));
    let n_kills = rounds(2, 20);
    for kill in 0..n_kills {
        let project = images();
        let cluster = Cluster::of(&project);
        let mut command = cluster.command(&["--workers", "2", "--json"]);
        let mut driver = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(driver.stdout.take().unwrap()));
        let lines = lines.map(Result::unwrap).skip_while(|line| !line.contains("submitted job"));
        let seen: Vec<String> = lines.take(1 + random.below(8)).collect();
        driver.kill().unwrap();
        driver.wait().unwrap();
        let again = cluster.run(&[]);
        assert_eq!(again.code, Some(0), "kill {kill}: {again:?}");
        assert_eq!((artifacts(&project), cluster.n_jobs()), (expect.clone(), 1), "kill {kill} after {seen:?}");
        assert_intact(&project, "after the kill of a driver");
    }
    show(&format!("{n_kills} kills of a driver"));
}

/// A run on a real cluster, where one is meant, and `SLURM_CONF` or the machine's own configuration leads to it.
fn on_real_cluster(project: &Project, more: &[&str]) -> Option<Command> {
    std::env::var_os("PIPELINE_SLURM")?;
    let mut command = project.command(&[&["run", "spec.yaml", "--executor", "slurm"], more].concat());
    command.envs(std::env::var_os("SLURM_CONF").map(|path| ("SLURM_CONF", path)));
    Some(command)
}

#[test]
fn a_real_cluster_has_a_job_whose_submission_was_cut_short() {
    let project = waiting();
    let stalls = "#!/bin/sh\nPATH=$REAL_PATH sbatch \"$@\" || exit\n[ ! -p slurm/stall ] || { echo x > slurm/stall; \
                  read -r _ < slurm/stall; }\n";
    project.write("bin/sbatch", stalls);
    fs::set_permissions(project.path("bin/sbatch"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(project.path("slurm")).unwrap();
    if on_real_cluster(&project, &[]).is_none() {
        return;
    }
    assert_cut_submission_is_found(&project, |more| {
        let mut command = on_real_cluster(&project, more).unwrap();
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", project.path("bin").display())).env("REAL_PATH", path);
        command
    });
}

#[test]
fn a_real_cluster_computes_what_one_machine_computes() {
    let project = images();
    let Some(mut command) = on_real_cluster(&project, &["--workers", "3", "--json"]) else { return };
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(artifacts(&project), alone());
    assert!(events_of(&text, "worker-started") > 0, "{text}");
    assert_intact(&project, "after a run on a cluster");
}
