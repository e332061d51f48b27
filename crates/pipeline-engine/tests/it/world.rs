//! A world for stories: a folder with sources and a store, parts that become stages, and a log of what ran.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pipeline_core::{
    Event, EventRecord, InputArtifact, Lane, RunReason, StageContext, StageError, StageId, StageReport, Threads,
};
use pipeline_engine::{
    Cancel, Decision, EngineError, Graph, Node, PerLane, Plan, PlanOptions, PlannedStage, RunOptions, RunSummary,
    SpecInfo, plan, run, run_unchanged,
};
use pipeline_store::{Circumstances, RunOrigin, Signatures, Store, TrustedKey};

use crate::faulty::FaultyRemote;
use crate::test_stage::TestStage;

pub type Doer = dyn Fn(&Doing<'_>) -> Result<StageReport, StageError> + Send + Sync;

/// The arguments of a part's work.
pub struct Doing<'a> {
    pub context: &'a StageContext<'a>,
    pub scratch: &'a Path,
}

impl<'a> Deref for Doing<'a> {
    type Target = StageContext<'a>;

    fn deref(&self) -> &StageContext<'a> {
        self.context
    }
}

/// A future stage: by default it writes `out.txt`, its sources and inputs one after the other, cut to param `keep`.
#[derive(Clone)]
pub struct Part {
    pub id: String,
    pub version: u32,
    pub params: BTreeMap<String, String>,
    inputs: Vec<String>,
    pub sources: Vec<PathBuf>,
    retain: bool,
    lane: Option<Lane>,
    pub threads: Threads,
    pub is_on_device: bool,
    pub runs_programs: bool,
    publish: Vec<(String, PathBuf)>,
    pub work: Option<Arc<Doer>>,
    pub shards: Option<Arc<Shards>>,
}

/// Shards of one row each, whose rows are words.
#[derive(Default)]
pub struct Shards {
    pub words: String,
    /// Called before a word is computed.
    pub before: Option<Box<Before>>,
    pub n_workers: usize,
    /// Called with a word and the card that computes it.
    pub on_card: Option<Box<OnCard>>,
    /// Called with a card that the stage leaves.
    pub leave: Option<Box<dyn Fn(Option<u16>) + Send + Sync>>,
    /// The name of a shard; `0.txt`, `1.txt` and so on if none is given.
    pub name: Option<&'static str>,
}

pub type Before = dyn Fn(&str, &StageContext<'_>) -> Result<(), StageError> + Send + Sync;

pub type OnCard = dyn Fn(&str, Option<u16>) + Send + Sync;

/// The record of a run.
pub struct Ran {
    pub summary: RunSummary,
    pub events: Vec<Event>,
    /// The stages whose code ran, in order, such as `a b`.
    pub log: String,
}

pub struct World {
    folder: tempfile::TempDir,
    pub options: RunOptions,
    pub cancel: Cancel,
    remote: Option<FaultyRemote>,
    /// The keys whose signatures count in the remote; without any, all records do.
    pub trusted: Vec<TrustedKey>,
}

pub fn part(id: &str) -> Part {
    Part {
        id: id.to_owned(),
        version: 1,
        params: BTreeMap::new(),
        inputs: Vec::new(),
        sources: Vec::new(),
        retain: true,
        lane: None,
        threads: Threads::Share,
        is_on_device: false,
        runs_programs: false,
        publish: Vec::new(),
        work: None,
        shards: None,
    }
}

impl Part {
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }
    pub fn param(mut self, name: &str, value: impl ToString) -> Self {
        self.params.insert(name.to_owned(), value.to_string());
        self
    }
    pub fn input(mut self, id: &str) -> Self {
        self.inputs.push(id.to_owned());
        self
    }
    pub fn source(mut self, path: PathBuf) -> Self {
        self.sources.push(path);
        self
    }
    pub fn dropped(mut self) -> Self {
        self.retain = false;
        self
    }
    pub fn on_device(mut self) -> Self {
        self.is_on_device = true;
        self
    }
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }
    pub fn filling_threads(mut self) -> Self {
        self.threads = Threads::All;
        self
    }
    pub fn running_programs(mut self) -> Self {
        self.runs_programs = true;
        self
    }
    pub fn publish(mut self, file: &str, path: PathBuf) -> Self {
        self.publish.push((file.to_owned(), path));
        self
    }
    pub fn work<F>(mut self, work: F) -> Self
    where
        F: Fn(&Doing<'_>) -> Result<StageReport, StageError> + Send + Sync + 'static,
    {
        self.work = Some(Arc::new(work));
        self
    }
    pub fn shards(mut self, shards: Shards) -> Self {
        self.shards = Some(Arc::new(shards));
        self
    }
}

/// Writes `out.txt` and returns an empty report.
pub fn write(doing: &Doing<'_>, text: &str) -> Result<StageReport, StageError> {
    fs::write(doing.scratch.join("out.txt"), text).unwrap();
    Ok(StageReport::default())
}

/// The `out.txt` of all inputs, one after the other.
pub fn read_inputs(context: &StageContext<'_>) -> Result<String, StageError> {
    let read = |input: &InputArtifact| Ok(fs::read_to_string(input.file("out.txt")?).unwrap());
    context.inputs.values().map(read).collect()
}

impl World {
    pub fn new() -> Self {
        let options = RunOptions {
            n_jobs: PerLane { cpu: 2, gpu: 1 },
            n_threads: 2,
            origin: RunOrigin { version: "0".into(), ..RunOrigin::default() },
            ..RunOptions::default()
        };
        Self { folder: tempfile::tempdir().unwrap(), options, cancel: Cancel::new(), remote: None, trusted: Vec::new() }
    }

    pub fn with_remote(self, remote: FaultyRemote) -> Self {
        Self { remote: Some(remote), ..self }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn store(&self) -> Store {
        let store = Store::open(&self.path("artifacts")).unwrap();
        match &self.remote {
            Some(remote) => {
                let signatures = Signatures { signing: None, trusted: self.trusted.clone() };
                store.with_signed_remote(Box::new(remote.clone()), remote.access, signatures)
            }
            None => store,
        }
    }

    /// The spec of another world on the same folder and store, like another process.
    pub fn spec(&self) -> SpecInfo {
        SpecInfo {
            path: self.path("spec.yaml"),
            name: "spec".into(),
            yaml: "name: spec\n".into(),
            ..SpecInfo::default()
        }
    }

    pub fn plan(&self, parts: &[Part]) -> Result<Plan, EngineError> {
        plan(&graph(parts, &Arc::default()), &self.store(), &self.spec().path, &self.options.plan)
    }

    /// Plans, runs, and checks that the run matches the plan, and that it counts as a no-op only if the plan is one.
    pub fn run(&self, parts: &[Part]) -> Ran {
        let planned = self.plan(parts).unwrap();
        if self.run_unchanged(parts).is_some() {
            let is_settled =
                |stage: &PlannedStage| matches!(stage.decision, Decision::Reuse { .. }) && stage.unpublished.is_empty();
            assert!(planned.stages.iter().all(is_settled), "{planned:#?}");
        }
        let spec = SpecInfo { circumstances: Some(circumstances(parts)), ..self.spec() };
        let ran = self.run_with(parts, &spec, &mut |_| {});
        check_agreement(&planned, &ran);
        ran
    }

    /// The events of a run that is answered without a plan; `None` when something has changed.
    pub fn run_unchanged(&self, parts: &[Part]) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        let mut listen = |record: &EventRecord| events.push(record.event.clone());
        let is_now = |then: &Circumstances| *then == circumstances(parts);
        let spec = self.path("spec.yaml");
        let run = run_unchanged(&self.store(), &spec, &self.options, &is_now, &mut listen).unwrap();
        run.map(|_| events)
    }

    /// Runs and passes every event to `listen`.
    pub fn run_with(&self, parts: &[Part], spec: &SpecInfo, listen: &mut dyn FnMut(&EventRecord)) -> Ran {
        self.run_spec(&self.options, parts, spec, listen)
    }

    /// Runs with other options.
    pub fn run_as(&self, options: &RunOptions, parts: &[Part], listen: &mut dyn FnMut(&EventRecord)) -> Ran {
        self.run_spec(options, parts, &self.spec(), listen)
    }

    fn run_spec(
        &self,
        options: &RunOptions,
        parts: &[Part],
        spec: &SpecInfo,
        listen: &mut dyn FnMut(&EventRecord),
    ) -> Ran {
        let log = Arc::new(Mutex::new(Vec::new()));
        let graph = graph(parts, &log);
        let mut events = Vec::new();
        let mut listen = |record: &EventRecord| {
            events.push(record.event.clone());
            listen(record);
        };
        let summary = run(&graph, &self.store(), spec, options, &self.cancel, &mut listen).unwrap();
        let log = log.lock().unwrap().join(" ");
        Ran { summary, events, log }
    }

    /// Runs and expects that exactly the stages in `expect` ran, in this order, and that the run is done.
    pub fn expect(&self, parts: &[Part], expect: &str) -> Ran {
        let ran = self.run(parts);
        assert_eq!(ran.log, expect, "{:#?}", ran.events);
        assert_eq!(ran.summary.outcome, pipeline_core::Outcome::Done, "{:#?}", ran.events);
        ran
    }

    /// The files that hold cached bytes.
    pub fn objects(&self) -> Vec<PathBuf> {
        files_below(&self.path("artifacts/store-v1/objects"))
    }

    /// Flips a bit in the middle of a cached file, keeping its length and times.
    pub fn flip_bit(&self, object: &Path) {
        let metadata = fs::metadata(object).unwrap();
        let (times, permissions) = (metadata.modified().unwrap(), metadata.permissions());
        let mut bytes = fs::read(object).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::set_permissions(object, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        fs::write(object, bytes).unwrap();
        fs::File::options().write(true).open(object).unwrap().set_modified(times).unwrap();
        fs::set_permissions(object, permissions).unwrap();
    }
}

impl Ran {
    pub fn n_events(&self, is_wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_wanted(event)).count()
    }

    /// The reason of a stage's last start.
    pub fn why(&self, id: &str) -> Option<RunReason> {
        let why = |event: &Event| match event {
            Event::StageStarted { stage, why, .. } if stage.as_str() == id => Some(why.clone()),
            _ => None,
        };
        self.events.iter().rev().find_map(why)
    }

    pub fn warnings(&self) -> String {
        let warning = |event: &Event| match event {
            Event::StageWarning { stage, message } => Some(format!("{stage}: {message}\n")),
            _ => None,
        };
        self.events.iter().filter_map(warning).collect()
    }

    pub fn errors(&self) -> String {
        let error = |event: &Event| match event {
            Event::StageFailed { stage, errors, help, .. } => {
                let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                Some(format!("{stage}: {}{help}\n", errors.join(": ")))
            }
            _ => None,
        };
        self.events.iter().filter_map(error).collect()
    }

    pub fn failed(&self) -> String {
        join(&self.summary.failed)
    }

    pub fn skipped(&self) -> String {
        join(&self.summary.skipped)
    }
}

pub fn graph(parts: &[Part], log: &Arc<Mutex<Vec<String>>>) -> Graph {
    let node = |part: &Part| Node {
        id: part.id.parse().unwrap(),
        stage: Box::new(TestStage { part: part.clone(), log: Arc::clone(log) }),
        inputs: part.inputs.iter().map(|input| (input.clone(), input.parse().unwrap())).collect(),
        retain: part.retain,
        lane: part.lane,
        publish: part.publish.clone(),
    };
    Graph::new(parts.iter().map(node).collect()).unwrap()
}

pub fn forced(ids: &[&str]) -> PlanOptions {
    PlanOptions { forced: ids.iter().map(|id| id.parse().unwrap()).collect(), ..PlanOptions::default() }
}

/// The parts stand for the text of a spec.
fn circumstances(parts: &[Part]) -> Circumstances {
    let describe = |part: &Part| {
        let Part { id, version, params, inputs, sources, retain, lane, publish, .. } = part;
        format!("{id} {version} {params:?} {inputs:?} {sources:?} {retain} {lane:?} {publish:?}")
    };
    Circumstances { overrides: parts.iter().map(describe).collect(), ..Circumstances::default() }
}

fn join(ids: &[StageId]) -> String {
    ids.iter().map(StageId::as_str).collect::<Vec<_>>().join(" ")
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// A stage that the plan reuses must not run except on demand, and one that it runs must start for that reason under
/// that key.
fn check_agreement(plan: &Plan, ran: &Ran) {
    for planned in &plan.stages {
        let started = ran.events.iter().find_map(|event| match event {
            Event::StageStarted { stage, key, why, .. } if *stage == planned.id => Some((*key, why.clone())),
            _ => None,
        });
        let was_skipped = ran.events.iter().any(
            |event| matches!(event, Event::StageSkipped { stage, .. } | Event::StageFailed { stage, .. } if *stage == planned.id),
        );
        match &planned.decision {
            Decision::Reuse { .. } => {
                let is_demanded = matches!(started, None | Some((_, RunReason::Demanded { .. })));
                assert!(is_demanded, "{} was to be reused: {started:?}", planned.id);
            }
            Decision::Run { key, why } if !was_skipped => {
                assert_eq!(started, Some((*key, why.clone())), "{} was to run", planned.id);
            }
            Decision::Run { .. } | Decision::Depends { .. } | Decision::MayBeDemanded { .. } => {}
        }
    }
}
