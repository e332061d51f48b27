//! BERT as a family of encoders.

use std::path::PathBuf;

use pipeline_kernels::Matrix;
use serde_json::{Map, Value};

use super::{TextEncoder, TextOptions, TextSettings, text_weights_note};
use crate::Device;
use crate::encoder::{Encoder, EncoderModel, EncoderRows, EncoderSide, weights_roles};
use crate::weights::{ModelError, TextModelFiles, WeightsNote, of_text};

/// Whether a configuration is that of a BERT.
pub(in crate::families) fn recognises(config: &Map<String, Value>) -> bool {
    of_text(config).is_none()
}

/// Reads the small files of a BERT.
pub(in crate::families) fn open(
    files: &TextModelFiles,
    options: &TextOptions,
) -> Result<Box<dyn EncoderModel>, ModelError> {
    let settings = TextSettings::read(files, options)?;
    Ok(Box::new(BertModel { files: files.clone(), options: options.clone(), settings }))
}

struct BertModel {
    files: TextModelFiles,
    options: TextOptions,
    settings: TextSettings,
}

impl EncoderModel for BertModel {
    fn side(&self) -> EncoderSide {
        EncoderSide::Text
    }

    fn dim(&self) -> Result<usize, ModelError> {
        Ok(self.settings.dim)
    }

    fn pooling(&self) -> &'static str {
        self.settings.pooling.name()
    }

    fn properties(&self) -> Vec<(&'static str, String)> {
        self.options.lower_case.map(|lower_case| ("lower_case", lower_case.to_string())).into_iter().collect()
    }

    fn is_normalized(&self) -> bool {
        self.settings.normalize
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        let small = self.files.settings().into_iter().map(|(role, path)| (role.to_owned(), path.to_owned()));
        let pooling = self.settings.pooling_file.clone().map(|path| ("pooling".to_owned(), path));
        small.chain(pooling).chain(weights_roles(&self.files.weights)).collect()
    }

    fn weights_note(&self) -> Result<WeightsNote, ModelError> {
        text_weights_note(&self.files)
    }

    fn load(&self, device: Device) -> Result<Box<dyn Encoder>, ModelError> {
        Ok(Box::new(TextEncoder::load(&self.files, &self.options, device)?))
    }
}

impl Encoder for TextEncoder {
    fn dim(&self) -> usize {
        self.dim()
    }

    fn encode(&self, rows: EncoderRows<'_>, n_threads: usize) -> Result<Matrix, ModelError> {
        let EncoderRows::Texts(texts) = rows else { panic!("BUG: a BERT encodes texts") };
        self.encode(texts, n_threads)
    }

    fn tokenize_seconds(&self) -> Option<f64> {
        Some(self.tokenize_seconds())
    }
}
