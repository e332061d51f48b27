//! A run on Slurm from its first event to its end: submits or attaches, reports why workers wait, submits again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pipeline_core::{Digest, RunId};
use pipeline_engine::{Cancel, Watch};
use pipeline_store::Store;
use serde::{Deserialize, Serialize};

use super::jobs::{self, Job, Poll, Submission};
use super::queue::Tasks;
use super::task;
use crate::args::PoolArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::format::counted;
use crate::terminal::Terminal;

/// The file beside a run that names its jobs.
const JOBS_FILE: &str = "slurm.json";

/// The pause between questions to Slurm, after the first ones, which come sooner.
const POLL: Duration = Duration::from_secs(10);

/// The pause before the first question, which doubles after each.
const FIRST_POLL: Duration = Duration::from_secs(1);

/// How long Slurm may be silent before that is reported.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// How long after the end of all tasks their last results may still appear, where some of the tasks failed.
const LAST_RESULTS: Duration = Duration::from_secs(3);

/// The same where all tasks ended well: network file systems may show new files late.
const LATE_RESULTS: Duration = Duration::from_secs(60);

/// How long after its last result a job may go on that Slurm knows no more, as after a restart without its state.
const FORGOTTEN_RESULTS: Duration = Duration::from_secs(10);

/// The most submissions after the first.
const MAX_RESUBMISSIONS: u32 = 10;

/// The lines of a worker's output that an error quotes.
const QUOTED_LINES: usize = 6;

/// The workers to submit.
#[derive(Debug, Clone)]
pub struct Plans {
    /// The name of the jobs.
    pub name: String,
    /// The program and the arguments of every worker.
    pub arguments: Vec<String>,
    /// The folder in which they run.
    pub folder: PathBuf,
    /// The names of the variables that they get.
    pub variables: BTreeSet<String>,
    /// The resolved spec, which belongs to what they will do.
    pub yaml: String,
    /// The pools that have work, with the numbers of tasks and further arguments of `sbatch`.
    pub arrays: Vec<(PoolArg, u64, Vec<String>)>,
    /// Whether to end after the submission.
    pub detach: bool,
}

/// `slurm.json`: the jobs of a run.
#[derive(Debug, Serialize, Deserialize)]
struct JobsOfRun {
    /// The digest of all that determines what the workers do.
    plan: Digest,
    /// The jobs that may live.
    jobs: Vec<Job>,
    /// Those that are being submitted, whose ids Slurm has not said yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    submitted: Vec<Scripted>,
    /// The program and the arguments of every worker, for people.
    arguments: Vec<String>,
    /// The names of the variables that they get; their values are written nowhere.
    variables: BTreeSet<String>,
}

/// A job that is known by its script: nothing that people give to `sbatch` can change that.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Scripted {
    /// The path of its script, which is of this run and pool alone.
    script: PathBuf,
    /// The lane of its tasks.
    pool: String,
    /// The number of its tasks.
    n_tasks: u64,
}

/// The executor of one run.
pub struct Slurm {
    driver: Option<Driver>,
    shared: Arc<Mutex<Shared>>,
    stop: Option<Sender<()>>,
}

#[derive(Default)]
struct Shared {
    run: Option<RunId>,
    jobs: Vec<Job>,
    /// Why Slurm has not taken the workers.
    refusal: Option<Failure>,
    /// A note about the workers that are left alone.
    detached: Option<String>,
}

/// The thread that talks to Slurm.
struct Driver {
    plans: Plans,
    store: Store,
    watch: Watch,
    cancel: Cancel,
    shared: Arc<Mutex<Shared>>,
}

impl Slurm {
    /// An executor whose run reports to `watch` and ends by `cancel`.
    ///
    /// # Errors
    /// When there is no Slurm here.
    pub fn new(plans: Plans, store: &Store, watch: &Watch, cancel: &Cancel) -> Result<Self, Failure> {
        jobs::check()?;
        let shared = Arc::<Mutex<Shared>>::default();
        let (store, watch, cancel) = (store.clone(), watch.clone(), cancel.clone());
        let driver = Driver { plans, store, watch, cancel, shared: Arc::clone(&shared) };
        Ok(Self { driver: Some(driver), shared, stop: None })
    }

    /// Begins to submit the workers of `run`, on a thread of its own.
    pub fn begin(&mut self, run: &RunId) {
        let Some(driver) = self.driver.take() else { return };
        locked(&self.shared).run = Some(run.clone());
        let (stop, stopped) = mpsc::channel();
        self.stop = Some(stop);
        let run = run.clone();
        thread::spawn(move || driver.drive(&run, &stopped));
    }

    /// Ends the executor with its run: cancels what is left of the jobs. Returns the exit code of the program.
    ///
    /// # Errors
    /// When Slurm has not taken the workers.
    pub fn end(self, exit: Exit, store: &Store, terminal: &Terminal) -> Result<Exit, Failure> {
        drop(self.stop);
        let mut shared = locked(&self.shared);
        if let Some(note) = shared.detached.take() {
            terminal.remark(&format!("{note}; the same command without `--detach` watches them"));
            return Ok(Exit::Done);
        }
        let ids: BTreeSet<String> = shared.jobs.iter().map(|job| job.id.clone()).collect();
        // One array may have been taken before another was refused.
        let refusal = shared.refusal.take();
        if !ids.is_empty() {
            let is_done = exit == Exit::Done && refusal.is_none();
            // Workers that run find at once that nothing is left to do.
            if !jobs::cancel(&ids, is_done) && !is_done {
                let ids = ids.into_iter().collect::<Vec<_>>().join(" ");
                terminal
                    .note(&format!("warning: Slurm does not answer, so workers may go on; `scancel {ids}` ends them"));
            }
            if let Some(run) = &shared.run {
                // No run attaches to them any more. A failure costs a question to Slurm in a later run.
                let _ = store.runs().write_beside(run, JOBS_FILE, "{}\n");
            }
        }
        refusal.map_or(Ok(exit), Err)
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Driver {
    fn drive(&self, run: &RunId, stopped: &Receiver<()>) {
        match self.attach_or_submit(run) {
            Ok(note) if self.plans.detach => {
                locked(&self.shared).detached = Some(note);
                self.cancel.cancel();
                return;
            }
            Ok(note) => self.watch.note(note),
            Err(refusal) => {
                locked(&self.shared).refusal = Some(refusal);
                self.cancel.cancel();
                return;
            }
        }
        let mut follower = Follower::new(self.watch.n_records());
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(follower.pause) {
            let ids = locked(&self.shared).jobs.iter().map(|job| job.id.clone()).collect();
            let poll = jobs::poll(&ids);
            if !matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                return;
            }
            if !self.follow(run, &mut follower, poll) {
                return;
            }
        }
    }

    /// Takes an answer of Slurm; returns false once it has given up.
    fn follow(&self, run: &RunId, follower: &mut Follower, poll: Poll) -> bool {
        let tasks = match poll {
            Poll::Tasks(tasks) => tasks,
            Poll::Silent(why) => {
                follower.hear_nothing(&self.watch, &why);
                return true;
            }
        };
        if !follower.hear(&self.watch, &tasks) {
            return true;
        }
        let n_records = self.watch.n_records();
        let has_progress = n_records > follower.n_records && follower.n_resubmissions < MAX_RESUBMISSIONS;
        if !has_progress || tasks.is_cancelled() {
            self.give_up(run, &tasks);
            return false;
        }
        match self.submit(run) {
            Ok(ids) => {
                self.watch.note(format!("the workers ended and made progress: submitted again as {ids}"));
                follower.submitted_again(n_records);
                true
            }
            Err(refusal) => {
                self.watch.give_up(refusal.errors, refusal.help);
                false
            }
        }
    }

    fn give_up(&self, run: &RunId, tasks: &Tasks) {
        let states: Vec<String> = tasks.failures.iter().map(|(state, n)| format!("{n} {state}")).collect();
        let states = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
        let mut errors = vec![match tasks.is_cancelled() {
            true => "its workers were cancelled before it was up to date".to_owned(),
            false => format!("all workers ended before it was up to date{states}"),
        }];
        let folder = self.store.runs().workers_folder(run).ok();
        let logs = folder.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
        let mut logs: Vec<_> = logs.filter_map(|entry| Some(entry.ok()?.path())).collect();
        logs.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
        logs.sort();
        let quoted = logs.iter().find_map(|path| Some((path, last_lines(path)?)));
        errors.extend(quoted.map(|(path, lines)| format!("`{}` ends with:\n{lines}", path.display())));
        let help = folder.map(|folder| format!("the output of every worker is in `{}`", folder.display()));
        self.watch.give_up(errors, help);
    }

    /// Attaches to the living jobs of the same plan, or submits new ones; returns a note about it.
    fn attach_or_submit(&self, run: &RunId) -> Result<String, Failure> {
        let living = self.living_jobs()?;
        if living.is_empty() {
            return Ok(format!("submitted {}", self.submit(run)?));
        }
        let runs: BTreeSet<String> = living.iter().map(|job| job.run.clone()).collect();
        runs.into_iter().for_each(|run| self.watch.follow(RunId(run)));
        let note = format!("attached to {}, which an earlier run has submitted", listed(&living));
        locked(&self.shared).jobs = living;
        self.remember(run, Vec::new())?;
        Ok(note)
    }

    fn living_jobs(&self) -> Result<Vec<Job>, Failure> {
        let plan = self.plan();
        let (mut known, mut submitted) = (Vec::new(), Vec::new());
        for (run, text) in self.store.runs().all_beside(JOBS_FILE)? {
            let Ok(of_run) = serde_json::from_slice::<JobsOfRun>(&text) else { continue };
            if of_run.plan == plan {
                submitted.extend(of_run.submitted.into_iter().map(|job| (run.0.clone(), job)));
                add(&mut known, of_run.jobs);
            }
        }
        // A run that was killed while it submitted does not know the id.
        let commands = if submitted.is_empty() { None } else { jobs::commands() }.unwrap_or_default();
        for (id, command) in &commands {
            add(&mut known, submitted.iter().filter_map(|(run, job)| job.with_id(id, command, run)));
        }
        Ok(match jobs::living(&known.iter().map(|job| job.id.clone()).collect()) {
            Some(living) => known.into_iter().filter(|job| living.contains(&job.id)).collect(),
            // Without an answer they may live; with one, the run will see that they have ended.
            None => known,
        })
    }

    /// Submits an array for each pool; returns the ids for people.
    fn submit(&self, run: &RunId) -> Result<String, Failure> {
        // Those submitted before have ended.
        locked(&self.shared).jobs.clear();
        let mut submitted = Vec::new();
        for (pool, n_tasks, more) in &self.plans.arrays {
            if self.cancel.is_cancelled() {
                break;
            }
            let script = self.store.runs().write_beside(run, &format!("slurm-{}.sh", pool.name()), task::SCRIPT)?;
            let script = std::path::absolute(script)?;
            let folder = self.store.runs().workers_folder(run)?;
            // Before Slurm has it, so that no end of this process leaves a job that is not looked for.
            let (lane, n_tasks) = (pool.name().to_owned(), *n_tasks);
            self.remember(run, vec![Scripted { script: script.clone(), pool: lane.clone(), n_tasks }])?;
            let submission = Submission {
                name: self.plans.name.clone(),
                script,
                arguments: self.plans.arguments.iter().cloned().chain(task::of_array(*pool, &run.0)).collect(),
                folder: self.plans.folder.clone(),
                variables: self.plans.variables.clone(),
                log: folder.join(format!("{}-%a.log", pool.name())),
                n_tasks,
                more: more.clone(),
            };
            let id = jobs::submit(&submission)?;
            submitted.push(Job { id, pool: lane, n_tasks, run: run.0.clone() });
            locked(&self.shared).jobs.extend(submitted.last().cloned());
            self.remember(run, Vec::new())?;
        }
        self.watch.follow(run.clone());
        Ok(listed(&submitted))
    }

    fn plan(&self) -> Digest {
        let Plans { arguments, yaml, .. } = &self.plans;
        Digest::of(serde_json::json!([arguments, yaml, env!("CARGO_PKG_VERSION")]).to_string().as_bytes())
    }

    fn remember(&self, run: &RunId, submitted: Vec<Scripted>) -> Result<(), Failure> {
        let jobs = locked(&self.shared).jobs.clone();
        let Plans { arguments, variables, .. } = self.plans.clone();
        let of_run = JobsOfRun { plan: self.plan(), jobs, submitted, arguments, variables };
        let mut json = serde_json::to_string_pretty(&of_run).map_err(std::io::Error::other)?;
        json.push('\n');
        self.store.runs().write_beside(run, JOBS_FILE, &json)?;
        Ok(())
    }
}

impl Scripted {
    /// The job with this id, if its command is the script of this one.
    fn with_id(&self, id: &str, command: &str, run: &str) -> Option<Job> {
        let arguments = command.strip_prefix(self.script.to_str()?)?;
        let is_whole = arguments.is_empty() || arguments.starts_with(' ');
        let Self { pool, n_tasks, .. } = self.clone();
        is_whole.then(|| Job { id: id.to_owned(), pool, n_tasks, run: run.to_owned() })
    }
}

/// Adds the jobs whose ids are new.
fn add(known: &mut Vec<Job>, jobs: impl IntoIterator<Item = Job>) {
    for job in jobs {
        if known.iter().all(|other| other.id != job.id) {
            known.push(job);
        }
    }
}

/// What was heard from Slurm so far.
struct Follower {
    pause: Duration,
    heard: Instant,
    is_silence_known: bool,
    said: String,
    /// When all tasks were over, or forgotten, and no further result had come.
    over_since: Option<Instant>,
    /// The records when it was last asked for them.
    n_seen: u64,
    /// The records of the workers when they were last submitted.
    n_records: u64,
    n_resubmissions: u32,
}

impl Follower {
    fn new(n_records: u64) -> Self {
        Self {
            pause: FIRST_POLL,
            heard: Instant::now(),
            is_silence_known: false,
            said: String::new(),
            over_since: None,
            n_seen: n_records,
            n_records,
            n_resubmissions: 0,
        }
    }

    fn hear_nothing(&mut self, watch: &Watch, why: &str) {
        if self.heard.elapsed() >= MAX_SILENCE && !std::mem::replace(&mut self.is_silence_known, true) {
            watch.note(format!("Slurm does not answer: {why}; workers that run go on"));
        }
        self.pause = POLL;
    }

    /// Reports changes; returns true when all tasks are over, and their last results had time to appear.
    fn hear(&mut self, watch: &Watch, tasks: &Tasks) -> bool {
        self.heard = Instant::now();
        if std::mem::take(&mut self.is_silence_known) {
            watch.note("Slurm answers again".to_owned());
        }
        if !tasks.is_over() {
            let words = tasks.words();
            if words != self.said {
                watch.note(words.clone());
                self.said = words;
            }
            self.over_since = None;
            self.pause = (self.pause * 2).min(POLL);
            return false;
        }
        self.pause = FIRST_POLL;
        let n_seen = std::mem::replace(&mut self.n_seen, watch.n_records());
        if n_seen != self.n_seen {
            self.over_since = None;
        }
        let patience = match (tasks.is_forgotten, tasks.failures.is_empty()) {
            (true, _) => FORGOTTEN_RESULTS,
            (false, true) => LATE_RESULTS,
            (false, false) => LAST_RESULTS,
        };
        self.over_since.get_or_insert_with(Instant::now).elapsed() >= patience
    }

    fn submitted_again(&mut self, n_records: u64) {
        *self = Self { n_resubmissions: self.n_resubmissions + 1, ..Self::new(n_records) };
    }
}

/// Jobs for people, such as `job 17 (8 workers)`.
fn listed(jobs: &[Job]) -> String {
    let job = |job: &Job| format!("job {} ({} of the lane {})", job.id, counted(job.n_tasks, "worker"), job.pool);
    jobs.iter().map(job).collect::<Vec<_>>().join(" and ")
}

/// The last lines of a log; `None` for an empty one.
fn last_lines(path: &std::path::Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(QUOTED_LINES)..)?;
    (!last.is_empty()).then(|| last.join("\n"))
}
