//! Recorded runs, read back from their events, and the contents of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::project::Project;

/// The events of one run, in order.
#[derive(Debug)]
pub struct Recorded {
    pub events: Vec<Value>,
}

impl Recorded {
    /// Reads events, one JSON object per line; skips a last line that was cut by a kill.
    pub fn from_lines(lines: &str) -> Self {
        Self { events: lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect() }
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["event"] == name)
    }

    fn stages(&self, name: &str) -> BTreeSet<String> {
        self.named(name).map(|event| event["stage"].as_str().unwrap().to_owned()).collect()
    }

    /// The stages that began to run.
    pub fn started(&self) -> BTreeSet<String> {
        self.stages("stage-started")
    }

    /// The stages whose artifact was committed.
    pub fn finished(&self) -> BTreeSet<String> {
        self.stages("stage-finished")
    }

    /// The reason of each stage's start, in one word; of several starts the last.
    pub fn reasons(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.named("stage-started").map(|event| (text(&event["stage"]), text(&event["why"]["reason"]))).collect()
    }

    /// The number of stage starts.
    pub fn n_started(&self) -> u64 {
        self.named("stage-started").count() as u64
    }

    /// The number of shards computed by finished stages, and for stages that other processes led.
    pub fn n_shards_computed(&self) -> u64 {
        let finished = self.named("stage-finished").chain(self.named("stage-helped"));
        finished.map(|event| event["n_shards_computed"].as_u64().unwrap()).sum()
    }

    /// The warnings, one per line.
    pub fn warnings(&self) -> String {
        self.named("stage-warning").map(|event| format!("{}\n", event["message"].as_str().unwrap())).collect()
    }
}

/// The recorded events of all runs of a project, the oldest first.
pub fn all_runs(project: &Project) -> Vec<Recorded> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(project.path("artifacts/runs")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
        .iter()
        .map(|folder| Recorded::from_lines(&fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default()))
        .collect()
}

/// Runs the spec, expects that it is done, and returns its events.
pub fn run(project: &Project, more: &[&str]) -> Recorded {
    let output = project.command(&[&["run", "spec.yaml", "--json"], more].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    Recorded::from_lines(&String::from_utf8(output.stdout).unwrap())
}

/// The JSON that a command prints.
pub fn json(project: &Project, args: &[&str]) -> Value {
    let output = project.command(args).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The number of records in the store: one per computed stage and shard. 0 without a store.
pub fn n_records(project: &Project) -> u64 {
    if !project.path("artifacts").exists() {
        return 0;
    }
    json(project, &["cache", "stats", "--artifacts", "artifacts", "--json"])["n_records"].as_u64().unwrap()
}

/// The artifact of every stage, as `status` shows it.
pub fn artifacts(project: &Project) -> Vec<(String, String)> {
    let plan = json(project, &["status", "spec.yaml", "--json"]);
    let stages = plan["stages"].as_array().unwrap().iter();
    stages.map(|stage| (stage["stage"].to_string(), stage["artifact"].to_string())).collect()
}

/// Asserts that every byte of the store is unchanged.
pub fn assert_intact(project: &Project, story: &str) {
    let reply = project.run(&["cache", "verify", "--artifacts", "artifacts"]);
    assert_eq!(reply.code, Some(0), "{story}: {reply:?}");
}

/// The names of all files below a folder, relative to it, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(&inner).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}
