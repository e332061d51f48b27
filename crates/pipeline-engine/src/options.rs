//! The options of plans and runs, and the spec of a run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pipeline_core::{Arithmetic, Device, Digest, Event, Key, Lane, RunId, StageId};
use pipeline_store::{Circumstances, RunLabels, RunOrigin};

use crate::cards::LostCards;
use crate::lanes::PerLane;
use crate::watch::Watch;
use crate::{Abandon, Share};

/// The options of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Stages that run even if their result is remembered.
    pub forced: BTreeSet<StageId>,
    /// The device of the tensors. Provenance: it changes no decision.
    pub device: Device,
    /// The arithmetic of this process, and whether results of another class count.
    pub arithmetic: Arithmetic,
    /// Whether to count the missing shards of stages that must run; this reads their rows.
    pub counts_shards: bool,
}

/// The options of a run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Forced stages and device.
    pub plan: PlanOptions,
    /// The stages adopted for this run: its first events.
    pub adopted: Vec<Adopted>,
    /// The numbers of the cards that stages compute on; empty for the processor, and for the one card that an interface
    /// prefers.
    pub cards: Vec<u16>,
    /// Those that this process has lost: no stage gets them.
    pub lost: LostCards,
    /// Stages at once, by lane; 0 counts as 1.
    pub n_jobs: PerLane<usize>,
    /// Threads of all running stages together; 0 counts as 1.
    pub n_threads: usize,
    /// The work to begin with, where several processes run the same spec; `None` for one that runs alone.
    pub share: Option<Share>,
    /// The part of the run in the work.
    pub role: RunRole,
    /// The only lane whose stages this run starts; it waits for the others. `None` for every lane.
    pub pool: Option<Lane>,
    /// True to continue with every stage that is not below a failure.
    pub keep_going: bool,
    /// True to publish over files that this program did not write.
    pub overwrite: bool,
    /// The command, the program and the commit of the project: provenance.
    pub origin: RunOrigin,
    /// The name, the note and the tags of the run.
    pub labels: RunLabels,
    /// The reaction to stages that do not stop; `None` waits for them.
    pub abandon: Option<Abandon>,
}

/// The part of a run in the work on its spec.
#[derive(Debug, Clone, Default)]
pub enum RunRole {
    /// It computes what is missing, and waits for what others compute.
    #[default]
    Work,
    /// It computes for another run, and leaves publishing, dropping and the last results to that one.
    Join {
        /// The other run, which has its events.
        run: RunId,
        /// The name under which it has them.
        worker: String,
    },
    /// It computes nothing: workers do.
    Watch(Watch),
}

/// The spec of a run.
#[derive(Debug, Clone, Default)]
pub struct SpecInfo {
    /// The path of its file, which identifies the last results of its stages.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its resolved text, kept with the run.
    pub yaml: String,
    /// Further files to keep with the run, by name.
    pub attachments: Vec<(&'static str, Vec<u8>)>,
    /// The files that it was read from, and their digests.
    pub files: Vec<(PathBuf, Digest)>,
    /// The facts beside files that determine its stages; without them, no snapshot is kept.
    pub circumstances: Option<Circumstances>,
    /// Its stages that this run leaves out: their last results stay as they are.
    pub left_out: BTreeSet<StageId>,
}

/// The last result of a stage under its new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The stage.
    pub stage: StageId,
    /// The stage's new key.
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
