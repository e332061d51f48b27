//! Text and image encoders, retrieval training and recall: every line of burn lives in this crate.
//!
//! No burn type is public: plain slices and [`Matrix`] cross the border. Knows no stage, no store and no Parquet.

#![recursion_limit = "256"]

pub mod checkpoint;
pub mod device;
pub mod image;
mod matrix;
pub mod retrieval;
pub mod statistics;
pub mod text;
pub mod train;
mod weights;

pub use device::Device;
pub use matrix::Matrix;
