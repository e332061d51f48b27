//! The seam to Slurm: submit, poll, cancel.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::programs;
use super::queue::{self, Tasks};
use crate::exit::Exit;
use crate::failure::Failure;

/// How long a submission or a question may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How long a cancellation may take, so that the program ends within two seconds of a signal.
const CANCEL_LIMIT: Duration = Duration::from_millis(1500);

/// An array of workers to submit.
#[derive(Debug)]
pub struct Submission {
    /// The name of the job, for people.
    pub name: String,
    /// The script of every task, by whose path the job is found if this process ends before it knows the id.
    pub script: PathBuf,
    /// The program and its arguments: the arguments of the script.
    pub arguments: Vec<String>,
    /// The folder in which the tasks run.
    pub folder: PathBuf,
    /// The names of the variables that the tasks get.
    pub variables: BTreeSet<String>,
    /// What the tasks print, with `%a` for their numbers.
    pub log: PathBuf,
    /// The number of tasks.
    pub n_tasks: u64,
    /// Arguments of `sbatch` from the user, which come last and so win.
    pub more: Vec<String>,
}

/// The state of jobs, as far as Slurm says it.
#[derive(Debug)]
pub enum Poll {
    /// The tasks that it knows.
    Tasks(Tasks),
    /// Why it does not answer.
    Silent(String),
}

/// A job that was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// The lane of its tasks.
    pub pool: String,
    /// The number of its tasks.
    pub n_tasks: u64,
    /// The run that its tasks have joined.
    pub run: String,
}

/// Submits an array; returns the id of the job.
///
/// # Errors
/// When Slurm refuses it, or does not answer.
pub fn submit(submission: &Submission) -> Result<String, Failure> {
    let Submission { name, script, arguments, folder, variables, log, n_tasks, more } = submission;
    let names: Vec<&str> = variables.iter().map(String::as_str).collect();
    let mut command = Command::new("sbatch");
    // Names only: values come from this process and are written nowhere.
    let export = if names.is_empty() { "NONE".to_owned() } else { names.join(",") };
    command.args(["--parsable", "--requeue", "--open-mode=append", "--kill-on-invalid-dep=yes", "--signal=B:TERM@30"]);
    command.arg(format!("--export={export}")).arg(format!("--job-name={name}"));
    command.arg(format!("--array=0-{}", n_tasks - 1));
    command.arg("--output").arg(log).arg("--chdir").arg(folder);
    let ended = programs::run(command.args(more).arg(script).args(arguments), LIMIT).map_err(|error| absent(&error))?;
    let id = ended.stdout.trim().split(';').next().unwrap_or_default().to_owned();
    if !ended.is_done || id.is_empty() {
        let mut failure = Failure::new(Exit::Usage, "`sbatch` refuses the workers");
        failure.errors.extend(ended.stderr.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        return Err(failure
            .with_help("`--sbatch \"ARGS\"` and the variables `SBATCH_…` set partition, account, time and memory"));
    }
    Ok(id)
}

/// Asks for the tasks of all these jobs in one call.
pub fn poll(jobs: &BTreeSet<String>) -> Poll {
    let list = jobs.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let mut command = Command::new("squeue");
    command.args(["-h", "-r", "-t", "all", "-o", queue::FORMAT, "-j", &list]);
    match programs::run(&mut command, LIMIT) {
        Ok(ended) if ended.is_done => Poll::Tasks(Tasks::of(&ended.stdout, jobs)),
        Ok(ended) if ended.stderr.contains("Invalid job id") => Poll::Tasks(Tasks::forgotten()),
        Ok(ended) => Poll::Silent(ended.stderr.lines().last().unwrap_or_default().to_owned()),
        Err(error) => Poll::Silent(format!("`squeue` cannot be started: {error}")),
    }
}

/// The user's living jobs, each with the command that it was submitted with, which begins with the path of its script;
/// `None` when Slurm does not answer.
pub fn commands() -> Option<Vec<(String, String)>> {
    let mut command = Command::new("squeue");
    // One line for each array, or for each part of it that runs; only those of this user, since others may run
    // anything.
    command.arg(format!("--user={}", rustix::process::getuid().as_raw())).args(["-h", "-o", "%F|%o"]);
    let ended = programs::run(&mut command, LIMIT).ok().filter(|ended| ended.is_done)?;
    let pairs = ended.stdout.lines().filter_map(|line| line.split_once('|'));
    Some(pairs.map(|(id, command)| (id.trim().to_owned(), command.trim().to_owned())).collect())
}

/// Those of the jobs that have tasks which run or wait; `None` when Slurm does not answer.
pub fn living(jobs: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let mut living = BTreeSet::new();
    for id in jobs {
        match poll(&BTreeSet::from([id.clone()])) {
            Poll::Tasks(tasks) if tasks.is_over() => {}
            Poll::Tasks(_) => _ = living.insert(id.clone()),
            Poll::Silent(_) => return None,
        }
    }
    Some(living)
}

/// Cancels jobs; returns whether Slurm has taken it. `only_pending` leaves running tasks alone.
pub fn cancel(jobs: &BTreeSet<String>, only_pending: bool) -> bool {
    let mut command = Command::new("scancel");
    if only_pending {
        command.arg("--state=PENDING");
    }
    let ended = programs::run(command.args(jobs), CANCEL_LIMIT);
    // A job that has ended needs no cancellation.
    let has_ended = |text: &str| text.contains("Invalid job id") || text.contains("already complet");
    ended.is_ok_and(|ended| ended.is_done || has_ended(&ended.stderr))
}

/// Checks that there is a Slurm here.
///
/// # Errors
/// When there is none.
pub fn check() -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in ["sbatch", "squeue", "scancel"] {
        if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            return Err(missing(program));
        }
    }
    Ok(())
}

fn absent(error: &std::io::Error) -> Failure {
    missing("sbatch").under(format!("the workers cannot be submitted: {error}"))
}

fn missing(program: &str) -> Failure {
    Failure::new(Exit::Usage, format!("there is no `{program}` here, and `--executor slurm` needs it")).with_help(
        "run on a login node of the cluster, after `module load slurm` where it asks for that; elsewhere `--share K/N` \
         divides a run among any processes",
    )
}
