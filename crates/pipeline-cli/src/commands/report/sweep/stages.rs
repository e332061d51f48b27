//! The stages of the spec, each with its copies in the sweep.

use std::collections::BTreeMap;

use pipeline_core::StageId;
use pipeline_report::facts::{StageFacts, SweptStage};

use super::Sweep;

/// The stages, in the order of the run.
pub fn collect(sweep: &Sweep<'_>) -> Vec<SweptStage> {
    let points = sweep.record.points.iter().flat_map(|point| &point.stages);
    let own_by_copy: BTreeMap<&str, &StageId> = points.map(|(own, copy)| (copy.as_str(), own)).collect();
    let mut stages: Vec<SweptStage> = Vec::new();
    for stage in &sweep.run.stages {
        let Some(own) = own_by_copy.get(stage.facts.name.as_str()) else { continue };
        let idx = stages.iter().position(|known| known.name == own.as_str()).unwrap_or_else(|| {
            let spec = sweep.run.spec.as_ref().and_then(|spec| spec.stage(own));
            let kind = spec.map(|spec| spec.kind.value.clone()).unwrap_or_default();
            stages.push(SweptStage { name: own.to_string(), kind, copies: Vec::new() });
            stages.len() - 1
        });
        let kind = stages[idx].kind.clone();
        stages[idx].copies.push(StageFacts { kind, ..stage.facts.clone() });
    }
    stages
}
