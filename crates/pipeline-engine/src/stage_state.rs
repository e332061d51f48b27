//! One stage of a run: the decision about it and its progress so far.

use pipeline_core::{ArtifactDigest, Numerics};

use crate::decision::{Decided, Decision};

/// The state of one stage, beside its [`Phase`](crate::schedule::Phase).
#[derive(Debug)]
pub(crate) struct StageState {
    /// The decision. It holds as long as it is fresh.
    pub decision: Decision,
    /// False when the decision was made for inputs that have changed, or could not be made yet.
    pub is_fresh: bool,
    /// True for a stage that the plan reuses and that has nothing to publish.
    pub is_quiet: bool,
    /// The artifact for which the stages below were decided.
    pub announced: Option<ArtifactDigest>,
    /// The class of arithmetic of the process that computes its key, as far as known.
    pub leader: Option<Numerics>,
    /// True once it was reported that another process computes its key.
    pub is_wait_known: bool,
    /// True once this process has computed shards of it for another one, or has tried to.
    pub has_helped: bool,
    /// The number of its starts.
    pub n_starts: u8,
    /// True if this run has computed it.
    pub has_run: bool,
    /// The state of its bytes if the spec does not retain them.
    pub bytes: Bytes,
}

/// The state of bytes that the spec does not retain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// A reader is not settled yet, or the spec retains them.
    Kept,
    /// All readers are settled, and one that has lost its own bytes may have to read them again: decided at the end.
    PutOff,
    /// All readers are settled, and this run has dropped the bytes.
    Dropped,
}

impl StageState {
    /// A stage with the plan's decision; `artifact` is the one that it reuses.
    pub fn planned(decided: Decided, artifact: Option<ArtifactDigest>) -> Self {
        let Decided { decision, unpublished } = decided;
        Self {
            is_fresh: matches!(decision, Decision::Reuse { .. } | Decision::Run { .. }),
            is_quiet: matches!(decision, Decision::Reuse { .. }) && unpublished.is_empty(),
            decision,
            announced: artifact,
            leader: None,
            is_wait_known: false,
            has_helped: false,
            n_starts: 0,
            has_run: false,
            bytes: Bytes::Kept,
        }
    }
}
