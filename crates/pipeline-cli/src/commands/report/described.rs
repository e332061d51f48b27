//! A recorded run for its page: facts in words, and the store's records.

use pipeline_core::{ArtifactDigest, Metrics};
use pipeline_experiments::in_one_line;
use pipeline_experiments::recorded::{Fate, LoggedStage, RecordedRun, Remark};
use pipeline_report::facts::{RunFacts, StageFacts, StageState};
use pipeline_spec::{PipelineSpec, StageSpec};
use pipeline_stages::Format;
use pipeline_store::{OpenTree, Record, RunInfo, Store, StoreError};

use crate::again::line;
use crate::format::date_time;
use crate::render::words;

/// A run with the facts of its page.
pub struct DescribedRun<'a> {
    /// The run.
    pub run: &'a RecordedRun,
    /// The facts of the run.
    pub facts: RunFacts,
    /// Its stages, inputs before readers.
    pub stages: Vec<DescribedStage<'a>>,
    /// Its resolved spec as text.
    pub yaml: Option<String>,
    /// Its resolved spec, if this program can read it.
    pub spec: Option<PipelineSpec>,
}

/// A stage of a described run.
pub struct DescribedStage<'a> {
    /// The stage.
    pub logged: &'a LoggedStage,
    /// The record of its key, if the store has it.
    pub record: Option<&'a Record>,
    /// The facts of the stage.
    pub facts: StageFacts,
}

impl<'a> DescribedRun<'a> {
    /// Describes a run; for a point of a sweep, its stages have their names in the spec.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(store: &Store, run: &'a RecordedRun) -> Result<Self, StoreError> {
        let yaml = store.runs().spec(&run.info.id)?;
        let spec = yaml.as_ref().and_then(|yaml| pipeline_spec::parse(yaml, "spec.yaml".as_ref()).ok());
        let describe = |logged| DescribedStage::new(run, logged, spec.as_ref().and_then(|spec| spec.stage(&logged.id)));
        let stages = run.log.stages().iter().map(describe).collect();
        Ok(Self { run, facts: run_facts(run), stages, yaml, spec })
    }

    /// The stage with this name.
    pub fn stage(&self, name: &str) -> Option<&DescribedStage<'a>> {
        self.stages.iter().find(|stage| stage.facts.name == name)
    }

    /// The stage in the spec.
    pub fn spec_of(&self, stage: &DescribedStage<'_>) -> Option<&StageSpec> {
        self.spec.as_ref()?.stage(&stage.logged.id)
    }

    /// The stages that make artifacts of this format.
    pub fn stages_that_make(&self, format: Format) -> impl Iterator<Item = &DescribedStage<'a>> {
        let makes = move |stage: &&DescribedStage<'_>| pipeline_stages::makes(&stage.facts.kind, format);
        self.stages.iter().filter(makes)
    }

    /// The stage that fills a slot of another.
    pub fn input(&self, stage: &DescribedStage<'_>, slot: &str) -> Option<&DescribedStage<'a>> {
        self.stage(stage.logged.inputs.get(slot)?.as_str())
    }

    /// The artifact of a stage; the inner error explains its absence for people.
    pub fn open(&self, store: &Store, stage: &DescribedStage<'_>) -> Result<OpenTree, String> {
        let artifact = stage.artifact().ok_or_else(|| format!("`{}` has no result", stage.facts.name))?;
        let record = stage.record.filter(|record| record.tree.digest() == artifact);
        let record = record.ok_or_else(|| format!("the store remembers `{}` no more", stage.facts.name))?;
        store
            .cas()
            .open(&record.tree)
            .map_err(|error| format!("the files of `{}` are gone ({})", stage.facts.name, in_one_line(&error)))
    }
}

fn run_facts(run: &RecordedRun) -> RunFacts {
    let RunInfo { labels, origin, host, .. } = &run.info;
    let facts = RunFacts {
        id: run.name(),
        spec: run.info.spec.clone(),
        state: format!("{:?}", run.info.state).to_lowercase(),
        started: date_time(run.info.started_ms),
        seconds: run.info.seconds,
        name: labels.name.clone(),
        note: labels.note.clone(),
        tags: labels.tags.iter().cloned().collect(),
        commit: origin.commit.as_ref().map(|commit| commit.id.clone()),
        dirty: origin.commit.as_ref().and_then(|commit| commit.dirty),
        command: line(&origin.command),
        host: host.clone(),
        instruction_set: origin.instruction_set.clone(),
        ..RunFacts::default()
    };
    let Some(engine) = &run.log.engine else { return facts };
    let device = engine.device.with_cards(&engine.cards);
    RunFacts { version: engine.version.clone(), device, n_threads: Some(engine.n_threads), ..facts }
}

impl<'a> DescribedStage<'a> {
    fn new(run: &'a RecordedRun, logged: &'a LoggedStage, spec: Option<&StageSpec>) -> Self {
        let record = run.record(logged);
        let report = logged.report.as_ref();
        let mut facts = StageFacts {
            name: logged.id.to_string(),
            kind: kind(logged, record),
            inputs: inputs(logged, spec),
            state: state(logged.fate),
            seconds: logged.cost.map(|cost| cost.seconds),
            n_rows: report.and_then(|report| report.n_rows),
            n_rejected: report.map_or(0, |report| report.n_rejected),
            remarks: logged.remarks.iter().map(remark).collect(),
            artifact: logged.artifact.map(|artifact| artifact.hex()),
            ..StageFacts::default()
        };
        if let Some((_, n_reused, n_computed)) = logged.cost.and_then(|cost| cost.made) {
            facts.shards = Some((n_reused, n_computed));
        }
        facts.bytes = logged.cost.and_then(|cost| cost.made).map(|(bytes, ..)| bytes);
        if let Some(record) = record {
            facts.key = Some(record.key.0.hex());
            facts.manifest = Some(record.manifest.text());
            facts.bytes = Some(record.tree.bytes());
            facts.saved_seconds = (logged.fate == Fate::Reused).then_some(record.seconds);
        }
        facts.remarks.extend(report.and_then(|report| report.headline.clone()));
        Self { logged, record, facts }
    }

    /// Its artifact.
    pub fn artifact(&self) -> Option<ArtifactDigest> {
        self.logged.artifact
    }

    /// Its metrics; empty for a stage without a result.
    pub fn metrics(&self) -> Metrics {
        self.logged.report.as_ref().map(|report| report.metrics.clone()).unwrap_or_default()
    }
}

/// The kind; for a log without it, that of the record.
fn kind(logged: &LoggedStage, record: Option<&Record>) -> String {
    let recorded = || record.and_then(|record| record.manifest.get("kind")).unwrap_or_default().to_owned();
    if logged.kind.is_empty() { recorded() } else { logged.kind.clone() }
}

/// The inputs in the order of the spec, where it can be read.
fn inputs(logged: &LoggedStage, spec: Option<&StageSpec>) -> Vec<(String, String)> {
    match spec {
        Some(spec) => spec.inputs.iter().map(|(slot, from)| (slot.value.clone(), from.value.to_string())).collect(),
        None => logged.inputs.iter().map(|(slot, from)| (slot.clone(), from.to_string())).collect(),
    }
}

fn state(fate: Fate) -> StageState {
    match fate {
        Fate::Open => StageState::Unfinished,
        Fate::Reused => StageState::Reused,
        Fate::Ran => StageState::Ran,
        Fate::Unchanged => StageState::Unchanged,
        Fate::Failed => StageState::Failed,
        Fate::Skipped => StageState::Skipped,
    }
}

fn remark(remark: &Remark) -> String {
    match remark {
        Remark::Adopted { from, old_version, new_version } => {
            format!("kept {}", words::adoption(&from.0, old_version, new_version))
        }
        Remark::Reason(why) => words::reason(why),
        Remark::Warning(message) => format!("warning: {message}"),
        Remark::Errors(errors) => errors.join(": "),
        Remark::SkippedFor(failed) => format!("`{failed}` failed"),
    }
}
