//! Weights of encoders: which files hold them, and reading them into plain numbers under canonical names.
//!
//! Knows no framework beyond the reader of PyTorch's pickles, and no forward pass.

mod checklist;
mod error;
mod family;
mod files;
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
pub use family::{image_family_of_name, text_family_of_name};
pub(crate) use family::{of_image, of_text};
pub use files::{ImageModelFiles, TextModelFiles};
pub use find::{
    ModelSearch, find_image_model, find_text_model, image_model_places, image_models_near, text_model_places,
    text_models_near,
};
pub(crate) use json::{read_config, read_json};
pub(crate) use read::{PlainTensor, read_tensors};

#[cfg(test)]
mod tests;
