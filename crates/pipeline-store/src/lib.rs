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

mod collect;
mod destination;
mod durable;
mod error;
mod folder;
mod hash;
mod history;
mod ignore;
mod inventory;
mod last;
mod last_sources;
mod layout;
mod lend;
mod links;
mod listing;
mod locks;
mod memo;
mod objects;
mod ownership;
mod pins;
mod publish;
mod records;
mod roots;
mod run_order;
mod run_seal;
mod runs;
mod sealed;
mod session;
mod snapshot;
mod sources;
mod store;
mod trees;
mod verify;
mod written;

pub use collect::{CollectOptions, CollectReport, Collected, HeldBytes};
pub use destination::real_path;
pub use error::StoreError;
pub use history::{RunInfo, RunState};
pub use last::{Last, LastStage};
pub use last_sources::{LastSource, LastSources};
pub use lend::Lent;
pub use locks::{KeyLock, LockOutcome, Owner};
pub use records::{Provenance, Record};
pub use roots::Holder;
pub use runs::RunFolder;
pub use session::Scratch;
pub use snapshot::{Circumstances, Place, Snapshot};
pub use store::{Store, host_name};
pub use trees::{OpenTree, OpenTreeError};
pub use verify::{DamagedObject, StoreStats, VerifyReport};
