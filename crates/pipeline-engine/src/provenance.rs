//! The origin of a result: stored beside it, never hashed.

use std::time::{SystemTime, UNIX_EPOCH};

use pipeline_core::{Arithmetic, Device, Numerics, Stage, StageId};
use pipeline_store::Provenance;

use crate::options::RunOptions;

/// The common provenance of all results of one run.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub device: Device,
    pub arithmetic: Arithmetic,
    pub instruction_set: String,
    pub version: String,
}

impl Origin {
    /// The origin from the options of a run.
    pub fn of(options: &RunOptions) -> Self {
        Self {
            device: options.plan.device,
            arithmetic: options.plan.arithmetic,
            instruction_set: options.origin.instruction_set.clone(),
            version: options.origin.version.clone(),
        }
    }

    /// The class of a stage's arithmetic.
    pub fn class(&self, stage: &dyn Stage) -> Numerics {
        self.arithmetic.class(stage.needs(), self.device)
    }

    /// The provenance of a result that `stage` commits now; these classes of arithmetic and cards have computed it.
    pub fn provenance(&self, stage: &StageId, numerics: Vec<Numerics>, cards: Vec<u16>) -> Provenance {
        Provenance {
            at_ms: now_ms(),
            host: pipeline_store::host_name().to_owned(),
            pid: std::process::id(),
            stage: stage.clone(),
            device: self.device,
            cards,
            instruction_set: self.instruction_set.clone(),
            numerics,
            version: self.version.clone(),
            adopted_from: None,
        }
    }
}

/// Milliseconds since 1970-01-01 UTC; 0 if the clock is before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
