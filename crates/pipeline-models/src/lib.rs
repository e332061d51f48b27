//! Text and image encoders, heads and their training: every line of burn lives in this crate.
//!
//! No burn type is public: plain slices and [`pipeline_kernels::Matrix`] cross the border. Knows no stage, no store and no
//! Parquet.

#![recursion_limit = "256"]

pub mod checkpoint;
pub mod device;
mod encoder;
mod families;
mod forward;
mod gpu;
pub mod heads;
mod preprocessing;
pub mod train;
mod weights;

pub use device::Device;
pub use encoder::{Encoder, EncoderModel, EncoderRows, EncoderSide};
pub use families::{bert as text, open_image_model, open_text_model, resnet as image};
