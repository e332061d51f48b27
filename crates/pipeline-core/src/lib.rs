//! The vocabulary of `pipeline`: ids, digests, manifests and keys, stages, events.
//!
//! Pure data: no IO, no clock, no threads. Every other crate that knows stages depends on this one.
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

pub mod calendar;
mod causes;
mod context;
pub mod cut;
mod digest;
mod event;
pub mod format;
mod id;
mod input;
mod manifest;
mod needs;
mod numerics;
mod report;
mod run_reason;
mod shard;
mod shard_orders;
mod stage;
mod sub_tree;
mod tree;
mod work;

pub use causes::error_chain;
pub use context::{Derived, NoContent, SourceFile, StageContext, StageHost};
pub use digest::{Digest, InvalidDigest};
pub use event::{Event, EventRecord, Outcome, RemoteCounts, StageNode};
pub use id::{InvalidStageId, RunId, StageId};
pub use input::{InputArtifact, InputFiles};
pub use manifest::{InvalidManifest, Key, LineChange, Manifest};
pub use needs::{Device, Lane, Needs, Threads};
pub use numerics::{Arithmetic, Numerics};
pub use report::{Metrics, StageError, StageReport};
pub use run_reason::{Reader, RunReason};
pub use shard::{
    Computation, Cut, InRows, OpenRows, Reject, Shard, ShardOutput, ShardReport, ShardedStage, TokenCount,
    digest_of_group,
};
pub use shard_orders::{ShardOrder, shard_orders};
pub use stage::{Source, Stage, StageWork, WholeStage};
pub use sub_tree::{MAX_UNDIVIDED, SubTree};
pub use tree::{ArtifactDigest, FileEntry, Part, Tree};
pub use work::Work;
