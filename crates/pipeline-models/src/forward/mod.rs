//! The forward pass of an encoder: rows that are computed together, and pixels as numbers.

pub(crate) mod batches;
pub(crate) mod pixels;
