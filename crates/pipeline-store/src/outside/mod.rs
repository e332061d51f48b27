//! What this program writes outside the store, and how it knows its own files again.

mod destination;
pub(crate) mod publish;
pub(crate) mod written;

pub use destination::real_path;
