//! The preprocessing of the pixels that a model was trained on, from its files.

use std::path::Path;

use serde_json::{Map, Value};

use crate::forward::pixels::PixelTable;
use crate::weights::{ImageModelFiles, ModelError, read_config};

/// The mean of ImageNet's channels, as in torchvision and timm.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// The standard deviation of ImageNet's channels.
const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// The factor from levels to fractions.
const FACTOR: f64 = 1.0 / 255.0;

/// The preprocessing of a pixel's levels: `(level · factor - mean) / std`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preprocessing {
    pub(crate) factor: f64,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
}

/// The image decoding of a model's own library. It is not applied here, since `decode-images` has run before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageExpectations {
    /// The height and width of the pixels.
    pub size: Option<[u64; 2]>,
    /// `bilinear`, `bicubic`, …
    pub interpolation: Option<String>,
    /// The share of the resized image that remains after cropping, below 1.
    pub crop: Option<f64>,
}

/// A mean or a deviation, and the file that contains it.
type Said<'a> = Option<(&'a Path, [f32; 3])>;

impl Default for Preprocessing {
    fn default() -> Self {
        Self { factor: FACTOR, mean: MEAN, std: STD }
    }
}

impl Preprocessing {
    /// The numbers of all levels.
    pub(crate) fn table(&self) -> PixelTable {
        PixelTable::new(self.factor, self.mean, self.std)
    }

    /// Reads the files beside the weights; the default is ImageNet's mean and deviation.
    ///
    /// # Errors
    /// When a file cannot be read, contradicts the other, or needs an unsupported computation.
    pub(crate) fn read(files: &ImageModelFiles) -> Result<(Self, ImageExpectations), ModelError> {
        let mut preprocessing = Self::default();
        let mut expectations = ImageExpectations::default();
        let (mut mean, mut std): (Said<'_>, Said<'_>) = (None, None);
        if let Some(path) = &files.config {
            let config = read_config(path)?;
            if let Some(timm) = pretrained_cfg(&config) {
                expectations = of_timm(timm);
                mean = channels(timm, "mean", path)?.map(|mean| (path.as_path(), mean));
                std = channels(timm, "std", path)?.map(|std| (path.as_path(), std));
            }
        }
        if let Some(path) = &files.preprocessor {
            let config = read_config(path)?;
            let of_file = Transformers::of(&config, path)?;
            preprocessing.factor = of_file.factor;
            mean = agreed("mean", mean, Some((path, of_file.mean)))?;
            std = agreed("std", std, Some((path, of_file.std)))?;
            expectations = of_file.expectations.or(expectations);
        }
        preprocessing.mean = mean.map_or(MEAN, |(_, mean)| mean);
        preprocessing.std = std.map_or(STD, |(_, std)| std);
        Ok((preprocessing, expectations))
    }
}

impl std::fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mean {:?} std {:?}", self.mean, self.std)?;
        if self.factor == FACTOR { Ok(()) } else { write!(f, " factor {}", self.factor) }
    }
}

/// timm's description of the data; in older files it is flat beside `architecture`.
fn pretrained_cfg(config: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let is_flat = config.contains_key("architecture");
    config.get("pretrained_cfg").and_then(Value::as_object).or_else(|| is_flat.then_some(config))
}

fn of_timm(config: &Map<String, Value>) -> ImageExpectations {
    let number = |place: usize| config.get("input_size").and_then(|size| size.get(place)?.as_u64());
    ImageExpectations {
        size: number(1).zip(number(2)).map(|(height, width)| [height, width]),
        interpolation: config.get("interpolation").and_then(Value::as_str).map(str::to_owned),
        crop: config.get("crop_pct").and_then(Value::as_f64).filter(|part| *part < 1.0),
    }
}

impl ImageExpectations {
    fn or(self, other: Self) -> Self {
        Self {
            size: self.size.or(other.size),
            interpolation: self.interpolation.or(other.interpolation),
            crop: self.crop.or(other.crop),
        }
    }
}

/// The `preprocessor_config.json` of transformers.
struct Transformers {
    factor: f64,
    mean: [f32; 3],
    std: [f32; 3],
    expectations: ImageExpectations,
}

impl Transformers {
    fn of(config: &Map<String, Value>, path: &Path) -> Result<Self, ModelError> {
        // The processor of transformers' wrapper of timm contains timm's description.
        if let Some(timm) = config.get("pretrained_cfg").and_then(Value::as_object) {
            let mean = channels(timm, "mean", path)?.unwrap_or(MEAN);
            let std = channels(timm, "std", path)?.unwrap_or(STD);
            return Ok(Self { factor: FACTOR, mean, std, expectations: of_timm(timm) });
        }
        let flag = |name: &str| config.get(name).and_then(Value::as_bool);
        let unsupported = |what: String| ModelError::Unsupported { path: path.to_owned(), what };
        for name in ["do_flip_channel_order", "do_convert_grayscale", "do_grayscale", "rescale_offset", "offset"] {
            if flag(name) == Some(true) {
                return Err(unsupported(format!("`{name}` is true")));
            }
        }
        let factor = match (flag("do_rescale"), config.get("rescale_factor")) {
            (Some(false), _) => 1.0,
            (_, None | Some(Value::Null)) => FACTOR,
            (_, Some(factor)) => factor
                .as_f64()
                .filter(|factor| factor.is_finite() && *factor > 0.0)
                .ok_or_else(|| unsupported(format!("`rescale_factor` is {factor}")))?,
        };
        // 0.00392156862745098, as files write it.
        let factor = if (factor / FACTOR - 1.0).abs() < 1e-6 { FACTOR } else { factor };
        let (mean, std) = match flag("do_normalize") {
            Some(false) => ([0.0; 3], [1.0; 3]),
            _ => {
                let said = |name| {
                    channels(config, name, path)?.ok_or_else(|| {
                        unsupported(format!("it has no `{name}`, and libraries differ in what that means"))
                    })
                };
                (said("image_mean")?, said("image_std")?)
            }
        };
        Ok(Self { factor, mean, std, expectations: of_transformers(config) })
    }
}

fn of_transformers(config: &Map<String, Value>) -> ImageExpectations {
    if config.get("do_resize").and_then(Value::as_bool) == Some(false) {
        return ImageExpectations::default();
    }
    let whole = |size: &Value| match size {
        Value::Number(edge) => edge.as_u64().map(|edge| [edge, edge]),
        Value::Object(size) => {
            let edge = |name| size.get(name).and_then(Value::as_u64);
            let shortest = edge("shortest_edge").map(|edge| [edge, edge]);
            edge("height").zip(edge("width")).map(|(height, width)| [height, width]).or(shortest)
        }
        _ => None,
    };
    let crops = config.get("do_center_crop").and_then(Value::as_bool) == Some(true);
    let size = config.get("crop_size").filter(|_| crops).or_else(|| config.get("size")).and_then(whole);
    // Indexed by the numbers of Pillow's filters.
    let names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];
    let interpolation = config.get("resample").and_then(Value::as_u64).and_then(|idx| names.get(idx as usize));
    ImageExpectations {
        size,
        interpolation: interpolation.map(|name| (*name).to_owned()),
        crop: config.get("crop_pct").and_then(Value::as_f64).filter(|part| *part < 1.0),
    }
}

/// Three numbers, one per channel; a single one applies to all.
fn channels(config: &Map<String, Value>, name: &str, path: &Path) -> Result<Option<[f32; 3]>, ModelError> {
    let numbers: Option<Vec<f64>> = match config.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
        Some(value) => value.as_f64().map(|value| vec![value; 3]),
    };
    let is_std = name.ends_with("std");
    let is_usable = |value: &f32| value.is_finite() && (!is_std || *value > 0.0);
    let numbers = numbers.unwrap_or_default().into_iter().map(|value| value as f32).collect::<Vec<_>>();
    match <[f32; 3]>::try_from(numbers).ok().filter(|numbers| numbers.iter().all(is_usable)) {
        Some(numbers) => Ok(Some(numbers)),
        None => {
            let what = format!("`{name}` is {} instead of three usable numbers", config[name]);
            Err(ModelError::Unsupported { path: path.to_owned(), what })
        }
    }
}

/// The value on which two files must agree.
fn agreed<'a>(what: &str, first: Said<'a>, second: Said<'a>) -> Result<Said<'a>, ModelError> {
    match (first, second) {
        (Some((path, one)), Some((other, two))) if one != two => {
            let what = format!("its {what} is {one:?}, and {two:?} in `{}`", other.display());
            Err(ModelError::Unsupported { path: path.to_owned(), what })
        }
        (first, second) => Ok(second.or(first)),
    }
}

#[cfg(test)]
mod tests;
