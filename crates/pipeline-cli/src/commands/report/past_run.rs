//! A run of the past: what its events, its spec and the records of its stages tell together.

use std::collections::BTreeMap;

use pipeline_core::{ArtifactDigest, Device, Event, EventRecord, Key, Metrics, StageId, StageReport};
use pipeline_experiments::recorded::RunResults;
use pipeline_experiments::{Lineage, in_one_line};
use pipeline_report::facts::{RunFacts, StageFacts, StageState};
use pipeline_spec::{PipelineSpec, StageSpec};
use pipeline_stages::Format;
use pipeline_store::{OpenTree, Record, Store};

use crate::failure::Failure;
use crate::format::date_time;
use crate::render::words;

/// A run of the past.
pub struct PastRun {
    /// What the page tells of it.
    pub facts: RunFacts,
    /// Its stages, inputs before readers.
    pub stages: Vec<PastStage>,
    /// Its resolved spec as text.
    pub yaml: Option<String>,
    /// Its resolved spec, if this program can read it.
    pub spec: Option<PipelineSpec>,
    /// Where the data of its stages came from; nothing is known without the spec.
    pub lineage: Lineage,
}

/// A stage of such a run.
pub struct PastStage {
    /// What the page tells of it.
    pub facts: StageFacts,
    /// The artifact that it had.
    pub artifact: Option<ArtifactDigest>,
    /// What it told.
    pub report: StageReport,
    /// What the store remembers of its key.
    pub record: Option<Record>,
}

impl PastRun {
    /// Reads what is left of a run; of a point of a sweep only its stages, by their names in the spec.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(store: &Store, results: &RunResults) -> Result<Self, Failure> {
        let run = &results.run;
        let events = store.runs().events(&run.id)?;
        let yaml = store.runs().spec(&run.id)?;
        let spec = yaml.as_ref().and_then(|yaml| pipeline_spec::parse(yaml, "spec.yaml".as_ref()).ok());
        let mut fold = Fold::default();
        events.into_iter().for_each(|record| fold.on_event(record));
        let mut stages = Vec::new();
        for (id, mut stage) in fold.ids.into_iter().zip(fold.stages) {
            let Some(own) = results.name_in_spec(&id) else { continue };
            stage.record = fold.keys.get(&id).map(|key| store.records().get(key)).transpose()?.flatten();
            stage.describe(&own, spec.as_ref().and_then(|spec| spec.stage(&own)));
            stages.push(stage);
        }
        let lineage = spec.as_ref().map_or_else(Lineage::default, |spec| lineage(spec, &stages));
        let facts = RunFacts {
            id: results.name(),
            spec: run.spec.clone(),
            state: format!("{:?}", run.state).to_lowercase(),
            started: date_time(run.started_ms),
            seconds: run.seconds,
            ..fold.facts
        };
        Ok(Self { facts, stages, yaml, spec, lineage })
    }

    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&PastStage> {
        self.stages.iter().find(|stage| stage.facts.name == name)
    }

    /// The stage in the spec.
    pub fn spec_of(&self, stage: &PastStage) -> Option<&StageSpec> {
        self.spec.as_ref()?.stage(&stage.facts.name.parse().ok()?)
    }

    /// The stages that make artifacts of this format.
    pub fn stages_that_make(&self, format: Format) -> impl Iterator<Item = &PastStage> {
        let makes = move |stage: &&PastStage| pipeline_stages::makes(&stage.facts.kind, format);
        self.stages.iter().filter(makes)
    }

    /// The stage that fills a slot of another.
    pub fn input(&self, stage: &PastStage, slot: &str) -> Option<&PastStage> {
        let (_, from) = stage.facts.inputs.iter().find(|(name, _)| name == slot)?;
        self.stage(from)
    }

    /// The artifact that a stage had; the inner error says for people why it is not there.
    pub fn open(&self, store: &Store, stage: &PastStage) -> Result<OpenTree, String> {
        let artifact = stage.artifact.ok_or_else(|| format!("`{}` has no result", stage.facts.name))?;
        let record = stage.record.as_ref().filter(|record| record.tree.digest() == artifact);
        let record = record.ok_or_else(|| format!("the store remembers `{}` no more", stage.facts.name))?;
        store
            .cas()
            .open(&record.tree)
            .map_err(|error| format!("the files of `{}` are gone ({})", stage.facts.name, in_one_line(&error)))
    }
}

impl PastStage {
    /// The metrics that it told.
    pub fn metrics(&self) -> &Metrics {
        &self.report.metrics
    }

    /// Completes the facts with what the spec, the record and the report tell.
    fn describe(&mut self, id: &StageId, spec: Option<&StageSpec>) {
        let facts = &mut self.facts;
        facts.name = id.to_string();
        if let Some(spec) = spec {
            facts.kind = spec.kind.value.clone();
            facts.inputs =
                spec.inputs.iter().map(|(slot, from)| (slot.value.clone(), from.value.to_string())).collect();
        }
        facts.n_rows = self.report.n_rows;
        facts.n_rejected = self.report.n_rejected;
        facts.artifact = self.artifact.map(|artifact| artifact.hex());
        if let Some(record) = &self.record {
            // Of a stage that was reused no event tells the kind, and the spec may not be readable any more.
            if let Some(kind) = record.manifest.get("kind").filter(|_| facts.kind.is_empty()) {
                facts.kind = kind.to_owned();
            }
            facts.key = Some(record.key.0.hex());
            facts.manifest = Some(record.manifest.text());
            facts.bytes = Some(record.tree.bytes());
            facts.saved_seconds = (facts.state == StageState::Reused).then_some(record.seconds);
        }
        facts.remarks.extend(self.report.headline.clone());
    }
}

fn lineage(spec: &PipelineSpec, stages: &[PastStage]) -> Lineage {
    Lineage::of_run(spec, |id| {
        let stage = stages.iter().find(|stage| stage.facts.name == id.as_str())?;
        Some((stage.artifact?, stage.record.as_ref().map(|record| record.manifest.clone())))
    })
}

/// What events tell of stages, in the order in which the run looked at them.
#[derive(Default)]
struct Fold {
    facts: RunFacts,
    ids: Vec<StageId>,
    stages: Vec<PastStage>,
    keys: BTreeMap<StageId, Key>,
}

impl Fold {
    fn on_event(&mut self, record: EventRecord) {
        match record.event {
            Event::RunStarted { stages, version, device, n_threads, .. } => {
                let device = if device == Device::Cuda { "cuda" } else { "cpu" };
                self.facts =
                    RunFacts { version, device: device.into(), n_threads: Some(n_threads), ..RunFacts::default() };
                stages.iter().for_each(|stage| {
                    self.stage(stage);
                });
            }
            Event::StageReused { stage, key, artifact, report } => {
                let warnings: Vec<_> = report.warnings.iter().map(|message| format!("warning: {message}")).collect();
                let facts = self.settle(&stage, key, artifact, report);
                facts.state = StageState::Reused;
                facts.remarks.extend(warnings);
            }
            Event::StageStarted { stage, kind, key, why } => {
                self.keys.insert(stage.clone(), key);
                let facts = self.facts_of(&stage);
                facts.kind = kind;
                facts.remarks.push(words::reason(&why));
            }
            Event::StageFinished {
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
            } => {
                let facts = self.settle(&stage, key, artifact, report);
                facts.state = if unchanged { StageState::Unchanged } else { StageState::Ran };
                facts.seconds = Some(seconds);
                facts.shards = Some((n_shards_reused, n_shards_computed));
                facts.bytes = Some(bytes);
            }
            Event::StageFailed { stage, errors, seconds, .. } => {
                let facts = self.facts_of(&stage);
                facts.state = StageState::Failed;
                facts.seconds = Some(seconds);
                facts.remarks.push(errors.join(": "));
            }
            Event::StageSkipped { stage, because } => {
                let facts = self.facts_of(&stage);
                facts.state = StageState::Skipped;
                facts.remarks.extend(because.map(|failed| format!("`{failed}` failed")));
            }
            Event::StageAdopted { stage, from, old_version, new_version, .. } => {
                let remark = format!("kept {}", words::adoption(&from.0, &old_version, &new_version));
                self.facts_of(&stage).remarks.push(remark);
            }
            Event::StageWarning { stage, message } => self.facts_of(&stage).remarks.push(format!("warning: {message}")),
            Event::StageWaiting { .. }
            | Event::StageSharded { .. }
            | Event::StageHelping { .. }
            | Event::StageHelped { .. }
            | Event::StageProgress { .. }
            | Event::StageRedraw { .. }
            | Event::StageOutput { .. }
            | Event::FilePublished { .. }
            | Event::ArtifactDropped { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    fn settle(&mut self, id: &StageId, key: Key, artifact: ArtifactDigest, report: StageReport) -> &mut StageFacts {
        self.keys.insert(id.clone(), key);
        let stage = self.stage(id);
        stage.artifact = Some(artifact);
        stage.report = report;
        &mut stage.facts
    }

    fn facts_of(&mut self, id: &StageId) -> &mut StageFacts {
        &mut self.stage(id).facts
    }

    fn stage(&mut self, id: &StageId) -> &mut PastStage {
        let idx = self.ids.iter().position(|known| known == id).unwrap_or_else(|| {
            self.ids.push(id.clone());
            let facts = StageFacts::default();
            self.stages.push(PastStage { facts, artifact: None, report: StageReport::default(), record: None });
            self.stages.len() - 1
        });
        &mut self.stages[idx]
    }
}
