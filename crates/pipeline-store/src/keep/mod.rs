//! Operations on the whole store: holders of artifacts, garbage collection, verification.
//!
//! Owns no files: these are the operations that need all parts of a store at once.

mod collect;
mod holders;
mod inventory;
mod roots;
mod specs;
mod verify;

pub use collect::{CollectOptions, CollectReport, Collected, HeldBytes};
pub use holders::Holder;
pub use verify::{DamagedObject, StoreStats, VerifyReport};
