//! A run as it is remembered: its stages with their records, and where its data came from.

use std::collections::BTreeMap;

use pipeline_core::{ArtifactDigest, Event, Key, Metrics, StageId};
use pipeline_spec::nearest;
use pipeline_store::{Record, RunInfo, Store};

use crate::commands::replay;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::lineage::{Lineage, Origin};

/// A run, and the stage that was asked for.
pub struct PastRun {
    /// What it was.
    pub info: RunInfo,
    /// The stages that were up to date in the end.
    pub stages: BTreeMap<StageId, PastStage>,
    /// Where their data came from.
    pub lineage: Lineage,
    /// The only stage whose metrics matter.
    pub chosen: Option<StageId>,
}

/// What a stage had in a run.
pub struct PastStage {
    /// Its key.
    pub key: Key,
    /// What it made.
    pub artifact: ArtifactDigest,
    /// What it measured.
    pub metrics: Metrics,
    /// What the store remembers of it, if that is still what the run had.
    pub record: Option<Record>,
}

impl PastRun {
    /// The run that `name` means, `RUN` or `RUN:STAGE`.
    ///
    /// # Errors
    /// When there is no such run or stage, or the store cannot be read.
    pub fn find(store: &Store, runs: &[RunInfo], name: &str) -> Result<Self, Failure> {
        let (run, stage) = name.split_once(':').map_or((name, None), |(run, stage)| (run, Some(stage)));
        let info = replay::find(runs, run)?.clone();
        let mut stages = BTreeMap::new();
        for record in store.run_events(&info.id)? {
            let (stage, key, artifact, report) = match record.event {
                Event::StageReused { stage, key, artifact, report }
                | Event::StageFinished { stage, key, artifact, report, .. } => (stage, key, artifact, report),
                _ => continue,
            };
            let record = store.record(&key)?.filter(|record| record.tree.digest() == artifact);
            stages.insert(stage, PastStage { key, artifact, metrics: report.metrics, record });
        }
        let lineage = lineage(store, &info, &stages)?;
        let chosen = stage.map(|stage| choose(stage, &info, &stages)).transpose()?;
        Ok(Self { info, stages, lineage, chosen })
    }
}

fn choose(name: &str, info: &RunInfo, stages: &BTreeMap<StageId, PastStage>) -> Result<StageId, Failure> {
    let measured = || stages.iter().filter(|(_, stage)| !stage.metrics.is_empty()).map(|(id, _)| id);
    measured().find(|id| id.as_str() == name).cloned().ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("run {} has no metrics of a stage `{name}`", info.id));
        match nearest(name, measured().map(StageId::as_str)) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure,
        }
    })
}

/// The connections are those of the recorded spec; there are none when this program cannot read it any more.
fn lineage(store: &Store, info: &RunInfo, stages: &BTreeMap<StageId, PastStage>) -> Result<Lineage, Failure> {
    let yaml = store.run_spec(&info.id)?;
    let spec = yaml.and_then(|yaml| pipeline_spec::parse(&yaml, "spec.yaml".as_ref()).ok());
    let origins = spec.iter().flat_map(|spec| &spec.stages).map(|stage| {
        let past = stages.get(&stage.id);
        let inputs = stage.inputs.iter().map(|(slot, from)| (slot.value.clone(), from.value.clone())).collect();
        let manifest = past.and_then(|past| past.record.as_ref()).map(|record| record.manifest.clone());
        (stage.id.clone(), Origin { inputs, manifest, artifact: past.map(|past| past.artifact) })
    });
    Ok(Lineage { stages: origins.collect() })
}
