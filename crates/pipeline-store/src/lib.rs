//! `artifacts/` on disk: results by key, files by digest, runs by time. Knows no stage, spec or terminal.
//!
//! Everything appears whole or not at all, any number of processes share a store, and bytes are verified before they
//! are read. Nothing else writes below `artifacts/`.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let artifacts = tempfile::tempdir()?;
//! use pipeline_store::Store;
//!
//! let store = Store::open(artifacts.path())?;
//! let scratch = store.scratch()?;
//! std::fs::write(scratch.folder().join("features.parquet"), b"rows")?;
//! let tree = store.put_folder(scratch.folder())?;
//!
//! let open = store.open_tree(&tree)?;
//! assert_eq!(std::fs::read(open.folder().join("features.parquet"))?, b"rows");
//! # Ok(())
//! # }
//! ```

mod cas;
mod durable;
mod error;
mod hash;
mod keep;
mod layout;
mod locks;
mod outside;
mod ownership;
mod records;
mod runs;
mod sealed;
mod session;
mod sources;
mod specs;
mod store;

pub use cas::lend::Lent;
pub use cas::trees::{OpenTree, OpenTreeError};
pub use error::StoreError;
pub use keep::collect::{CollectOptions, CollectReport, Collected, HeldBytes};
pub use keep::roots::Holder;
pub use keep::verify::{DamagedObject, StoreStats, VerifyReport};
pub use locks::{KeyLock, LockOutcome, Owner};
pub use outside::real_path;
pub use records::{Provenance, Record};
pub use runs::folder::RunFolder;
pub use runs::history::{RunInfo, RunState};
pub use session::Scratch;
pub use specs::last::{Last, LastStage};
pub use specs::last_sources::{LastSource, LastSources};
pub use specs::snapshot::{Circumstances, Place, Snapshot};
pub use store::{Store, host_name};
