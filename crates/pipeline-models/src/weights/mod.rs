//! Weights of encoders: finds their files, and reads them into plain numbers under canonical names.
//!
//! Knows no framework and no forward pass.

mod checklist;
mod choose;
mod contents;
mod description;
mod element;
mod error;
mod family;
mod file;
mod files;
mod find;
#[cfg(test)]
pub(crate) mod fixtures;
mod hub;
mod json;
#[cfg(test)]
pub(crate) mod made;
mod pickle;
mod pytorch;
mod read;
mod safetensors;
mod shown;
mod trouble;
mod view;

pub(crate) use checklist::Checklist;
pub use checklist::WeightsNote;
pub(crate) use choose::{Family, choose, shape_of};
pub(crate) use description::{Description, Said};
pub use error::ModelError;
pub(crate) use family::undescribed_image_family;
pub use family::{image_family_of_name, text_family_of_name};
pub(crate) use file::CheckpointFile;
pub use files::{ImageModelFiles, TextModelFiles};
pub use find::{
    ModelSearch, find_image_model, find_text_model, image_model_places, image_models_near, text_model_places,
    text_models_near,
};
pub(crate) use json::{read_config, read_json};
pub use read::{PlainTensor, read_tensors};
pub(crate) use read::{open, survey, take};

#[cfg(test)]
mod tests;
