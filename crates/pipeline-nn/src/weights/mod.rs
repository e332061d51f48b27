//! Weights of encoders: which files hold them, and reading them into plain numbers under canonical names.
//!
//! Knows no framework beyond the reader of PyTorch's pickles, and no forward pass.

mod checklist;
mod error;
mod find;
#[cfg(test)]
pub(crate) mod fixtures;
mod hub;
mod json;
mod pytorch;
mod read;
mod safetensors;

pub(crate) use checklist::Checklist;
pub use error::ModelError;
pub use find::{
    ImageModelFiles, ModelSearch, TextModelFiles, find_image_model, find_text_model, image_model_places,
    text_model_places,
};
pub(crate) use json::read_json;
pub(crate) use read::{PlainTensor, read_tensors};

#[cfg(test)]
mod tests;
