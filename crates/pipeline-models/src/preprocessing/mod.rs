//! The description of pixels in the files of an image model: its numbers, and the way in which its library decodes.
//!
//! Every family reads its files here: `preprocessor_config.json` or `processor_config.json` of transformers,
//! `pretrained_cfg` of timm, `preprocess_cfg` of OpenCLIP, and the shapes of a Chinese-CLIP checkpoint, which has none.

mod expectations;
mod numbers;
mod open_clip;
mod shapes;
mod timm;
mod transformers;

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::weights::{ImageModelFiles, ModelError, read_config};
pub use expectations::{ExpectedFit, ExpectedOffset, ImageExpectations};
pub(crate) use numbers::Preprocessing;
use numbers::agreed;
use transformers::Transformers;

/// A configuration as it stands in a file.
type Config = Map<String, Value>;

impl Preprocessing {
    /// Reads what the files beside the weights say; without a word mean and deviation are those of `default`.
    ///
    /// # Errors
    /// When a file cannot be read, contradicts the other, or asks for what is not computed here.
    pub(crate) fn read(files: &ImageModelFiles, default: &Self) -> Result<(Self, ImageExpectations), ModelError> {
        let mut preprocessing = default.clone();
        let mut expectations = ImageExpectations::default();
        let (mut mean, mut std) = (None, None);
        let config = files
            .config
            .as_deref()
            .or(files.open_clip.as_deref())
            .map(|path| read_config(path).map(|config| (path, config)))
            .transpose()?;
        if let Some((path, config)) = &config {
            let channels = if let Some(model) = open_clip::model(config) {
                expectations = open_clip::expectations(config, model);
                Some(open_clip::channels(config, path)?)
            } else if let Some(data) = timm::pretrained_cfg(config) {
                expectations = timm::expectations(data, timm::image_size(config));
                Some(timm::channels(data, path)?)
            } else {
                None
            };
            let (own_mean, own_std) = channels.unwrap_or_default();
            (mean, std) = (own_mean.map(|mean| (*path, mean)), own_std.map(|std| (*path, std)));
        }
        if let Some(path) = &files.preprocessor {
            let processor = read_config(path)?;
            let model_type = config.as_ref().and_then(|(_, config)| config.get("model_type")?.as_str());
            let of_file = Transformers::of(transformers::image_processor(&processor), model_type, path)?;
            preprocessing.factor = of_file.factor;
            mean = agreed("mean", mean, Some((path, of_file.mean)))?;
            std = agreed("std", std, Some((path, of_file.std)))?;
            expectations = of_file.expectations.or(expectations);
        }
        preprocessing.mean = mean.map_or(preprocessing.mean, |(_, mean)| mean);
        preprocessing.std = std.map_or(preprocessing.std, |(_, std)| std);
        Ok((preprocessing, expectations))
    }
}

/// The way in which the own library of an image model decodes its images, whether the model is computed here or not.
///
/// # Errors
/// When a file cannot be read or contradicts another.
pub fn image_expectations(files: &ImageModelFiles) -> Result<ImageExpectations, ModelError> {
    let (_, expectations) = Preprocessing::read(files, &Preprocessing::IMAGENET)?;
    if [&files.config, &files.open_clip, &files.preprocessor].into_iter().all(Option::is_none) {
        return Ok(shapes::chinese_clip(&files.weights)?.unwrap_or_default());
    }
    Ok(expectations)
}

/// The files that [`image_expectations`] reads.
pub fn expectation_files(files: &ImageModelFiles) -> Vec<PathBuf> {
    let small: Vec<PathBuf> =
        [&files.config, &files.open_clip, &files.preprocessor].into_iter().flatten().cloned().collect();
    if small.is_empty() { files.weights.clone() } else { small }
}

#[cfg(test)]
mod tests;
