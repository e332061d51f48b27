//! What the user asks of plans and runs, and the spec that they are about.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pipeline_core::{Device, Digest, Event, Key, StageId};
use pipeline_store::Circumstances;

use crate::Abandon;
use crate::lanes::Lanes;

/// What the user asks of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Stages that run even when their result is remembered.
    pub forced: BTreeSet<StageId>,
    /// Where tensors live. Provenance: it changes no decision.
    pub device: Device,
    /// Whether to count the missing shards of stages that must run, for which their rows are read.
    pub counts_shards: bool,
}

/// What the user asks of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Forced stages and device.
    pub plan: PlanOptions,
    /// The stages adopted for this run: its first events.
    pub adopted: Vec<Adopted>,
    /// Stages at once, by lane; 0 counts as 1.
    pub n_jobs: Lanes<usize>,
    /// Threads of all running stages together; 0 counts as 1.
    pub n_threads: usize,
    /// True to go on with everything that is not below a failure.
    pub keep_going: bool,
    /// True to publish over files that this program has not written.
    pub overwrite: bool,
    /// The version of the program: provenance.
    pub version: String,
    /// The instruction set that kernels use, such as `avx512`: provenance.
    pub instruction_set: String,
    /// What to do when stages do not stop; none to wait for them.
    pub abandon: Option<Abandon>,
}

/// The spec of a run.
#[derive(Debug, Clone, Default)]
pub struct SpecInfo {
    /// The path of its file: what its stages had last is remembered by it.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its resolved text, kept with the run.
    pub yaml: String,
    /// Further files to keep with the run, by name.
    pub attachments: Vec<(&'static str, Vec<u8>)>,
    /// The files that it was read from, and their digests.
    pub files: Vec<(PathBuf, Digest)>,
    /// What beside files has made its stages what they are; without it, no snapshot is kept.
    pub circumstances: Option<Circumstances>,
}

/// The last result of a stage, which it has now under another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The stage.
    pub stage: StageId,
    /// The key under which the result is remembered from now on.
    pub key: Key,
    /// The key under which it was computed.
    pub from: Key,
    /// The version of the code that computed it.
    pub old_version: String,
    /// The version of the code now.
    pub new_version: String,
}

impl From<Adopted> for Event {
    fn from(adopted: Adopted) -> Self {
        let Adopted { stage, key, from, old_version, new_version } = adopted;
        Self::StageAdopted { stage, key, from, old_version, new_version }
    }
}
