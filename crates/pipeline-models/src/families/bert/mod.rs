//! Text encoders of the BERT family, RoBERTa and XLM-R: texts to feature vectors.

mod config;
mod family;
mod reader;
mod sentence;
mod tower;
mod weights;

use std::path::Path;

use serde_json::{Map, Value};

pub use super::pooling::Pooling;
pub use super::text::{TextEncoder, TextOptions};
pub use crate::tokenizer::Cleaning;
pub use crate::weights::{
    ModelError, ModelSearch, TextModelFiles, WeightsNote, find_text_model, text_family_of_name, text_model_places,
    text_models_near,
};
use config::BertConfig;
#[cfg(test)]
pub(super) use family::encoder;
pub(super) use family::{open, open_roberta};
#[cfg(test)]
pub(super) use reader::{bert, roberta};
pub(super) use tower::{BertSizes, read_tower};

/// The sizes of a BERT that is described by a part of a configuration.
///
/// # Errors
/// When the part asks for what is not computed here.
pub(super) fn sizes_of(part: &Map<String, Value>, path: &Path) -> Result<BertSizes, ModelError> {
    Ok(BertConfig::of_part(part, path)?.sizes())
}

#[cfg(test)]
pub(crate) mod tests;
