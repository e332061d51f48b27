//! The families of encoders, one folder each, and the table that finds a model's family.
//!
//! A new family is a folder here and a line in [`TEXT`] or [`IMAGE`]; no other code uses names of families.

use std::path::Path;

use serde_json::{Map, Value};

use crate::encoder::EncoderModel;
use crate::weights::{ImageModelFiles, ModelError, TextModelFiles, read_config};
use bert::TextOptions;

pub mod bert;
pub mod resnet;

/// A model whose small files have been read, or the reason why it cannot be used.
type Opened = Result<Box<dyn EncoderModel>, ModelError>;

/// A family of encoders of one side.
struct Family<Files, Options> {
    /// Whether a configuration is of the family; an empty one stands for weights without `config.json`.
    recognises: fn(&Map<String, Value>) -> bool,
    /// Reads the small files of a model.
    open: fn(&Files, &Options) -> Opened,
}

/// The families of text encoders, the default first.
const TEXT: &[Family<TextModelFiles, TextOptions>] = &[Family { recognises: bert::recognises, open: bert::open }];

/// The families of image encoders, the default first.
const IMAGE: &[Family<ImageModelFiles, ()>] = &[Family { recognises: resnet::recognises, open: resnet::open }];

/// Reads the small files of a text encoder of any family.
///
/// # Errors
/// When a file cannot be read, or the model is of no family or needs an unsupported computation.
pub fn open_text_model(files: &TextModelFiles, options: &TextOptions) -> Result<Box<dyn EncoderModel>, ModelError> {
    open(TEXT, Some(&files.config), files, options)
}

/// Reads the small files of an image encoder of any family.
///
/// # Errors
/// When a file cannot be read, or the model is of no family or needs an unsupported computation.
pub fn open_image_model(files: &ImageModelFiles) -> Result<Box<dyn EncoderModel>, ModelError> {
    open(IMAGE, files.config.as_deref(), files, &())
}

/// Opens a model by the first family that recognises its configuration; the default family reports why none does.
fn open<Files, Options>(
    families: &[Family<Files, Options>],
    config: Option<&Path>,
    files: &Files,
    options: &Options,
) -> Opened {
    let config = config.map(read_config).transpose()?.unwrap_or_default();
    let family = families.iter().find(|family| (family.recognises)(&config)).unwrap_or(&families[0]);
    (family.open)(files, options)
}

#[cfg(test)]
mod tests;
