//! The history of runs: one folder a run.

pub(crate) mod folder;
pub(crate) mod history;
pub(crate) mod order;
pub(crate) mod seal;
