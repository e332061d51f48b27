//! The vocabulary of `pipeline`: ids, digests, manifests and keys, stages, events.
//!
//! Pure data: no IO, no clock, no threads. Every other crate that speaks of stages depends on this one.
//!
//! ```
//! use pipeline_core::{Digest, Manifest};
//!
//! let mut manifest = Manifest::new("extract-text", 1);
//! manifest.param("pooling", "\"cls\"");
//! manifest.input("queries", &Digest::of(b"the queries"));
//! let key = manifest.key();
//! assert_eq!(key, Manifest::parse(&manifest.text()).unwrap().key());
//! ```

mod digest;
mod event;
pub mod format;
mod id;
mod manifest;
mod stage;
mod tree;

pub use digest::{Digest, InvalidDigest};
pub use event::{Event, EventRecord, Outcome, RunReason};
pub use id::{InvalidStageId, RunId, StageId};
pub use manifest::{InvalidManifest, Key, LineChange, Manifest};
pub use stage::{
    Device, InputArtifact, Metrics, Pool, Reject, Shard, Source, Stage, StageContext, StageError, StageHost,
    StageReport,
};
pub use tree::{ArtifactDigest, FileEntry, Part, Tree};
