//! The progress of a run while it runs: the state of each stage, and of each point of a sweep.

use std::collections::HashMap;

use pipeline_core::{Event, EventRecord, Metrics, StageId};

use crate::sweep::{PointRecord, SweepRecord};

/// A fold over the events of a run. It keeps one entry for each stage, however long the run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The stages, in the order of the run.
    pub stages: Vec<StageProgress>,
    positions: HashMap<StageId, usize>,
}

/// A stage of a run that may not have ended.
#[derive(Debug, Clone, PartialEq)]
pub struct StageProgress {
    /// Its name.
    pub id: StageId,
    /// Its kind; empty where the log does not have it.
    pub kind: String,
    /// Its state.
    pub state: LiveState,
    /// When it began, in milliseconds since 1970-01-01 UTC, if it runs or ran.
    pub began_ms: Option<u64>,
    /// Wall time in seconds, once it ran.
    pub seconds: Option<f64>,
    /// The numbers of missing and of all shards, once they are known.
    pub shards: Option<(u64, u64)>,
    /// The number of finished rows, and that of all if it is known.
    pub rows: Option<(u64, Option<u64>)>,
    /// Its result in a line, or the message of its failure.
    pub headline: Option<String>,
    /// Its metrics, once it is up to date.
    pub metrics: Metrics,
}

/// The state of a stage in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveState {
    /// The run has not reached it.
    Waiting,
    /// It runs, or waits for another process that computes the same.
    Running,
    /// Its result was reused.
    Reused,
    /// It ran.
    Ran,
    /// It ran and gave the same result as before.
    Unchanged,
    /// It failed.
    Failed,
    /// It was skipped.
    Skipped,
}

/// A point of a sweep whose run may not have ended.
#[derive(Debug, Clone, PartialEq)]
pub struct PointProgress<'a> {
    /// The point.
    pub point: &'a PointRecord,
    /// Its state: `Running` while a stage of its own runs.
    pub state: LiveState,
    /// The number of its own stages to which nothing more will happen, and of all of its own: other points share the
    /// rest.
    pub own_stages: (usize, usize),
    /// The metrics of the first evaluation, once they are measured.
    pub metrics: Option<&'a Metrics>,
}

impl LiveState {
    /// Whether nothing more will happen to the stage in this run.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// The state in one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Reused => "reused",
            Self::Ran => "ran",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Progress {
    /// Adds one event.
    pub fn add(&mut self, record: &EventRecord) {
        match &record.event {
            Event::RunStarted { stages, graph, .. } => {
                stages.iter().for_each(|stage| _ = self.stage_mut(stage));
                graph.iter().for_each(|node| self.stage_mut(&node.stage).kind.clone_from(&node.kind));
            }
            Event::StageReused { stage, report, .. } => {
                let stage = self.stage_mut(stage);
                stage.state = LiveState::Reused;
                stage.headline.clone_from(&report.headline);
                stage.metrics.clone_from(&report.metrics);
            }
            Event::StageWaiting { stage, .. } => self.begin(stage, record.at_ms),
            Event::StageStarted { stage, kind, .. } => {
                self.begin(stage, record.at_ms);
                self.stage_mut(stage).kind.clone_from(kind);
            }
            Event::StageSharded { stage, n_shards, n_missing, .. }
            | Event::StageHelping { stage, n_shards, n_missing } => {
                self.stage_mut(stage).shards = Some((*n_missing, *n_shards));
            }
            Event::StageProgress { stage, n_done, total } => self.stage_mut(stage).rows = Some((*n_done, *total)),
            Event::StageFinished { stage, seconds, unchanged, report, .. } => {
                let stage = self.stage_mut(stage);
                stage.state = if *unchanged { LiveState::Unchanged } else { LiveState::Ran };
                stage.seconds = Some(*seconds);
                stage.headline.clone_from(&report.headline);
                stage.metrics.clone_from(&report.metrics);
            }
            Event::StageFailed { stage, errors, seconds, .. } => {
                let stage = self.stage_mut(stage);
                stage.state = LiveState::Failed;
                stage.seconds = Some(*seconds);
                stage.headline = errors.first().cloned();
            }
            Event::StageSkipped { stage, .. } => self.stage_mut(stage).state = LiveState::Skipped,
            Event::StageAdopted { .. }
            | Event::StageHelped { .. }
            | Event::ShardComputed { .. }
            | Event::ShardsDone { .. }
            | Event::WorkerStarted { .. }
            | Event::WorkerEnded { .. }
            | Event::ExecutorNoted { .. }
            | Event::StageWarning { .. }
            | Event::StageOutput { .. }
            | Event::StageRedraw { .. }
            | Event::FilePublished { .. }
            | Event::ArtifactDropped { .. }
            | Event::RemoteOff { .. }
            | Event::RemoteDamaged { .. }
            | Event::RemoteTooLarge { .. }
            | Event::RemoteUntrusted { .. }
            | Event::RemoteUploading { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    /// The number of stages to which nothing more will happen.
    pub fn n_settled(&self) -> usize {
        self.stages.iter().filter(|stage| stage.state.is_settled()).count()
    }

    /// The stages that run.
    pub fn running(&self) -> impl Iterator<Item = &StageProgress> {
        self.stages.iter().filter(|stage| stage.state == LiveState::Running)
    }

    /// The points of the run's sweep, in order.
    pub fn points<'a>(&'a self, sweep: &'a SweepRecord) -> Vec<PointProgress<'a>> {
        let mut n_users: HashMap<&StageId, usize> = HashMap::new();
        sweep.points.iter().flat_map(|point| point.stages.values()).for_each(|copy| {
            *n_users.entry(copy).or_default() += 1;
        });
        let is_own = |copy: &StageId| n_users.get(copy) == Some(&1);
        sweep.points.iter().map(|point| self.point(sweep, point, &is_own)).collect()
    }

    fn point<'a>(
        &'a self,
        sweep: &SweepRecord,
        point: &'a PointRecord,
        is_own: &dyn Fn(&StageId) -> bool,
    ) -> PointProgress<'a> {
        // The points of a run are known before its log names their stages.
        let state_of = |copy: &StageId| self.stage(copy).map_or(LiveState::Waiting, |stage| stage.state);
        let states = || point.stages.values().map(|copy| (copy, state_of(copy)));
        let any = |wanted: LiveState| states().any(|(_, state)| state == wanted);
        let own = || states().filter(|(copy, _)| is_own(copy)).map(|(_, state)| state);
        let state = if any(LiveState::Failed) || !point.failed.is_empty() {
            LiveState::Failed
        } else if any(LiveState::Skipped) {
            LiveState::Skipped
        } else if states().all(|(_, state)| state.is_settled()) {
            if states().all(|(_, state)| state == LiveState::Reused) { LiveState::Reused } else { LiveState::Ran }
        } else if own().any(|state| state == LiveState::Running) {
            LiveState::Running
        } else {
            LiveState::Waiting
        };
        let evaluation = sweep.evaluations.first().and_then(|stage| self.stage(point.stages.get(stage)?));
        let metrics = evaluation.map(|stage| &stage.metrics).filter(|metrics| !metrics.is_empty());
        let own_stages = (own().filter(|state| state.is_settled()).count(), own().count());
        PointProgress { point, state, own_stages, metrics }
    }

    fn stage(&self, id: &StageId) -> Option<&StageProgress> {
        self.positions.get(id).map(|idx| &self.stages[*idx])
    }

    fn begin(&mut self, id: &StageId, at_ms: u64) {
        let stage = self.stage_mut(id);
        stage.state = LiveState::Running;
        stage.began_ms = stage.began_ms.or(Some(at_ms));
    }

    /// The stage of that name, added if the log has not named it yet.
    fn stage_mut(&mut self, id: &StageId) -> &mut StageProgress {
        let idx = self.positions.get(id).copied().unwrap_or_else(|| {
            self.positions.insert(id.clone(), self.stages.len());
            self.stages.push(StageProgress {
                id: id.clone(),
                kind: String::new(),
                state: LiveState::Waiting,
                began_ms: None,
                seconds: None,
                shards: None,
                rows: None,
                headline: None,
                metrics: Metrics::new(),
            });
            self.stages.len() - 1
        });
        &mut self.stages[idx]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pipeline_core::{Device, Digest, Key, RunId, RunReason, StageReport};

    use super::*;

    fn id(name: &str) -> StageId {
        name.parse().unwrap()
    }

    fn sweep() -> SweepRecord {
        let point = |point, copy: &str| PointRecord {
            point,
            overrides: BTreeMap::new(),
            stages: [("data", "data"), ("evaluate", copy)].map(|(own, copy)| (id(own), id(copy))).into(),
            rungs: Vec::new(),
            failed: Vec::new(),
        };
        SweepRecord::new(Vec::new(), vec![id("evaluate")], vec![point(1, "evaluate-1"), point(2, "evaluate-2")], None)
    }

    #[test]
    fn points_fill_up_as_their_stages_finish() {
        let mut progress = Progress::default();
        let sweep = sweep();
        let mut after = |event: Event| {
            progress.add(&EventRecord { at_ms: 7, event });
            let points = progress.points(&sweep);
            let metric = |point: &PointProgress<'_>| point.metrics.map(|metrics| metrics["mean_recall"]);
            let points: Vec<_> = points.iter().map(|point| (point.state, metric(point))).collect();
            (points, progress.n_settled())
        };
        let key = Key(Digest::of(b""));
        let started =
            |stage: &str| Event::StageStarted { stage: id(stage), kind: "k".into(), key, why: RunReason::New };
        let report = || StageReport { metrics: [("mean_recall".to_owned(), 0.5)].into(), ..StageReport::default() };
        let begin = Event::RunStarted {
            run: RunId("r".into()),
            spec: "s".into(),
            stages: ["data", "evaluate-1", "evaluate-2"].map(id).into(),
            graph: Vec::new(),
            version: "1".into(),
            device: Device::Cpu,
            cards: Vec::new(),
            n_jobs: 1,
            n_threads: 1,
        };
        use LiveState::{Failed, Ran, Running, Waiting};
        assert_eq!(after(begin), (vec![(Waiting, None), (Waiting, None)], 0));
        assert_eq!(after(started("data")), (vec![(Waiting, None), (Waiting, None)], 0));
        let artifact = Digest::of(b"");
        let reused = Event::StageReused { stage: id("data"), key, artifact, report: StageReport::default() };
        assert_eq!(after(reused), (vec![(Waiting, None), (Waiting, None)], 1));
        assert_eq!(after(started("evaluate-1")), (vec![(Running, None), (Waiting, None)], 1));
        let finished = Event::StageFinished {
            stage: id("evaluate-1"),
            key,
            artifact,
            bytes: 1,
            n_shards_reused: 0,
            n_shards_computed: 0,
            n_shards_by_others: 0,
            n_rows_computed: 0,
            n_threads: 1,
            seconds: 1.0,
            unchanged: false,
            report: report(),
        };
        assert_eq!(after(finished), (vec![(Ran, Some(0.5)), (Waiting, None)], 2));
        let errors = vec!["no".to_owned()];
        let failed = Event::StageFailed { stage: id("evaluate-2"), errors, help: None, seconds: 1.0 };
        assert_eq!(after(failed), (vec![(Ran, Some(0.5)), (Failed, None)], 3));
    }
}
