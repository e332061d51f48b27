//! The state of jobs as `squeue` prints it, and in plain words.

use std::collections::{BTreeMap, BTreeSet};

use crate::format::counted;

/// The format of a line: the id of the job, the state of the task, and the reason why it is in that state.
pub const FORMAT: &str = "%A|%F|%T|%r";

/// The states in which a task has ended.
const ENDED: [&str; 9] =
    ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"];

/// The tasks of some jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Tasks that run.
    pub n_running: u64,
    /// Tasks that wait.
    pub n_pending: u64,
    /// The reasons why tasks wait, as Slurm names them.
    pub reasons: BTreeSet<String>,
    /// The states of tasks that have ended, other than `COMPLETED`.
    pub failures: BTreeMap<String, u64>,
    /// Whether Slurm knows the jobs no more. Their tasks may go on.
    pub is_forgotten: bool,
}

impl Tasks {
    /// Those of jobs that Slurm knows no more: some minutes after their end, or after it has lost its state.
    pub fn forgotten() -> Self {
        Self { is_forgotten: true, ..Self::default() }
    }

    /// The tasks of these jobs in the output of `squeue`, which has a line for each task.
    pub fn of(text: &str, jobs: &BTreeSet<String>) -> Self {
        let mut tasks = Self::forgotten();
        for line in text.lines() {
            let mut fields = line.splitn(4, '|').map(str::trim);
            let (Some(id), Some(array), Some(state)) = (fields.next(), fields.next(), fields.next()) else { continue };
            if !jobs.contains(id) && !jobs.contains(array) {
                continue;
            }
            tasks.is_forgotten = false;
            match state {
                "PENDING" => {
                    tasks.n_pending += 1;
                    tasks.reasons.extend(fields.next().map(str::to_owned));
                }
                "COMPLETED" => {}
                _ if ENDED.contains(&state) => *tasks.failures.entry(state.to_owned()).or_default() += 1,
                _ => tasks.n_running += 1,
            }
        }
        tasks
    }

    /// True if no task will run any more.
    pub fn is_over(&self) -> bool {
        self.n_running + self.n_pending == 0
    }

    /// True if tasks were cancelled, and nothing else happened to any.
    pub fn is_cancelled(&self) -> bool {
        !self.failures.is_empty() && self.failures.keys().all(|state| state == "CANCELLED")
    }

    /// In words, such as `2 workers run, 6 wait for free nodes`.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if self.n_running > 0 || self.n_pending == 0 {
            let run = if self.n_running == 1 { "runs" } else { "run" };
            parts.push(format!("{} {run}", counted(self.n_running, "worker")));
        }
        if self.n_pending > 0 {
            let reasons: BTreeSet<String> = self.reasons.iter().map(|reason| in_words(reason)).collect();
            let reasons: Vec<String> = reasons.into_iter().collect();
            let n_pending =
                if parts.is_empty() { counted(self.n_pending, "worker") } else { self.n_pending.to_string() };
            let wait = if self.n_pending == 1 { "waits" } else { "wait" };
            parts.push(format!("{n_pending} {wait} {}", reasons.join(" and ")));
        }
        parts.join(", ")
    }
}

/// The reason why a task waits, after the word `waits`.
fn in_words(reason: &str) -> String {
    let known = match reason {
        "None" | "" => "to be scheduled",
        "Resources" | "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions" => {
            "for free nodes"
        }
        "Priority" => "behind jobs of higher priority",
        "JobHeldUser" => "since you hold the job (`scontrol release` lets it go)",
        "JobHeldAdmin" => "since an administrator holds the job",
        "BeginTime" => "until its time to begin, or until it is tried again",
        "Dependency" => "for another job",
        "DependencyNeverSatisfied" => "for a job that will never end as it should",
        "PartitionDown" => "since the partition is down",
        "PartitionInactive" => "since the partition is inactive",
        "PartitionNodeLimit" => "for more nodes than the partition has",
        "PartitionTimeLimit" => "since its time limit is longer than the partition allows",
        "ReqNodeNotAvail" | "ReqNodeNotAvail,_UnavailableNodes:" => "for nodes that are not available",
        "Licenses" => "for a licence",
        "Reservation" => "for its reservation",
        "JobArrayTaskLimit" => "since enough tasks of the array run",
        _ if reason.starts_with("ReqNodeNotAvail") => "for nodes that are not available",
        _ if reason.starts_with("QOS") => return format!("because of a limit of the quality of service ({reason})"),
        _ if reason.starts_with("Assoc") => return format!("because of a limit of your account ({reason})"),
        _ => return format!("({reason})"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(text: &str) -> Tasks {
        Tasks::of(text, &BTreeSet::from(["17".to_owned()]))
    }

    #[test]
    fn the_tasks_of_a_job_are_counted_and_said_in_words() {
        for (text, is_over, words) in [
            ("", true, "0 workers run"),
            ("18|18|RUNNING|None\n", true, "0 workers run"),
            ("20|17|RUNNING|None\n17|17|PENDING|Resources", false, "1 worker runs, 1 waits for free nodes"),
            (
                "17|17|PENDING|JobHeldUser",
                false,
                "1 worker waits since you hold the job (`scontrol release` lets it go)",
            ),
            (
                "17|17|PENDING|QOSMaxCpuPerUserLimit\n18|17|PENDING|Priority",
                false,
                "2 workers wait because of a limit of the quality of service (QOSMaxCpuPerUserLimit) and behind jobs \
                 of higher priority",
            ),
            ("17|17|COMPLETING|None\n18|17|CONFIGURING|None\n19|17|FAILED|NonZeroExitCode", false, "2 workers run"),
        ] {
            let tasks = tasks(text);
            assert_eq!((tasks.is_over(), tasks.words().as_str()), (is_over, words), "{text}");
        }
    }

    #[test]
    fn a_job_is_cancelled_when_nothing_else_ended_its_tasks() {
        assert!(tasks("17|17|CANCELLED|None\n18|17|COMPLETED|None").is_cancelled());
        assert!(!tasks("17|17|CANCELLED|None\n18|17|OUT_OF_MEMORY|None").is_cancelled());
        assert!(!tasks("18|17|COMPLETED|None").is_cancelled());
        assert!(tasks("18|18|RUNNING|None").is_forgotten && !tasks("18|17|COMPLETED|None").is_forgotten);
    }
}
