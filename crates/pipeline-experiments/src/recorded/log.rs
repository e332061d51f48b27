//! The log of a run: folds its events into the state of each stage.

use std::collections::{BTreeMap, HashMap};

use pipeline_core::{ArtifactDigest, Device, Event, Key, RunReason, StageId, StageReport};

/// A fold over the events of a run, live or recorded.
#[derive(Debug, Clone, Default)]
pub struct RunLog {
    /// The program that ran it; `None` before the first event.
    pub engine: Option<Engine>,
    /// The number of stages in the spec.
    pub n_stages: u64,
    /// The number of stages that ran to their end.
    pub n_ran: u64,
    /// The number of stages whose result was reused.
    pub n_reused: u64,
    /// The number of stages that were skipped.
    pub n_skipped: u64,
    /// The number of published files.
    pub n_published: u64,
    /// The number of warnings, with those that reused stages had when they ran.
    pub n_warnings: u64,
    /// The failed stages, in the order of their failures.
    pub failures: Vec<FailedStage>,
    /// Wall time of the run, in seconds.
    pub seconds: f64,
    /// True if the first event has the kinds and inputs of the stages.
    pub(super) has_graph: bool,
    /// The stages, in the order in which the run visits them.
    stages: Vec<LoggedStage>,
    positions: HashMap<StageId, usize>,
}

/// The program that ran a run, and its hardware.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The version of the program.
    pub version: String,
    /// The device of tensors.
    pub device: Device,
    /// The numbers of its cards; empty where none has a number.
    pub cards: Vec<u16>,
    /// The total number of threads.
    pub n_threads: usize,
}

/// A failed stage and the reason.
#[derive(Debug, Clone)]
pub struct FailedStage {
    /// The stage.
    pub stage: StageId,
    /// The message and its causes, outermost first.
    pub errors: Vec<String>,
    /// Advice for the user.
    pub help: Option<String>,
}

/// A stage according to the events of a run.
#[derive(Debug, Clone)]
pub struct LoggedStage {
    /// Its name.
    pub id: StageId,
    /// Its kind; empty where the log does not have it.
    pub kind: String,
    /// The stages that it reads, by slot; in recorded logs only, since a no-op run must not copy them.
    pub inputs: BTreeMap<String, StageId>,
    /// Its fate.
    pub fate: Fate,
    /// Its last key.
    pub key: Option<Key>,
    /// The artifact of the key; `None` for a failed stage.
    pub artifact: Option<ArtifactDigest>,
    /// Its report, once it is up to date.
    pub report: Option<StageReport>,
    /// Its time and its size, if it ran.
    pub cost: Option<Cost>,
    /// Remarks on it, in the order of the events.
    pub remarks: Vec<Remark>,
}

/// The fate of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// The run did not reach it, or its end is not recorded.
    #[default]
    Open,
    /// Its result was reused.
    Reused,
    /// It ran.
    Ran,
    /// It ran and gave the same result as before.
    Unchanged,
    /// It failed.
    Failed,
    /// It was skipped, since another failed or the run was interrupted.
    Skipped,
}

/// The cost of a stage that ran.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Wall time, in seconds.
    pub seconds: f64,
    /// The size of the artifact and the numbers of reused and computed shards; `None` for a failed stage.
    pub made: Option<(u64, u64, u64)>,
}

/// A remark on a stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Remark {
    /// It kept an earlier result, computed under the key `from`.
    Adopted {
        /// The key.
        from: Key,
        /// The version of the code that computed it.
        old_version: String,
        /// The version of the code that adopted it.
        new_version: String,
    },
    /// The reason for running it.
    Reason(RunReason),
    /// A warning.
    Warning(String),
    /// The reason of its failure, outermost first.
    Errors(Vec<String>),
    /// The failed stage because of which it was skipped.
    SkippedFor(StageId),
}

impl RunLog {
    /// The log of these events.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut log = Self::default();
        events.into_iter().for_each(|event| log.add(event));
        log
    }

    /// The stages, in the order in which the run visits them.
    pub fn stages(&self) -> &[LoggedStage] {
        &self.stages
    }

    /// The stage of that name.
    pub fn stage(&self, id: &StageId) -> Option<&LoggedStage> {
        self.positions.get(id).map(|idx| &self.stages[*idx])
    }

    /// The same log with these stages only.
    pub(super) fn with_stages(&self, stages: Vec<LoggedStage>) -> Self {
        let positions = stages.iter().enumerate().map(|(idx, stage)| (stage.id.clone(), idx)).collect();
        Self { engine: self.engine.clone(), stages, positions, ..Self::default() }
    }

    /// The stage of that name, added if the log does not have it yet.
    pub(super) fn stage_mut(&mut self, id: &StageId) -> &mut LoggedStage {
        let idx = self.positions.get(id).copied().unwrap_or_else(|| {
            self.positions.insert(id.clone(), self.stages.len());
            self.stages.push(LoggedStage::new(id.clone()));
            self.stages.len() - 1
        });
        &mut self.stages[idx]
    }

    /// Adds one event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. } => self.on_started(event),
            Event::StageReused { stage, key, artifact, report } => {
                self.n_reused += 1;
                self.n_warnings += report.warnings.len() as u64;
                let stage = self.stage_mut(stage);
                stage.settle(Fate::Reused, *key, *artifact, report);
                stage.remarks.extend(report.warnings.iter().cloned().map(Remark::Warning));
            }
            Event::StageStarted { stage, kind, key, why } => {
                let stage = self.stage_mut(stage);
                stage.kind.clone_from(kind);
                stage.key = Some(*key);
                stage.remarks.push(Remark::Reason(why.clone()));
            }
            Event::StageFinished { .. } => self.on_finished(event),
            Event::StageFailed { stage, errors, help, seconds } => {
                let failure = FailedStage { stage: stage.clone(), errors: errors.clone(), help: help.clone() };
                self.failures.push(failure);
                // Its files could not be published: it counts once.
                match self.stage(stage).map(|stage| stage.fate) {
                    Some(Fate::Ran | Fate::Unchanged) => self.n_ran -= 1,
                    Some(Fate::Reused) => self.n_reused -= 1,
                    _ => {}
                }
                let stage = self.stage_mut(stage);
                (stage.fate, stage.artifact) = (Fate::Failed, None);
                stage.cost = Some(Cost { seconds: *seconds, made: None });
                stage.remarks.push(Remark::Errors(errors.clone()));
            }
            Event::StageSkipped { stage, because } => {
                self.n_skipped += 1;
                let stage = self.stage_mut(stage);
                stage.fate = Fate::Skipped;
                stage.remarks.extend(because.clone().map(Remark::SkippedFor));
            }
            Event::StageAdopted { stage, from, old_version, new_version, .. } => {
                let (from, old_version, new_version) = (*from, old_version.clone(), new_version.clone());
                self.stage_mut(stage).remarks.push(Remark::Adopted { from, old_version, new_version });
            }
            Event::StageWarning { stage, message } => {
                self.n_warnings += 1;
                self.stage_mut(stage).remarks.push(Remark::Warning(message.clone()));
            }
            Event::FilePublished { .. } => self.n_published += 1,
            Event::RunFinished { seconds, .. } => self.seconds = *seconds,
            Event::StageWaiting { .. }
            | Event::StageSharded { .. }
            | Event::StageHelping { .. }
            | Event::StageHelped { .. }
            | Event::ShardComputed { .. }
            | Event::ShardsDone { .. }
            | Event::WorkerStarted { .. }
            | Event::WorkerEnded { .. }
            | Event::ExecutorNoted { .. }
            | Event::StageProgress { .. }
            | Event::StageRedraw { .. }
            | Event::StageOutput { .. }
            | Event::ArtifactDropped { .. }
            | Event::RemoteOff { .. }
            | Event::RemoteDamaged { .. }
            | Event::RemoteTooLarge { .. }
            | Event::RemoteUntrusted { .. }
            | Event::RemoteUploading { .. } => {}
        }
    }

    fn on_started(&mut self, event: &Event) {
        let Event::RunStarted { stages, graph, version, device, cards, n_threads, .. } = event else { return };
        let (version, cards) = (version.clone(), cards.clone());
        self.engine = Some(Engine { version, device: *device, cards, n_threads: *n_threads });
        self.n_stages = stages.len() as u64;
        self.stages.reserve(stages.len());
        self.positions.reserve(stages.len());
        self.has_graph = graph.len() == stages.len();
        for id in stages {
            self.stage_mut(id);
        }
        for node in graph {
            self.stage_mut(&node.stage).kind.clone_from(&node.kind);
        }
    }

    fn on_finished(&mut self, event: &Event) {
        let Event::StageFinished {
            stage,
            key,
            artifact,
            bytes,
            n_shards_reused,
            n_shards_computed,
            seconds,
            unchanged,
            report,
            ..
        } = event
        else {
            return;
        };
        self.n_ran += 1;
        let fate = if *unchanged { Fate::Unchanged } else { Fate::Ran };
        let stage = self.stage_mut(stage);
        stage.settle(fate, *key, *artifact, report);
        stage.cost = Some(Cost { seconds: *seconds, made: Some((*bytes, *n_shards_reused, *n_shards_computed)) });
    }
}

impl LoggedStage {
    fn new(id: StageId) -> Self {
        Self {
            id,
            kind: String::new(),
            inputs: BTreeMap::new(),
            fate: Fate::Open,
            key: None,
            artifact: None,
            report: None,
            cost: None,
            remarks: Vec::new(),
        }
    }

    fn settle(&mut self, fate: Fate, key: Key, artifact: ArtifactDigest, report: &StageReport) {
        self.fate = fate;
        (self.key, self.artifact) = (Some(key), Some(artifact));
        self.report = Some(report.clone());
    }

    /// A measured value.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.report.as_ref()?.metrics.get(name).copied()
    }
}
