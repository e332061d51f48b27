//! OpenCLIP's `preprocess_cfg`, with OpenCLIP's defaults.

use std::path::Path;

use super::Config;
use super::expectations::{ExpectedFit, ExpectedOffset, ImageExpectations, both_edges};
use super::numbers::{self, MeanAndStd, Preprocessing};
use crate::weights::ModelError;

/// The side of a model's images, unless its configuration says otherwise.
const IMAGE_SIZE: u64 = 224;

/// The description of the model in `open_clip_config.json`; `None` for another file.
pub(super) fn model(config: &Config) -> Option<&Config> {
    config.get("model_cfg")?.as_object()
}

fn data(config: &Config) -> Option<&Config> {
    config.get("preprocess_cfg")?.as_object()
}

/// Mean and deviation.
pub(super) fn channels(config: &Config, path: &Path) -> Result<MeanAndStd, ModelError> {
    let said = |name| data(config).map_or(Ok(None), |data| numbers::channels(data, name, path));
    let Preprocessing { mean, std, .. } = Preprocessing::CLIP;
    Ok((said("mean")?.or(Some(mean)), said("std")?.or(Some(std))))
}

/// The way in which OpenCLIP decodes for evaluation. The size is that of the model, not that of `preprocess_cfg`.
pub(super) fn expectations(config: &Config, model: &Config) -> ImageExpectations {
    let text = |name| data(config).and_then(|data| data.get(name)?.as_str());
    let size = model.get("vision_cfg").and_then(|vision| both_edges(vision.get("image_size")?));
    let size = size.unwrap_or([IMAGE_SIZE; 2]);
    let fit = match text("resize_mode").unwrap_or("shortest") {
        "squash" => ExpectedFit::Squash,
        "shortest" if size[0] == size[1] => ExpectedFit::Crop { edge: size[0], offset: ExpectedOffset::HalfEven },
        mode => ExpectedFit::Other(format!("resized to {size:?} by OpenCLIP's `resize_mode: {mode}`")),
    };
    // Anything else is `random`, which is for training.
    let interpolation = if text("interpolation") == Some("bilinear") { "bilinear" } else { "bicubic" };
    ImageExpectations { size: Some(size), interpolation: Some(interpolation.to_owned()), fit: Some(fit) }
}
