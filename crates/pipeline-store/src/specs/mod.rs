//! What is remembered of each spec between its runs.

pub(crate) mod last;
pub(crate) mod last_sources;
pub(crate) mod snapshot;
