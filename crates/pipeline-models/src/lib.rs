//! Text and image encoders, heads and their training, on the processor and on a GPU.
//!
//! Every line of burn and of CUDA lives behind one door, the module `gpu`. Plain slices and
//! [`pipeline_kernels::Matrix`] cross the border of the crate. Knows no stage, no store and no Parquet.

#![recursion_limit = "256"]

pub mod checkpoint;
pub mod device;
mod encoder;
mod families;
mod forward;
mod gpu;
pub mod heads;
pub mod preprocessing;
pub mod ranking;
mod tokenizer;
mod tower;
pub mod train;
mod weights;

pub use device::{Device, Gpu, Interface, Precision};
pub use encoder::{Encoder, EncoderModel, EncoderRows, EncoderSide, TokenLayout};
pub use families::{bert as text, open_image_model, open_text_model, resnet as image, supported};
pub use tokenizer::TokenCount;
pub use tower::{Top, TopError};
