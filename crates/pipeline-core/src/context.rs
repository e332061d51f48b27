//! The surroundings of a running stage: its inputs, the device and threads, and the services of the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Device, Digest, InputArtifact, Manifest, StageError, StageId};

/// Something below a folder that is a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, relative to the folder. Names may be any bytes.
    pub name: Vec<u8>,
    /// Its path.
    pub path: PathBuf,
    /// The digest of its content.
    pub content: Result<Digest, NoContent>,
}

/// The reason why something below a folder has no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {0} and not a regular file")]
pub struct NoContent(pub &'static str);

/// Bytes that are derived from one source, such as the index of a file.
#[derive(Clone, Copy)]
pub struct Derived<'a> {
    /// Everything that determines the bytes.
    pub manifest: &'a Manifest,
    /// The source.
    pub source: &'a Path,
    /// Its digest, which stands in the manifest.
    pub digest: &'a Digest,
    /// Whether bytes may be those of the source; others count as damaged.
    pub fits: &'a dyn Fn(&[u8]) -> bool,
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

    /// Lists the files that the digest of a folder covers, sorted by name, and what was passed over for lack of
    /// content. A file that was not touched since its digest was taken is not read.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    fn source_files(&self, folder: &Path) -> Result<Vec<SourceFile>, StageError>;

    /// Bytes that stay in the store for every stage with the same manifest: those that are there, or what `make`
    /// returns. `None` if another process makes them now, unless the stage `waits`. A host without a store makes them
    /// each time.
    ///
    /// # Errors
    /// Those of `make`, and when the source has changed meanwhile or the store fails.
    fn derived(
        &self,
        derived: &Derived<'_>,
        waits: bool,
        make: &dyn Fn() -> Result<Vec<u8>, StageError>,
    ) -> Result<Option<Vec<u8>>, StageError> {
        let _ = (derived, waits);
        make().map(Some)
    }

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
    /// The number of the card that the stage holds while it works; `None` on the processor, and for the one card that
    /// an interface prefers. Where each shard is computed, [`ShardOutput::card`](crate::ShardOutput::card) says.
    pub card: Option<u16>,
    /// The threads that the stage should use. Must not change a byte of the output.
    pub n_threads: usize,
    /// Progress, warnings, cancellation.
    pub host: &'a dyn StageHost,
}
