//! `artifacts/` on disk: results by key, files by digest, runs by time. Knows no stage, spec or terminal.
//!
//! Everything appears whole or not at all, any number of processes share a store, and bytes are verified before they
//! are read. No other code writes below `artifacts/`.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let artifacts = tempfile::tempdir()?;
//! use pipeline_store::Store;
//!
//! let store = Store::open(artifacts.path())?;
//! let scratch = store.workspace().scratch()?;
//! std::fs::write(scratch.folder().join("features.parquet"), b"rows")?;
//! let tree = store.cas().put_folder(scratch.folder())?;
//!
//! let open = store.cas().open(&tree)?;
//! assert_eq!(std::fs::read(open.folder().join("features.parquet"))?, b"rows");
//! # Ok(())
//! # }
//! ```

mod cas;
mod check;
mod clock;
mod derived;
mod durable;
mod error;
mod folders;
mod hash;
mod host;
mod keep;
mod kernels;
mod layout;
mod outside;
mod ownership;
mod quarantine;
mod records;
mod remote;
mod runs;
mod sealed;
mod sources;
mod specs;
mod store;
mod workspace;

pub use cas::{Cas, Objects, OpenTree, OpenTreeError};
pub use error::StoreError;
pub use host::host_name;
pub use keep::{CollectOptions, CollectReport, Collected, DamagedObject, HeldBytes, Holder, StoreStats, VerifyReport};
pub use kernels::{Kernels, LentKernels};
pub use outside::{Outside, Replacement, real_path};
pub use quarantine::Quarantined;
pub use records::{Machine, PackedRow, PackedShard, PackedShards, Provenance, Record, RecordFile, Records};
pub use remote::{
    Access, KeyError, PulledTree, Pushed, PutMode, Remote, RemoteCollectReport, RemoteError, RemoteFile, RemoteFolder,
    RemoteLink, RemoteNews, RemoteStats, RemoteVerifyReport, Signatures, SigningKey, TrustedKey, Upload, UploadsLeft,
};
pub use runs::{
    EventFollower, GitCommit, Needed, RunFolder, RunInfo, RunLabels, RunOrigin, RunState, Runs, WorkerFile, WorkerFiles,
};
pub use sources::{Sources, device_number};
pub use specs::{
    Circumstances, Last, LastSource, LastSources, LastStage, Place, Snapshot, Specs, path_of_overrides, path_of_sweeps,
};
pub use store::Store;
pub use workspace::{KeyLock, Lent, LockOutcome, Owner, Scratch, Workspace};
