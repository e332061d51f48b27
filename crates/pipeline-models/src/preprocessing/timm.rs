//! timm's `pretrained_cfg`, with timm's defaults.

use std::path::Path;

use serde_json::Value;

use super::Config;
use super::expectations::{ExpectedFit, ExpectedOffset, ImageExpectations, both_edges};
use super::numbers::{self, MeanAndStd};
use crate::weights::ModelError;

/// The part of the resized image that is left, unless `pretrained_cfg` says otherwise.
const CROP_PCT: f64 = 0.875;

/// timm's description of the data; older files have it flat beside `architecture`.
pub(super) fn pretrained_cfg(config: &Config) -> Option<&Config> {
    let is_flat = config.contains_key("architecture");
    config.get("pretrained_cfg").and_then(Value::as_object).or_else(|| is_flat.then_some(config))
}

/// The size of the images for which a model was built.
pub(super) fn image_size(config: &Config) -> Option<[u64; 2]> {
    both_edges(config.get("model_args")?.get("img_size")?)
}

/// Mean and deviation.
pub(super) fn channels(data: &Config, path: &Path) -> Result<MeanAndStd, ModelError> {
    Ok((numbers::channels(data, "mean", path)?, numbers::channels(data, "std", path)?))
}

/// The way in which timm decodes for evaluation, with its defaults once a size is said. `built_for` comes first.
pub(super) fn expectations(data: &Config, built_for: Option<[u64; 2]>) -> ImageExpectations {
    let number = |place: usize| data.get("input_size").and_then(|size| size.get(place)?.as_u64());
    let interpolation = data.get("interpolation").and_then(Value::as_str).filter(|name| !name.is_empty());
    let Some(size) = built_for.or_else(|| Some([number(1)?, number(2)?])) else {
        return ImageExpectations { interpolation: interpolation.map(str::to_owned), ..ImageExpectations::default() };
    };
    let part = data.get("crop_pct").and_then(Value::as_f64).filter(|part| *part > 0.0).unwrap_or(CROP_PCT);
    let mode = data.get("crop_mode").and_then(Value::as_str).filter(|mode| !mode.is_empty()).unwrap_or("center");
    ImageExpectations {
        size: Some(size),
        interpolation: Some(interpolation.unwrap_or("bicubic").to_owned()),
        fit: Some(fit(size, part, mode)),
    }
}

fn fit(size: [u64; 2], part: f64, mode: &str) -> ExpectedFit {
    let edges = size.map(|edge| (edge as f64 / part).floor() as u64);
    match mode {
        "squash" if edges == size => ExpectedFit::Squash,
        "squash" | "border" => ExpectedFit::Other(format!("resized by timm's `crop_mode: {mode}` of {part}")),
        _ if edges[0] == edges[1] => ExpectedFit::Crop { edge: edges[0], offset: ExpectedOffset::HalfEven },
        _ => ExpectedFit::Other(format!("cropped to {size:?}, which is no square, as only timm does it")),
    }
}
