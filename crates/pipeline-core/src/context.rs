//! The surroundings of a running stage: its inputs, the device and threads, and the services of the engine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Device, Digest, StageId, Tree};

/// An input artifact as a running stage sees it: verified files in a read-only folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputArtifact {
    /// The folder that holds the files.
    pub folder: PathBuf,
    /// The files and their digests.
    pub tree: Tree,
}

/// The services of the engine to a running stage.
pub trait StageHost: Sync {
    /// Reports the number of finished rows of `total`. Cheap: call it for every change.
    fn progress(&self, n_done: u64, total: Option<u64>);

    /// Warns the user of something that is not an error.
    fn warn(&self, message: String);

    /// Passes on a line that an external program printed.
    fn output(&self, line: &str);

    /// Shows the present text of a line that an external program redraws, such as a progress bar; not recorded. Cheap.
    fn redraw(&self, line: &str);

    /// True once the run is cancelled; a stage checks at least once a second and returns
    /// [`StageError::cancelled`](crate::StageError::cancelled).
    fn is_cancelled(&self) -> bool;
}

/// Everything a running stage may use.
pub struct StageContext<'a> {
    /// The stage's name in its spec.
    pub stage: &'a StageId,
    /// The input artifacts by slot.
    pub inputs: &'a BTreeMap<String, InputArtifact>,
    /// The digests of the stage's sources by [`Source::name`](crate::Source::name).
    pub sources: &'a BTreeMap<String, Digest>,
    /// The device of the tensors.
    pub device: Device,
    /// The threads that the stage should use. Must not change a byte of the output.
    pub n_threads: usize,
    /// Progress, warnings, cancellation.
    pub host: &'a dyn StageHost,
}
